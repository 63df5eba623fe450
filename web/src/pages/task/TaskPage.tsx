import { Badge, Button, Skeleton, Tooltip } from "@mantine/core";
import { useQuery } from "@tanstack/react-query";
import { Link, useParams } from "@tanstack/react-router";
import { useEffect, useMemo, useState } from "react";
import { useTranslation } from "react-i18next";
import { asProblem, type Detail, problemOf, type Task } from "../../api/client";
import * as queries from "../../api/queries";
import { useRow, useTask, useWatch } from "../../live/useLive";
import { useFormat } from "../../manner";
import { type Asked, OperationButtons, OperationDialog, sentence } from "../../parts/Operations";
import { ProblemBox } from "../../parts/ProblemBox";
import { pauseFailed, TaskStatus } from "../../parts/Status";
import { useMay } from "../../session/useMay";
import { Alerts } from "./Alerts";
import { Configuration } from "./Configuration";
import { EditLockSign } from "./EditLock";
import { Events } from "./Events";
import { History } from "./History";
import { Logs } from "./Logs";
import { Metrics } from "./Metrics";
import { Overview } from "./Overview";
import { TASK_TABS } from "./search";
import { Tables } from "./Tables";

export function TaskPage() {
  const { t } = useTranslation();
  const { project, task, tab } = useParams({ from: "/tasks/$project/$task/{-$tab}" });
  const which = useMemo(() => ({ project, task }), [project, task]);
  const found = useQuery({ ...queries.detail(which), refetchInterval: 10_000 });
  useEffect(() => {
    document.title = `${task} · Tidegate`;
    return () => {
      document.title = "Tidegate";
    };
  }, [task]);
  if (found.error && !found.data) {
    return (
      <div id="content">
        <ProblemBox problem={problemOf(found.error)} again={() => void found.refetch()} />
        <p>
          <Link to="/ops">{t("shell.toOps")}</Link>
        </p>
      </div>
    );
  }
  if (!found.data) return <Skeleton height={120} radius="md" />;
  return (
    <Known key={found.data.task.id} detail={found.data} tab={tab ?? "overview"} refetch={() => void found.refetch()} />
  );
}

export interface TabProps {
  task: Task;
  detail: Detail;
  which: queries.Which;
  ask: (command: string) => void;
}

function Known({ detail, tab, refetch }: { detail: Detail; tab: (typeof TASK_TABS)[number]; refetch: () => void }) {
  const { t } = useTranslation();
  const task = useTask(detail.task);
  const version = useRow(detail.task.id)?.version;
  useWatch(useMemo(() => [detail.task.id], [detail.task.id]));
  // What is offered goes by the state: with another version of the task it is asked for again.
  useEffect(() => {
    if (version !== undefined && version > detail.task.version) refetch();
  }, [version, detail.task.version, refetch]);
  const [asked, setAsked] = useState<Asked>(null);
  const which = useMemo(() => ({ project: task.project, task: task.name }), [task.project, task.name]);
  const ask = (command: string) => setAsked({ task, command });
  const props = { task, detail, which, ask };
  return (
    <div className="task">
      <header className="task-head">
        <div className="task-title">
          <nav className="crumbs" aria-label={t("task.crumbs")}>
            <Link to="/ops">{t("nav.ops")}</Link> <span aria-hidden="true">/</span> {task.project}
          </nav>
          <div className="task-name">
            <h1>{task.name}</h1>
            <TaskStatus task={task} wide />
            <EditLockSign which={which} />
            {task.changed && (
              <Tooltip label={t("task.changedHint")} multiline maw={300}>
                <Badge variant="light" color="gray">
                  {t("task.changed")}
                </Badge>
              </Tooltip>
            )}
          </div>
          {task.description && <p className="faint">{task.description}</p>}
        </div>
        <OperationButtons project={task.project} offers={detail.offers} onAsk={ask} />
      </header>
      <Trouble {...props} />
      <nav className="tabs" aria-label={t("task.tabs")} id="content">
        {TASK_TABS.map((one) => (
          <Link
            key={one}
            to="/tasks/$project/$task/{-$tab}"
            params={{ project: task.project, task: task.name, tab: one === "overview" ? undefined : one }}
            data-active={one === tab || undefined}
            aria-current={one === tab ? "page" : undefined}
          >
            {t(`tab.${one}`)}
          </Link>
        ))}
      </nav>
      {tab === "overview" && <Overview {...props} />}
      {tab === "metrics" && <Metrics {...props} />}
      {tab === "tables" && <Tables {...props} />}
      {tab === "events" && <Events {...props} />}
      {tab === "logs" && <Logs {...props} />}
      {tab === "alerts" && <Alerts {...props} />}
      {tab === "history" && <History {...props} />}
      {tab === "configuration" && <Configuration {...props} />}
      <OperationDialog asked={asked} onClose={() => setAsked(null)} />
    </div>
  );
}

/** Whatever stands between this task and rows arriving, with the way out. */
function Trouble({ task, which, ask, detail }: TabProps) {
  const { t } = useTranslation();
  const { duration } = useFormat();
  const may = useMay();
  const failed = pauseFailed(task);
  const told = useQuery({ ...queries.events(which, { name: ["pause_failed"], limit: 1 }), enabled: failed });
  const error = asProblem(task.error);
  const cause = told.data?.[0];
  const offered = (command: string) => detail.offers.some((offer) => offer.command === command && offer.allowed);
  return (
    <>
      {task.state === "draft" && (
        <ProblemBox
          tone="info"
          title={t("task.draft")}
          problem={{ title: "", status: 0, code: "", detail: "", advice: "" }}
        >
          {may.allowed("task.edit", task.project) && (
            <div className="box-actions">
              <Link to="/edit/$project/$task" params={which} search={{ step: "check" }}>
                {t("task.draftGoOn")}
              </Link>
            </div>
          )}
        </ProblemBox>
      )}
      {failed && (
        <ProblemBox
          tone="warning"
          title={t("task.pauseFailed")}
          problem={{
            title: "",
            status: 0,
            code: "",
            detail: sentence(cause?.cause ?? ""),
            advice: t("task.pauseFailedAdvice"),
          }}
        >
          <div className="box-actions">
            {offered("force-pause") && (
              <Button size="compact-sm" color="amber" onClick={() => ask("force-pause")}>
                {t("command.force-pause")}
              </Button>
            )}
            {offered("pause") && (
              <Button size="compact-sm" variant="default" onClick={() => ask("pause")}>
                {t("task.pauseAgain")}
              </Button>
            )}
          </div>
        </ProblemBox>
      )}
      {task.status === "Running" && task.health === "stale" && (
        <ProblemBox
          tone="warning"
          title={t("task.stale")}
          problem={{
            title: "",
            status: 0,
            code: "",
            detail: sentence(task.health_reason ?? ""),
            advice: t("task.staleAdvice"),
          }}
        />
      )}
      {error && (
        <ProblemBox problem={error} tone={task.status === "Running" ? "warning" : "error"}>
          <div className="box-actions">
            <Link
              to="/tasks/$project/$task/{-$tab}"
              params={{ ...which, tab: "logs" }}
              search={{ level: "warning", since: "24h" }}
            >
              {t("task.seeLog")}
            </Link>
          </div>
        </ProblemBox>
      )}
      {task.log_left_s != null && task.status !== "Running" && task.log_left_s < 3600 && (
        <ProblemBox
          tone="warning"
          title={t("task.logShort", { left: duration(task.log_left_s) })}
          problem={{ title: "", status: 0, code: "", detail: "", advice: t("task.logShortAdvice") }}
        />
      )}
    </>
  );
}
