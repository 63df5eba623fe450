import { useQuery } from "@tanstack/react-query";
import { Link } from "@tanstack/react-router";
import type { ReactNode } from "react";
import { useTranslation } from "react-i18next";
import type { Schemas, Stage, Task } from "../../api/client";
import * as queries from "../../api/queries";
import { useFormat } from "../../manner";
import { Icon, type IconName } from "../../parts/Icon";
import { Meter } from "../../parts/Meter";
import { sentence } from "../../parts/Operations";
import { EventLine } from "./Events";
import type { TabProps } from "./TaskPage";

export function Overview({ task, detail, which }: TabProps) {
  const { t } = useTranslation();
  const run = task.run != null;
  const progress = useQuery({ ...queries.progress(which), enabled: run });
  const now = useQuery({ ...queries.newest(which), enabled: run });
  const told = useQuery(queries.events(which, { limit: 8 }));
  if (!run) {
    return (
      <div className="empty">
        <h2>{t("overview.neverRun")}</h2>
        <p>{t("overview.neverRunHint")}</p>
      </div>
    );
  }
  return (
    <div className="overview">
      <Flow task={task} verdict={progress.data?.bottleneck} now={now.data?.now ?? {}} />
      <Stages stages={progress.data?.stages ?? []} works={["Running", "Operating"].includes(task.status)} />
      <div className="overview-columns">
        <Facts task={task} detail={detail} now={now.data?.now ?? {}} />
        <section className="card">
          <h2>
            {t("tab.events")}
            <Link to="/tasks/$project/$task/{-$tab}" params={{ ...which, tab: "events" }} className="aside">
              {t("overview.allEvents")}
            </Link>
          </h2>
          <ol className="events">
            {(told.data ?? []).map((event) => (
              <EventLine key={event.id} event={event} brief />
            ))}
          </ol>
        </section>
      </div>
    </div>
  );
}

type Figures = Record<string, number | null>;

/** Source → worker → target with what flows between them, and who holds it up. */
function Flow({ task, verdict, now }: { task: Task; verdict: Schemas["VerdictView"] | undefined; now: Figures }) {
  const { t } = useTranslation();
  const { short, bytes, percent, figure, duration } = useFormat();
  const works = ["Running", "Operating"].includes(task.status);
  const holds = works ? verdict?.holds : undefined;
  const marked = { source: holds === "source", decode: holds === "decode", target: holds === "target" };
  return (
    <section className="card flow-card">
      <div className="flow">
        <Node
          icon="database"
          title={task.source}
          kind={task.source_kind}
          marked={marked.source}
          facts={[
            [t("flow.logRate"), task.log_rate_bytes_s == null ? null : `${bytes(task.log_rate_bytes_s)}/s`],
            [t("flow.retained"), task.log_retained_bytes == null ? null : bytes(task.log_retained_bytes)],
            [t("flow.logLeft"), task.log_left_s == null ? t("flow.noEnd") : `≈ ${duration(task.log_left_s)}`],
          ]}
        />
        <Stream rate={task.rows_read_per_s} bytes={now.bytes_read_per_s} label={t("flow.read")} works={works} />
        <Node
          icon="gear"
          title={t("flow.worker")}
          kind={works ? t(`phase.${task.phase}`, { defaultValue: task.phase ?? "" }) : t("flow.noWorker")}
          marked={marked.decode}
          facts={[
            [t("flow.queue"), now.queue_share == null ? null : percent(now.queue_share * 100)],
            [t("flow.cpu"), now.cpu_cores == null ? null : figure(now.cpu_cores, "cores")],
            [t("flow.memory"), now.memory_bytes == null ? null : bytes(now.memory_bytes)],
          ]}
        />
        <Stream
          rate={task.rows_written_per_s}
          bytes={now.bytes_written_per_s}
          label={t("flow.written")}
          works={works}
        />
        <Node
          icon="database"
          title={task.target}
          kind={task.target_kind}
          marked={marked.target}
          facts={[
            [t("flow.write"), t(`write.${task.write}`, { defaultValue: task.write })],
            [t("flow.busy"), now.writing_share == null ? null : percent(now.writing_share * 100)],
            [t("flow.total"), now.rows_written == null ? null : short(now.rows_written)],
          ]}
        />
      </div>
      {works && verdict && verdict.holds !== "unknown" && (
        <p className={`verdict${verdict.holds === "idle" ? "" : " verdict-held"}`}>
          <b>{t(`holds.${verdict.holds}`)}</b> {sentence(verdict.because)}
        </p>
      )}
    </section>
  );
}

function Node(given: {
  icon: IconName;
  title: string;
  kind: string | null | undefined;
  marked: boolean;
  facts: [string, string | null][];
}) {
  const { t } = useTranslation();
  return (
    <div className="node" data-marked={given.marked || undefined}>
      <div className="node-head">
        <Icon name={given.icon} size={20} />
        <div>
          <b title={given.title}>{given.title}</b>
          <small>{given.kind ?? ""}</small>
        </div>
        {given.marked && <span className="node-mark">{t("flow.bottleneck")}</span>}
      </div>
      <dl>
        {given.facts.map(([name, value]) => (
          <div key={name}>
            <dt>{name}</dt>
            <dd>{value ?? "–"}</dd>
          </div>
        ))}
      </dl>
    </div>
  );
}

