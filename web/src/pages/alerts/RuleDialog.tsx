import {
  ActionIcon,
  Button,
  Checkbox,
  Fieldset,
  Group,
  Modal,
  MultiSelect,
  NumberInput,
  Select,
  Stack,
  Switch,
  TextInput,
} from "@mantine/core";
import { useMutation, useQuery, useQueryClient } from "@tanstack/react-query";
import { useState } from "react";
import { useTranslation } from "react-i18next";
import { api, ask, type Problem, problemOf, type Schemas } from "../../api/client";
import * as queries from "../../api/queries";
import { type Condition, type Rule, rulesChanged } from "../../parts/Alerts";
import { Icon } from "../../parts/Icon";
import { ProblemBox } from "../../parts/ProblemBox";
import { useTell } from "../../parts/told";
import { SEVERITIES } from "./search";

type Alarm = Schemas["AlarmView"];
type Severity = (typeof SEVERITIES)[number];
const SCOPES = ["task", "owner", "resource_group", "all"] as const;
type Scope = (typeof SCOPES)[number];
const WEEKDAYS = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"] as const;

interface Quiet {
  weekdays: string[];
  from: string;
  to: string;
  time_zone: string;
}

interface Draft {
  name: string;
  description: string;
  enabled: boolean;
  severity: Severity;
  scope: Scope;
  subject: string;
  conditions: Condition[];
  channels: "all" | string[];
  most: number;
  per: string;
  quiet: Quiet[];
}

type Held = Record<string, never> & {
  description?: string;
  applies_to?: Record<string, string | true | null>;
  conditions?: Condition[];
  channels?: "all" | string[];
  limit?: { most?: number; per?: string };
  quiet?: Quiet[];
};

function draftOf(rule: Rule | null, task: string | undefined): Draft {
  const held = (rule?.definition ?? {}) as Held;
  const scope = SCOPES.find((one) => held.applies_to?.[one]) ?? (task ? "task" : "all");
  const subject = held.applies_to?.[scope];
  return {
    name: rule?.name ?? "",
    description: held.description ?? "",
    enabled: rule?.enabled ?? true,
    severity: SEVERITIES.find((one) => one === rule?.severity) ?? "important",
    scope,
    subject: typeof subject === "string" ? subject : (task ?? ""),
    conditions: held.conditions ?? [{ metric: "" }],
    channels: held.channels ?? "all",
    most: held.limit?.most ?? 10,
    per: held.limit?.per ?? "3600s",
    quiet: held.quiet ?? [],
  };
}

/** The rule as the API takes it. */
const specOf = (draft: Draft, project: string) =>
  ({
    alert_rule: draft.name.trim(),
    project,
    description: draft.description,
    enabled: draft.enabled,
    applies_to: draft.scope === "all" ? { all: true } : { [draft.scope]: draft.subject.trim() },
    severity: draft.severity,
    conditions: draft.conditions.map((one) =>
      Object.fromEntries(Object.entries(one).filter(([, value]) => value != null && value !== "")),
    ),
    limit: { most: draft.most, per: draft.per },
    quiet: draft.quiet,
    channels: draft.channels,
  }) as unknown as Schemas["RuleSpec"];

interface Given {
  project: string;
  /** None: a new one, for `task` if that is given. */
  rule: Rule | null;
  task?: string;
  onClose: () => void;
}

