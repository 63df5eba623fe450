import { useQuery } from "@tanstack/react-query";
import { Link } from "@tanstack/react-router";
import { useMemo } from "react";
import { useTranslation } from "react-i18next";
import { api, ask, problemOf, type Schemas } from "../../api/client";
import * as queries from "../../api/queries";
import { useFormat } from "../../manner";
import { AlertTable } from "../../parts/Alerts";
import { Meter } from "../../parts/Meter";
import { Page } from "../../parts/Page";
import { ProblemBox } from "../../parts/ProblemBox";
import { StatusWord, TaskStatus } from "../../parts/Status";
import { SEVERITIES } from "../alerts/search";

type Outlook = Schemas["OutlookView"];

/** How everything is, at one look. */
export function DashboardPage() {
  const { t } = useTranslation();
  const found = useQuery(queries.outlook());
  const data = found.data;
  return (
    <Page title={t("nav.dashboard")} hint={t("dashboard.hint")}>
      {found.error && <ProblemBox problem={problemOf(found.error)} again={() => void found.refetch()} />}
      {data && (
        <>
          <Figures data={data} />
          <div className="dashboard">
            <Statuses data={data} />
            <Groups data={data} />
            <Fired data={data} />
            <Slowest />
          </div>
          <Open />
        </>
      )}
    </Page>
  );
}

function Figures({ data }: { data: Outlook }) {
  const { t } = useTranslation();
  const { whole, short } = useFormat();
  return (
    <div className="totals figures">
      <Link to="/ops">
        <b>{whole(data.totals.total)}</b>
        <span>{t("dashboard.tasks")}</span>
      </Link>
      <div>
        <b>{short(data.rows_read_per_s)}</b>
        <span>{t("dashboard.read")}</span>
      </div>
      <div>
        <b>{short(data.rows_written_per_s)}</b>
        <span>{t("dashboard.written")}</span>
      </div>
      {SEVERITIES.map((severity) => (
        <Link key={severity} to="/alerts/{-$tab}" params={{ tab: undefined }} search={{ severity, open: true }}>
          <b className={data.alerts[severity] ? `severity-${severity}` : ""}>{whole(data.alerts[severity])}</b>
          <span>{t(`dashboard.alerts.${severity}`)}</span>
        </Link>
      ))}
    </div>
  );
}

/** How many tasks are in each status. */
function Statuses({ data }: { data: Outlook }) {
  const { t } = useTranslation();
  const { whole, percent } = useFormat();
  const { total, statuses } = data.totals;
  return (
    <section className="card">
      <h2>{t("dashboard.statuses")}</h2>
      {total === 0 && <Nothing />}
      {total > 0 && (
        <div className="share" aria-hidden="true">
          {Object.entries(statuses).map(
            ([status, count]) =>
              count > 0 && <i key={status} className={`share-${slug(status)}`} style={{ flexGrow: count }} />,
          )}
        </div>
      )}
      <ul className="legend">
        {Object.entries(statuses).map(([status, count]) => (
          <li key={status}>
            <Link to="/ops" search={{ status: [status] }}>
              <StatusWord status={status} />
            </Link>
            <b>{whole(count)}</b>
            <span className="faint">{total ? percent((100 * count) / total) : ""}</span>
          </li>
        ))}
      </ul>
      {data.totals.recovering > 0 && (
        <p className="late">{t("dashboard.recovering", { count: data.totals.recovering })}</p>
      )}
    </section>
  );
}

const slug = (status: string) => status.toLowerCase().replaceAll(" ", "-");

function Nothing() {
  const { t } = useTranslation();
  return (
    <p className="faint">
      {t("ops.none")}. <Link to="/new">{t("new.title")}</Link>
    </p>
  );
}

/** Units and tasks of each resource group. */
function Groups({ data }: { data: Outlook }) {
  const { t } = useTranslation();
  return (
    <section className="card">
      <h2>
        {t("nav.groups")}
        <Link to="/groups" className="aside">
          {t("dashboard.all")}
        </Link>
      </h2>
      {data.groups.map((group) => (
        <div key={group.name} className="group-row">
          <Link to="/ops" search={{ resource_group: group.name }}>
            {group.name}
          </Link>
          <div className="group-units">
            <Meter
              percent={group.units ? (100 * group.units_used) / group.units : 0}
              label={t("groups.units")}
              tone={group.units_used >= group.units ? "meter-full" : ""}
            />
            <span>{t("groups.used", { used: group.units_used, units: group.units })}</span>
          </div>
          <span className="group-statuses">
            {Object.keys(data.totals.statuses)
              .filter((status) => group.statuses[status])
              .map((status) => (
                <span key={status} className="group-status">
                  {group.statuses[status]} <StatusWord status={status} />
                </span>
              ))}
          </span>
        </div>
      ))}
    </section>
  );
}

