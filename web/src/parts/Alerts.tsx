// What alerts and rules look like, on a task's page and on that of all of them.

import { Button, Switch } from "@mantine/core";
import { type QueryClient, useMutation, useQuery, useQueryClient } from "@tanstack/react-query";
import { Link } from "@tanstack/react-router";
import { useTranslation } from "react-i18next";
import { api, ask, asProblem, problemOf, type Schemas } from "../api/client";
import * as queries from "../api/queries";
import { useFormat } from "../manner";
import { useMay } from "../session/useMay";
import { ProblemBox } from "./ProblemBox";

export type Rule = Schemas["AlertRuleView"];
export type Alert = Schemas["AlertView"];
type Alarm = Schemas["AlarmView"];

export interface Condition {
  metric: string;
  operator?: string | null;
  threshold?: number | null;
  unit?: string | null;
  window?: string | null;
}

export const conditionsOf = (rule: Rule): Condition[] => (rule.definition.conditions as Condition[] | undefined) ?? [];

export function conditionSaid(one: Condition, alarm: Alarm | undefined): string {
  const over = one.window ? ` (${one.window})` : "";
  const name = one.metric.replaceAll("_", " ");
  if (one.threshold == null) return name + over;
  const unit = one.unit ?? alarm?.units[0] ?? "";
  const sign = (one.operator ?? alarm?.form) === "below" ? "<" : ">";
  return `${name} ${sign} ${one.threshold}${unit && unit !== "count" ? ` ${unit}` : ""}${over}`;
}

export function Severity({ of }: { of: string }) {
  const { t } = useTranslation();
  return <span className={`severity severity-${of}`}>{t(`severity.${of}`, { defaultValue: of })}</span>;
}

export function Scope({ rule }: { rule: Rule }) {
  const { t } = useTranslation();
  const to = (rule.definition.applies_to ?? {}) as Record<string, string | boolean | null>;
  const [kind, value] = Object.entries(to).find(([, held]) => held) ?? ["all", true];
  return <>{value === true ? t("alerts.scope.all") : t(`alerts.scope.${kind}`, { value: String(value) })}</>;
}

