import { Button, Loader, SegmentedControl, Tooltip } from "@mantine/core";
import { useQuery } from "@tanstack/react-query";
import { useNavigate, useSearch } from "@tanstack/react-router";
import { useEffect, useMemo, useState } from "react";
import { useTranslation } from "react-i18next";
import { type KeyEvent, problemOf, type Schemas } from "../../api/client";
import * as queries from "../../api/queries";
import { useFormat } from "../../manner";
import { Chart, type Mark } from "../../parts/Chart";
import { ProblemBox } from "../../parts/ProblemBox";
import { useEventName } from "./Events";
import { RunPicker } from "./RunPicker";
import { RANGES_S, type TaskSearch } from "./search";
import type { TabProps } from "./TaskPage";

const AGAIN_MS = 10_000;

/** Charts of everything that is measured, as the server's own table lays them out. */
export function Metrics({ task, which }: TabProps) {
  const { t } = useTranslation();
  const format = useFormat();
  const search = useSearch({ from: "/tasks/$project/$task/{-$tab}" });
  const navigate = useNavigate({ from: "/tasks/$project/$task/{-$tab}" });
  const show = (change: Partial<TaskSearch>) => void navigate({ search: (before) => ({ ...before, ...change }) });
  const zoomed = search.from !== undefined && search.to !== undefined && search.from < search.to;
  const range = search.range ?? RANGES_S[0];
  const now = useNow(!zoomed);
  const from = zoomed ? (search.from as number) : now - range;
  const to = zoomed ? (search.to as number) : now;
  const table = useQuery(queries.metricTable());
  const found = useQuery({
    ...queries.history(which, new Date(from * 1000), new Date(to * 1000), search.run),
    enabled: task.run != null,
  });
  const told = useQuery(
    queries.events(which, {
      since: new Date(from * 1000).toISOString(),
      until: new Date(to * 1000).toISOString(),
      limit: 200,
      run: search.run,
    }),
  );
  const at = useMemo(() => found.data?.points.map((point) => Date.parse(point.at) / 1000) ?? [], [found.data]);
  const marks = useMemo(
    () =>
      (told.data ?? [])
        .filter((event) => event.state_to || event.level !== "info")
        .map((event): Mark => ({ at: Date.parse(event.at) / 1000, level: event.level })),
    [told.data],
  );
  const byName = useMemo(() => new Map(table.data?.metrics.map((metric) => [metric.name, metric])), [table.data]);
  const label = (name: string) => t(`metric.${name}`, { defaultValue: name.replaceAll("_", " ") });

  if (task.run == null) return <p className="faint">{t("overview.neverRun")}</p>;
  return (
    <div className="metrics">
      <div className="metrics-tools">
        <SegmentedControl
          size="xs"
          value={zoomed ? "" : String(range)}
          onChange={(value) => show({ range: Number(value), from: undefined, to: undefined })}
          data={RANGES_S.map((seconds) => ({ value: String(seconds), label: format.duration(seconds) }))}
          aria-label={t("metrics.range")}
        />
        {zoomed && (
          <Button size="compact-sm" variant="light" onClick={() => show({ from: undefined, to: undefined })}>
            {t("metrics.unzoom", { from: format.near(from * 1000), to: format.near(to * 1000) })}
          </Button>
        )}
        <RunPicker which={which} task={task} />
        {found.isFetching && <Loader size={14} />}
        <span className="grow" />
        <span className="faint">{found.data && t("metrics.step", { step: format.duration(found.data.step_s) })}</span>
      </div>
      {found.error && <ProblemBox problem={problemOf(found.error)} />}
      {found.isSuccess && at.length === 0 && (
        <div className="empty">
          <h2>{t("metrics.none")}</h2>
          <p>{t("metrics.noneHint")}</p>
        </div>
      )}
      {at.length > 0 && <TimeLine events={told.data ?? []} from={from} to={to} />}
      {at.length > 0 &&
        table.data?.rows.map((row) => (
          <section key={row.title}>
            <h2>{t(`metricRow.${row.title}`, { defaultValue: row.title })}</h2>
            <div className="charts">
              {row.panels.map((names) => {
                const metrics = names.flatMap((name) => byName.get(name) ?? []);
                const unit = metrics[0]?.unit ?? "count";
                return (
                  <figure key={names.join()} className="card chart-card">
                    <figcaption>
                      {metrics.map((metric) => (
                        <Tooltip key={metric.name} label={metric.help} multiline maw={360}>
                          <span>{label(metric.name)}</span>
                        </Tooltip>
                      ))}
                      <b>{latest(metrics, found.data?.now, format)}</b>
                    </figcaption>
                    <Chart
                      label={metrics.map((metric) => label(metric.name)).join(", ")}
                      at={at}
                      from={from}
                      to={to}
                      marks={marks}
                      series={metrics.map((metric) => ({
                        label: label(metric.name),
                        values: found.data?.points.map((point) => point.values[metric.name] ?? null) ?? [],
                      }))}
                      format={(value) => format.figure(value, unit)}
                      onZoom={(since, until) => show({ from: since, to: Math.max(until, since + 20) })}
                    />
                  </figure>
                );
              })}
            </div>
          </section>
        ))}
    </div>
  );
}

function latest(
  metrics: Schemas["MetricView"][],
  now: Record<string, number | null> | undefined,
  format: ReturnType<typeof useFormat>,
): string {
  const first = metrics[0];
  if (!first || metrics.length > 1 || now?.[first.name] == null) return "";
  return format.figure(now[first.name], first.unit);
}

/** The end of the range, moving on while it is now. */
function useNow(moving: boolean): number {
  const [now, setNow] = useState(() => Math.floor(Date.now() / 1000));
  useEffect(() => {
    if (!moving) return;
    setNow(Math.floor(Date.now() / 1000));
    const timer = setInterval(() => document.hidden || setNow(Math.floor(Date.now() / 1000)), AGAIN_MS);
    return () => clearInterval(timer);
  }, [moving]);
  return now;
}

/** Key events on the same axis as the charts below it. */
function TimeLine({ events, from, to }: { events: KeyEvent[]; from: number; to: number }) {
  const { t } = useTranslation();
  const name = useEventName();
  const { near } = useFormat();
  return (
    <section className="card timeline" aria-label={t("tab.events")}>
      <b>{t("tab.events")}</b>
      <div className="timeline-track">
        {events.map((event) => {
          const place = (Date.parse(event.at) / 1000 - from) / (to - from);
          if (place < 0 || place > 1) return null;
          return (
            <Tooltip
              key={event.id}
              label={`${near(event.at)} · ${name(event.name)}${event.cause ? `: ${event.cause}` : ""}`}
              multiline
              maw={360}
            >
              <span className={`timeline-event event-${event.level}`} style={{ left: `${place * 100}%` }} />
            </Tooltip>
          );
        })}
      </div>
    </section>
  );
}