/** One alert rule: for which tasks, what fires it, how it is told. The server says what is wrong with it. */
export function RuleDialog({ project, rule, task, onClose }: Given) {
  const { t } = useTranslation();
  const tell = useTell();
  const client = useQueryClient();
  const [draft, setDraft] = useState(() => draftOf(rule, task));
  const alarms = useQuery(queries.alarms());
  const channels = useQuery(queries.channels(project));
  const change = (part: Partial<Draft>) => setDraft((before) => ({ ...before, ...part }));
  const save = useMutation({
    mutationFn: () => {
      const body = specOf(draft, project);
      if (!rule) return ask(api.POST("/api/v1/alert-rules", { body }));
      const query = { project, version: rule.version };
      return ask(api.PUT("/api/v1/alert-rules/{name}", { params: { path: { name: rule.name }, query }, body }));
    },
    onSuccess: (saved) => {
      tell(t("alerts.ruleSaved", { name: saved.name }));
      rulesChanged(client);
      onClose();
    },
  });
  const problem = save.error ? problemOf(save.error) : null;
  const complete =
    draft.name.trim() && draft.conditions.every((one) => one.metric) && (draft.scope === "all" || draft.subject.trim());
  return (
    <Modal
      opened
      onClose={onClose}
      size="xl"
      title={rule ? t("alerts.editRule", { name: rule.name }) : t("alerts.addRule")}
      closeButtonProps={{ "aria-label": t("shell.close") }}
      closeOnClickOutside={false}
    >
      <form
        onSubmit={(event) => {
          event.preventDefault();
          if (complete) save.mutate();
        }}
      >
        <Stack>
          <div className="form-grid">
            <TextInput
              label={t("form.name")}
              value={draft.name}
              maxLength={100}
              required
              autoComplete="off"
              data-autofocus={rule ? undefined : true}
              error={wrong(problem, "alert_rule")}
              onChange={(event) => change({ name: event.currentTarget.value })}
            />
            <Select
              label={t("alertColumn.severity")}
              data={SEVERITIES.map((value) => ({ value, label: t(`severity.${value}`) }))}
              value={draft.severity}
              allowDeselect={false}
              onChange={(value) => change({ severity: SEVERITIES.find((one) => one === value) ?? "important" })}
            />
          </div>
          <TextInput
            label={t("form.description")}
            value={draft.description}
            maxLength={500}
            onChange={(event) => change({ description: event.currentTarget.value })}
          />
          <Subject draft={draft} change={change} />
          <Fieldset legend={t("alertColumn.conditions")}>
            <Stack gap="xs">
              {draft.conditions.map((one, place) => (
                <ConditionRow
                  key={place}
                  condition={one}
                  alarms={alarms.data ?? []}
                  error={wrong(problem, `conditions[${place}]`)}
                  change={(after) =>
                    change({ conditions: draft.conditions.map((held, at) => (at === place ? after : held)) })
                  }
                  remove={
                    draft.conditions.length > 1
                      ? () => change({ conditions: draft.conditions.filter((_, at) => at !== place) })
                      : undefined
                  }
                />
              ))}
              <Add
                label={t("rule.addCondition")}
                add={() => change({ conditions: [...draft.conditions, { metric: "" }] })}
              />
            </Stack>
          </Fieldset>
          <Fieldset legend={t("rule.told")}>
            <Stack gap="xs">
              <Checkbox
                label={t("rule.allChannels")}
                checked={draft.channels === "all"}
                onChange={(event) => change({ channels: event.currentTarget.checked ? "all" : [] })}
              />
              {draft.channels !== "all" && (
                <MultiSelect
                  label={t("rule.channels")}
                  data={(channels.data ?? []).map((one) => one.name)}
                  value={draft.channels}
                  placeholder={draft.channels.length ? undefined : t("rule.nobody")}
                  onChange={(value) => change({ channels: value })}
                />
              )}
              <Group align="flex-end" gap="xs">
                <NumberInput
                  label={t("rule.most")}
                  w={150}
                  min={1}
                  max={1000}
                  hideControls
                  value={draft.most}
                  onChange={(value) => typeof value === "number" && change({ most: value })}
                />
                <TextInput
                  label={t("rule.per")}
                  w={150}
                  value={draft.per}
                  error={wrong(problem, "limit.per")}
                  onChange={(event) => change({ per: event.currentTarget.value })}
                />
              </Group>
              {draft.quiet.map((one, place) => (
                <QuietRow
                  key={place}
                  quiet={one}
                  error={wrong(problem, `quiet[${place}]`)}
                  change={(after) => change({ quiet: draft.quiet.map((held, at) => (at === place ? after : held)) })}
                  remove={() => change({ quiet: draft.quiet.filter((_, at) => at !== place) })}
                />
              ))}
              <Add
                label={t("rule.addQuiet")}
                add={() =>
                  change({
                    quiet: [
                      ...draft.quiet,
                      {
                        weekdays: [...WEEKDAYS],
                        from: "22:00",
                        to: "06:00",
                        time_zone: Intl.DateTimeFormat().resolvedOptions().timeZone || "UTC",
                      },
                    ],
                  })
                }
              />
            </Stack>
          </Fieldset>
          <Switch
            label={t("rule.enabled")}
            checked={draft.enabled}
            onChange={(event) => change({ enabled: event.currentTarget.checked })}
          />
          {problem && <ProblemBox problem={problem} />}
          <Group justify="flex-end" className="dialog-foot">
            <Button variant="default" onClick={onClose}>
              {t("operation.cancel")}
            </Button>
            <Button type="submit" loading={save.isPending} disabled={!complete}>
              {t("act.save")}
            </Button>
          </Group>
        </Stack>
      </form>
    </Modal>
  );
}

const wrong = (problem: Problem | null, field: string): string | undefined =>
  problem?.errors?.find((one) => one.field === field || one.field?.startsWith(`${field}.`))?.problem;

function Add({ label, add }: { label: string; add: () => void }) {
  return (
    <Button
      className="add"
      size="compact-sm"
      variant="subtle"
      leftSection={<Icon name="plus" size={13} />}
      onClick={add}
    >
      {label}
    </Button>
  );
}

function Remove({ label, remove }: { label: string; remove: () => void }) {
  return (
    <ActionIcon variant="subtle" color="gray" aria-label={label} onClick={remove}>
      <Icon name="cross" size={14} />
    </ActionIcon>
  );
}