function Stream(given: {
  rate: number | null | undefined;
  bytes: number | null | undefined;
  label: string;
  works: boolean;
}) {
  const { t } = useTranslation();
  const { short, bytes } = useFormat();
  const flows = given.works && (given.rate ?? 0) > 0;
  return (
    <div className="stream" data-flows={flows || undefined}>
      <b>{given.works ? t("flow.rows", { rate: short(given.rate) }) : "–"}</b>
      <i aria-hidden="true" />
      <small>{given.works && given.bytes != null ? `${given.label} · ${bytes(given.bytes)}/s` : given.label}</small>
    </div>
  );
}

/** Preparation, full and incremental synchronization. */
function Stages({ stages, works }: { stages: Stage[]; works: boolean }) {
  const { t } = useTranslation();
  const { percent, short, duration, near, bytes } = useFormat();
  if (stages.length === 0) return null;
  return (
    <section className="card stages" aria-label={t("overview.stages")}>
      {stages.map((stage) => {
        const facts: [string, ReactNode][] = [];
        if (stage.stage === "full") {
          facts.push([t("stage.tables"), `${stage.tables_done ?? 0} / ${stage.tables_total ?? 0}`]);
          facts.push([t("stage.rows"), `${short(stage.rows_done)} / ${short(stage.rows_estimated)}`]);
          if (stage.state === "In Progress") facts.push([t("stage.left"), duration(stage.left_s)]);
          if (stage.rows_per_s) facts.push([t("stage.pace"), `${short(stage.rows_per_s)}/s`]);
        }
        if (stage.stage === "incremental" && stage.state !== "Not Started") {
          facts.push([t("stage.lag"), `${duration(stage.lag_s)} · ${bytes(stage.lag_bytes)}`]);
          if (stage.catch_up_s != null && stage.catch_up_s > 0)
            facts.push([t("stage.catchUp"), duration(stage.catch_up_s)]);
        }
        if (stage.started_at) facts.push([t("stage.started"), near(stage.started_at)]);
        if (stage.ended_at) facts.push([t("stage.ended"), near(stage.ended_at)]);
        const word = stage.state.replace(" ", "-").toLowerCase();
        return (
          <div key={stage.stage} className={`stage stage-${word}`}>
            <div className="stage-head">
              <span className="stage-sign" aria-hidden="true">
                {stage.state === "Completed" ? <Icon name="check" size={13} /> : null}
              </span>
              <b>{t(`stage.${stage.stage}`)}</b>
              <span className="stage-state">{t(`stageState.${stage.state}`)}</span>
            </div>
            {stage.percent != null ? (
              <div className="stage-meter">
                <Meter percent={stage.percent} label={t(`stage.${stage.stage}`)} />
                <span>{percent(stage.percent)}</span>
              </div>
            ) : (
              <div className="stage-meter">
                <span
                  className={`endless${stage.state === "In Progress" && works ? " endless-on" : ""}`}
                  aria-hidden="true"
                />
              </div>
            )}
            <dl>
              {facts.map(([name, value]) => (
                <div key={name}>
                  <dt>{name}</dt>
                  <dd>{value}</dd>
                </div>
              ))}
            </dl>
          </div>
        );
      })}
    </section>
  );
}

function Facts({ task, detail, now }: { task: Task; detail: TabProps["detail"]; now: Figures }) {
  const { t } = useTranslation();
  const { duration, bytes, near, whole } = useFormat();
  const age = now.snapshot_age_s;
  const facts: [string, ReactNode][] = [
    [t("fact.lag"), task.lag_s == null ? "–" : `${duration(task.lag_s)} · ${bytes(task.lag_bytes)}`],
    [t("fact.position"), task.position ? <code key="position">{task.position}</code> : "–"],
    [
      t("fact.snapshot"),
      detail.snapshot
        ? `${near(detail.snapshot.at)}${age == null ? "" : ` (${t("ago", { time: duration(age) })})`}`
        : t("fact.noSnapshot"),
    ],
    [t("fact.logLeft"), task.log_left_s == null ? t("flow.noEnd") : `≈ ${duration(task.log_left_s)}`],
    [t("fact.run"), `${task.run} · ${near(task.run_started_at)}`],
    [t("fact.restarts"), whole(task.restarts)],
    [t("fact.read"), t(`read.${task.read}`, { defaultValue: task.read })],
    [t("fact.write"), t(`write.${task.write}`, { defaultValue: task.write })],
    [t("fact.group"), `${task.resource_group} · ${t("fact.units", { count: task.units })}`],
    [t("fact.owner"), task.owner],
    [t("fact.version"), task.submitted ?? "–"],
  ];
  return (
    <section className="card">
      <h2>{t("overview.facts")}</h2>
      <dl className="facts facts-tall">
        {facts.map(([name, value]) => (
          <div key={name}>
            <dt>{name}</dt>
            <dd>{value}</dd>
          </div>
        ))}
      </dl>
    </section>
  );
}