const BAR_HEIGHT = 90;

/** Alerts of the last 24 hours, by the hour. */
function Fired({ data }: { data: Outlook }) {
  const { t } = useTranslation();
  const { clock } = useFormat();
  const all = data.fired.map((hour) => SEVERITIES.reduce((sum, one) => sum + (hour.severities[one] ?? 0), 0));
  const most = Math.max(1, ...all);
  const total = all.reduce((sum, one) => sum + one, 0);
  const step = 100 / data.fired.length;
  return (
    <section className="card">
      <h2>
        {t("dashboard.fired")}
        <Link to="/alerts/{-$tab}" params={{ tab: undefined }} className="aside">
          {t("dashboard.all")}
        </Link>
      </h2>
      <svg
        className="bars"
        viewBox={`0 0 100 ${BAR_HEIGHT}`}
        preserveAspectRatio="none"
        role="img"
        aria-label={t("dashboard.firedSays", { count: total })}
      >
        {data.fired.map((hour, place) => {
          let top = BAR_HEIGHT - 1;
          return SEVERITIES.map((severity) => {
            const height = ((hour.severities[severity] ?? 0) / most) * (BAR_HEIGHT - 4);
            top -= height;
            return height > 0 ? (
              <rect
                key={`${hour.at}${severity}`}
                className={`bar-${severity}`}
                x={place * step + step * 0.15}
                y={top}
                width={step * 0.7}
                height={height}
              />
            ) : null;
          });
        })}
        <line x1="0" x2="100" y1={BAR_HEIGHT - 0.5} y2={BAR_HEIGHT - 0.5} />
      </svg>
      <div className="bars-axis">
        <span>{clock(data.fired[0]?.at).slice(0, 5)}</span>
        <span>{t("dashboard.firedSays", { count: total })}</span>
        <span>{t("dashboard.now")}</span>
      </div>
    </section>
  );
}

const SLOW = 5;

/** Tasks that are furthest behind. */
function Slowest() {
  const { t } = useTranslation();
  const { duration } = useFormat();
  const found = useQuery({
    queryKey: ["ops", "slowest"],
    queryFn: () => ask(api.GET("/api/v1/ops", { params: { query: { sort: "-lag_s", page: 1, page_size: SLOW } } })),
    refetchInterval: 5_000,
  });
  const late = useMemo(() => (found.data?.items ?? []).filter((task) => task.lag_s != null), [found.data]);
  return (
    <section className="card">
      <h2>
        {t("dashboard.slowest")}
        <Link to="/ops" search={{ sort: "-lag_s" }} className="aside">
          {t("dashboard.all")}
        </Link>
      </h2>
      {late.length === 0 && <p className="faint">{t("dashboard.noneLate")}</p>}
      <ul className="legend">
        {late.map((task) => (
          <li key={task.id}>
            <Link
              to="/tasks/$project/$task/{-$tab}"
              params={{ project: task.project, task: task.name, tab: undefined }}
            >
              {task.name}
            </Link>
            <TaskStatus task={task} />
            <b>{duration(task.lag_s)}</b>
          </li>
        ))}
      </ul>
    </section>
  );
}

/** Alerts that go on. */
function Open() {
  const { t } = useTranslation();
  const found = useQuery({
    queryKey: ["alerts", "open"],
    queryFn: () => ask(api.GET("/api/v1/alerts", { params: { query: { open_only: true, limit: 10 } } })),
    refetchInterval: 5_000,
  });
  return (
    <section className="card card-flush">
      <h2 className="pad">
        {t("dashboard.open")}
        <Link to="/alerts/{-$tab}" params={{ tab: undefined }} search={{ open: true }} className="aside">
          {t("dashboard.all")}
        </Link>
      </h2>
      {found.data?.length === 0 && <p className="faint pad">{t("dashboard.calm")}</p>}
      {found.data && found.data.length > 0 && <AlertTable alerts={found.data} tasks />}
    </section>
  );
}