/** Which tasks it is for. */
function Subject({ draft, change }: { draft: Draft; change: (part: Partial<Draft>) => void }) {
  const { t } = useTranslation();
  const groups = useQuery({ ...queries.groups(), enabled: draft.scope === "resource_group" });
  return (
    <div className="form-grid">
      <Select
        label={t("alertColumn.scope")}
        data={SCOPES.map((value) => ({ value, label: t(`rule.scope.${value}`) }))}
        value={draft.scope}
        allowDeselect={false}
        onChange={(value) => change({ scope: SCOPES.find((one) => one === value) ?? "all", subject: "" })}
      />
      {draft.scope === "resource_group" ? (
        <Select
          label={t("rule.subject.resource_group")}
          data={(groups.data ?? []).map((one) => one.name)}
          value={draft.subject || null}
          required
          onChange={(value) => change({ subject: value ?? "" })}
        />
      ) : (
        draft.scope !== "all" && (
          <TextInput
            label={t(`rule.subject.${draft.scope}`)}
            value={draft.subject}
            maxLength={100}
            required
            onChange={(event) => change({ subject: event.currentTarget.value })}
          />
        )
      )}
    </div>
  );
}

function ConditionRow(given: {
  condition: Condition;
  alarms: Alarm[];
  error: string | undefined;
  change: (condition: Condition) => void;
  remove: (() => void) | undefined;
}) {
  const { t } = useTranslation();
  const { condition, alarms, change } = given;
  const alarm = alarms.find((one) => one.metric === condition.metric);
  const compares = alarm !== undefined && alarm.form !== "is so";
  return (
    <div className="condition-row">
      <Select
        className="condition-metric"
        aria-label={t("rule.metric")}
        placeholder={t("rule.metric")}
        data={alarms.map((one) => ({
          value: one.metric,
          label: t(`alarm.${one.metric}`, { defaultValue: one.metric.replaceAll("_", " ") }),
        }))}
        value={condition.metric || null}
        searchable
        allowDeselect={false}
        error={given.error}
        description={alarm?.says}
        inputWrapperOrder={["label", "input", "description", "error"]}
        onChange={(metric) => change({ metric: metric ?? "" })}
      />
      {compares &&
        (alarm.form === "above or below" ? (
          <Select
            w={92}
            aria-label={t("rule.operator")}
            data={["above", "below"].map((value) => ({ value, label: t(`rule.${value}`) }))}
            value={condition.operator ?? null}
            onChange={(operator) => change({ ...condition, operator })}
          />
        ) : (
          <span className="condition-operator">{t(`rule.${alarm.form}`, { defaultValue: alarm.form })}</span>
        ))}
      {compares && (
        <NumberInput
          w={96}
          aria-label={t("rule.threshold")}
          placeholder={t("rule.threshold")}
          min={0}
          hideControls
          value={condition.threshold ?? ""}
          onChange={(value) => change({ ...condition, threshold: typeof value === "number" ? value : null })}
        />
      )}
      {compares && alarm.units.length > 1 && (
        <Select
          w={92}
          aria-label={t("rule.unit")}
          data={alarm.units}
          value={condition.unit ?? alarm.units[0] ?? null}
          allowDeselect={false}
          onChange={(unit) => change({ ...condition, unit })}
        />
      )}
      {compares && !alarm.fixed_window && (
        <TextInput
          w={120}
          aria-label={t("rule.window")}
          placeholder={t("rule.window")}
          value={condition.window ?? ""}
          onChange={(event) => change({ ...condition, window: event.currentTarget.value || null })}
        />
      )}
      {given.remove && <Remove label={t("rule.removeCondition")} remove={given.remove} />}
    </div>
  );
}

function QuietRow(given: {
  quiet: Quiet;
  error: string | undefined;
  change: (quiet: Quiet) => void;
  remove: () => void;
}) {
  const { t } = useTranslation();
  const { quiet, change } = given;
  const text = (field: "from" | "to" | "time_zone", width: number) => (
    <TextInput
      w={width}
      label={t(`rule.quiet.${field}`)}
      value={quiet[field]}
      onChange={(event) => change({ ...quiet, [field]: event.currentTarget.value })}
    />
  );
  return (
    <div className="condition-row">
      <MultiSelect
        className="condition-metric"
        label={t("rule.quiet.weekdays")}
        data={WEEKDAYS.map((value) => ({ value, label: t(`weekday.${value}`) }))}
        value={quiet.weekdays}
        error={given.error}
        onChange={(weekdays) => change({ ...quiet, weekdays: WEEKDAYS.filter((one) => weekdays.includes(one)) })}
      />
      {text("from", 84)}
      {text("to", 84)}
      {text("time_zone", 160)}
      <Remove label={t("rule.removeQuiet")} remove={given.remove} />
    </div>
  );
}
