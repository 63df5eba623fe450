// The columns of the list, each with how it is sorted by the server and what it shows of a task.

import { Link } from "@tanstack/react-router";
import type { ReactNode } from "react";
import { useTranslation } from "react-i18next";
import type { Task } from "../../api/client";
import { useFormat } from "../../manner";
import { Icon } from "../../parts/Icon";
import { Meter } from "../../parts/Meter";
import { useCommandName } from "../../parts/Operations";
import { Sparkline } from "../../parts/Sparkline";
import { TaskStatus } from "../../parts/Status";

export interface Column {
  key: string;
  /** As the API names it; none: it cannot be sorted by. */
  sort?: string;
  /** Chosen until somebody chooses. */
  shown: boolean;
  numeric?: boolean;
  /** Left out on a narrow screen. */
  wide?: boolean;
  cell: (task: Task, trend: (number | null)[] | undefined) => ReactNode;
}

export const COLUMNS: Column[] = [
  { key: "status", sort: "status", shown: true, cell: (task) => <TaskStatus task={task} /> },
  { key: "progress", shown: true, wide: true, cell: (task) => <Progress task={task} /> },
  { key: "lag", sort: "lag_s", shown: true, numeric: true, cell: (task) => <Lag task={task} /> },
  {
    key: "rate",
    shown: true,
    numeric: true,
    wide: true,
    cell: (task, trend) => <Rate task={task} trend={trend} />,
  },
  { key: "ends", sort: "source", shown: true, wide: true, cell: (task) => <Ends task={task} /> },
  { key: "kind", shown: false, wide: true, cell: (task) => <Said kind="kind" value={task.kind} /> },
  { key: "read", shown: false, wide: true, cell: (task) => <Said kind="read" value={task.read} /> },
  { key: "write", shown: false, wide: true, cell: (task) => <Said kind="write" value={task.write} /> },
  { key: "restarts", shown: true, numeric: true, wide: true, cell: (task) => <Restarts task={task} /> },
  { key: "units", shown: false, numeric: true, wide: true, cell: (task) => task.units },
  { key: "group", sort: "resource_group", shown: true, wide: true, cell: (task) => task.resource_group },
  { key: "owner", sort: "owner", shown: true, wide: true, cell: (task) => task.owner },
  { key: "operation", shown: true, wide: true, cell: (task) => <LastOperation task={task} /> },
  { key: "since", sort: "state_since", shown: false, wide: true, cell: (task) => <Moment at={task.state_since} /> },
  { key: "created", sort: "created_at", shown: false, wide: true, cell: (task) => <Moment at={task.created_at} /> },
  { key: "project", shown: false, wide: true, cell: (task) => task.project },
];

export function TaskName({ task }: { task: Task }) {
  return (
    <>
      <Link
        to="/tasks/$project/$task/{-$tab}"
        params={{ project: task.project, task: task.name, tab: undefined }}
        className="task-link"
      >
        {task.name}
      </Link>
      {task.error && task.status !== "Running" ? (
        <span className="sub error-text" title={String(task.error.detail ?? "")}>
          {String(task.error.title ?? task.error.detail ?? "")}
        </span>
      ) : (
        task.description && (
          <span className="sub" title={task.description}>
            {task.description}
          </span>
        )
      )}
    </>
  );
}

function Progress({ task }: { task: Task }) {
  const { t } = useTranslation();
  const { percent } = useFormat();
  if (!task.run || !task.phase || ["Initialize", "Stopped"].includes(task.status))
    return <span className="faint">–</span>;
  if (task.phase === "full") {
    const done = task.copied_percent ?? 0;
    return (
      <span className="progress">
        <span>
          {t("phase.full")} <b>{percent(done)}</b>
        </span>
        <Meter percent={done} label={t("phase.full")} />
      </span>
    );
  }
  return <span>{t(`phase.${task.phase}`, { defaultValue: task.phase })}</span>;
}

/** From how many seconds on a lag is worth a colour. */
const LATE_S = 60;

function Lag({ task }: { task: Task }) {
  const { duration, bytes } = useFormat();
  if (!task.run || task.lag_s == null || ["Initialize", "Stopped"].includes(task.status)) {
    return <span className="faint">–</span>;
  }
  return (
    <span className={task.lag_s >= LATE_S ? "late" : ""} title={bytes(task.lag_bytes)}>
      {duration(task.lag_s)}
    </span>
  );
}

function Rate({ task, trend }: { task: Task; trend: (number | null)[] | undefined }) {
  const { short } = useFormat();
  const rests = task.rows_written_per_s == null;
  return (
    <span className="rate">
      {rests ? <span className="spark" /> : <Sparkline values={trend} />}
      <span className={rests ? "faint" : ""}>{short(task.rows_written_per_s)}</span>
    </span>
  );
}

function Ends({ task }: { task: Task }) {
  return (
    <span className="ends">
      <span title={task.source_kind ?? ""}>{task.source}</span>
      <Icon name="arrow" size={13} />
      <span title={task.target_kind ?? ""}>{task.target}</span>
    </span>
  );
}

function Said({ kind, value }: { kind: string; value: string }) {
  const { t } = useTranslation();
  return <>{t(`${kind}.${value}`, { defaultValue: value })}</>;
}

function Restarts({ task }: { task: Task }) {
  if (task.restarts == null) return <span className="faint">–</span>;
  return <span className={task.restarts > 0 ? "late" : ""}>{task.restarts}</span>;
}

function LastOperation({ task }: { task: Task }) {
  const name = useCommandName();
  const { near, moment } = useFormat();
  const last = task.last_operation;
  if (!last) return <span className="faint">–</span>;
  return (
    <span title={`${moment(last.at)} · ${last.actor}`}>
      {name(last.command)} <span className="faint">{near(last.at)}</span>
    </span>
  );
}

function Moment({ at }: { at: string }) {
  const { near, moment } = useFormat();
  return <span title={moment(at)}>{near(at)}</span>;
}