/** Rules, each turned on and off, and opened. */
export function RuleTable({
  rules,
  edit,
  remove,
}: {
  rules: Rule[];
  edit: (rule: Rule) => void;
  remove?: (rule: Rule) => void;
}) {
  const { t } = useTranslation();
  const { near } = useFormat();
  const client = useQueryClient();
  const may = useMay();
  const alarms = useQuery(queries.alarms());
  const byMetric = new Map(alarms.data?.map((alarm) => [alarm.metric, alarm]));
  const turn = useMutation({
    mutationFn: ({ rule, on }: { rule: Rule; on: boolean }) => {
      const params = { params: { path: { name: rule.name }, query: { project: rule.project } } };
      return ask(
        on
          ? api.POST("/api/v1/alert-rules/{name}/enable", params)
          : api.POST("/api/v1/alert-rules/{name}/disable", params),
      );
    },
    onSettled: () => rulesChanged(client),
  });
  return (
    <div className="scroll-x">
      {turn.error && <ProblemBox problem={problemOf(turn.error)} />}
      <table className="list list-dense">
        <thead>
          <tr>
            {["enabled", "rule", "severity", "conditions", "scope", "lastFired"].map((key) => (
              <th key={key}>{t(`alertColumn.${key}`)}</th>
            ))}
            <th className="acts">
              <span className="visually-hidden">{t("ops.operations")}</span>
            </th>
          </tr>
        </thead>
        <tbody>
          {rules.map((rule) => (
            <tr key={rule.name}>
              <td>
                <Switch
                  size="sm"
                  checked={rule.enabled}
                  disabled={turn.isPending || !may.allowed("alert.edit", rule.project)}
                  aria-label={t("alerts.enable", { rule: rule.name })}
                  onChange={(event) => turn.mutate({ rule, on: event.currentTarget.checked })}
                />
              </td>
              <td>
                <b>{rule.name}</b>
                <span className="sub">{String(rule.definition.description ?? "")}</span>
              </td>
              <td>
                <Severity of={rule.severity} />
              </td>
              <td>
                {conditionsOf(rule).map((one, place) => (
                  <span key={place} className="condition">
                    {conditionSaid(one, byMetric.get(one.metric))}
                  </span>
                ))}
              </td>
              <td>
                <Scope rule={rule} />
              </td>
              <td>{rule.last_fired_at ? near(rule.last_fired_at) : "–"}</td>
              <td className="acts">
                {may.allowed("alert.edit", rule.project) && (
                  <>
                    <Button size="compact-sm" variant="default" onClick={() => edit(rule)}>
                      {t("act.edit")}
                    </Button>
                    {remove && (
                      <Button size="compact-sm" variant="default" onClick={() => remove(rule)}>
                        {t("act.delete")}
                      </Button>
                    )}
                  </>
                )}
              </td>
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}

/** Rules are shown on the page of alerts, and on those of tasks. */
export function rulesChanged(client: QueryClient): void {
  void client.invalidateQueries({ queryKey: ["alert-rules"] });
  void client.invalidateQueries({ queryKey: ["task"], predicate: (query) => query.queryKey[3] === "rules" });
}

/** What fired. `tasks`: with the name of each one's task. */
export function AlertTable({ alerts, tasks = false }: { alerts: Alert[]; tasks?: boolean }) {
  const { t } = useTranslation();
  const { near, moment, duration } = useFormat();
  const columns = ["fired", "severity", ...(tasks ? ["task"] : []), "rule", "condition", "value", "lasted", "told"];
  return (
    <div className="scroll-x">
      <table className="list list-dense">
        <thead>
          <tr>
            {columns.map((key) => (
              <th key={key} className={key === "value" ? "numeric" : ""}>
                {t(`alertColumn.${key}`)}
              </th>
            ))}
          </tr>
        </thead>
        <tbody>
          {alerts.map((alert) => (
            <tr key={alert.id}>
              <td title={moment(alert.fired_at)}>{near(alert.fired_at)}</td>
              <td>
                <Severity of={alert.severity} />
              </td>
              {tasks && (
                <td>
                  <Link
                    to="/tasks/$project/$task/{-$tab}"
                    params={{ project: alert.project, task: alert.task_name, tab: "alerts" }}
                  >
                    {alert.task_name}
                  </Link>
                </td>
              )}
              <td>{alert.rule}</td>
              <td>{alert.condition}</td>
              <td className="numeric">
                <Value alert={alert} />
              </td>
              <td>
                {alert.resolved_at ? (
                  duration((Date.parse(alert.resolved_at) - Date.parse(alert.fired_at)) / 1000)
                ) : (
                  <span className="late">{t("alerts.open")}</span>
                )}
              </td>
              <td>
                <Told alert={alert} />
              </td>
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}

function Value({ alert }: { alert: Alert }) {
  const { figure } = useFormat();
  return <>{alert.value == null ? "–" : figure(alert.value, alert.unit)}</>;
}

function Told({ alert }: { alert: Alert }) {
  const { t } = useTranslation();
  if (alert.held && !alert.told_at) return <>{t(`alerts.held.${alert.held}`, { defaultValue: alert.held })}</>;
  if (!alert.sent) return <span className="faint">{t("alerts.nobody")}</span>;
  const channels = [...new Set(alert.messages.map((message) => message.channel))].join(", ");
  const wrong = alert.messages.map((message) => asProblem(message.error)?.detail).filter(Boolean);
  return (
    <span title={[channels, ...wrong].join("\n")} className={alert.sent === "none" ? "error-text" : ""}>
      {t(`alerts.sent.${alert.sent}`, { defaultValue: alert.sent })} <span className="faint">{channels}</span>
    </span>
  );
}
