import { NumberInput, Radio, Select, Stack, TextInput } from "@mantine/core";
import { useQuery } from "@tanstack/react-query";
import { useTranslation } from "react-i18next";
import * as queries from "../../api/queries";
import { DEFAULT_PROJECT } from "../../parts/Project";
import type { EditorProps } from "./NewTaskPage";

const READS = ["full+incremental", "incremental"] as const;

/** How it reads and writes, what happens when something goes wrong, and where it runs. */
export function OptionsStep({ draft, setDraft }: EditorProps) {
  const { t } = useTranslation();
  const groups = useQuery(queries.groups());
  const sources = useQuery(queries.dataSources(draft.project ?? DEFAULT_PROJECT));
  const kinds = useQuery(queries.connectors());
  const kind = sources.data?.find((one) => one.name === draft.target?.data_source)?.kind;
  const modes = kinds.data?.find((one) => one.kind === kind)?.write_modes ?? [];
  const write = draft.target?.write ?? "upsert";
  const group = draft.resource_group ?? "default";
  const free = groups.data?.find((one) => one.name === group);
  const source = (part: object) => setDraft({ ...draft, source: { ...draft.source, ...part } });
  const target = (part: object) => setDraft({ ...draft, target: { ...draft.target, ...part } });
  const text = (value: string) => value.trim() || undefined;
  return (
    <>
      <div className="options">
        <section className="card">
          <h2>{t("new.reading")}</h2>
          <Radio.Group
            aria-label={t("column.read")}
            value={draft.source?.read ?? "full+incremental"}
            onChange={(read) => source({ read })}
          >
            <Stack gap={8}>
              {READS.map((read) => (
                <Radio key={read} value={read} label={t(`read.${read}`)} description={t(`new.read.${read}`)} />
              ))}
            </Stack>
          </Radio.Group>
        </section>
        <section className="card">
          <h2>{t("new.writing")}</h2>
          <Radio.Group aria-label={t("column.write")} value={write} onChange={(mode) => target({ write: mode })}>
            <Stack gap={8}>
              {modes.map((mode) => (
                <Radio
                  key={mode}
                  value={mode}
                  label={t(`write.${mode}`, { defaultValue: mode })}
                  description={t(`new.write.${mode}`, { defaultValue: "" })}
                />
              ))}
            </Stack>
          </Radio.Group>
          {write === "upsert" && (
            <Radio.Group
              mt="md"
              label={t("new.existing")}
              value={draft.target?.existing_rows ?? "refuse"}
              onChange={(existing_rows) => target({ existing_rows })}
            >
              <Stack gap={8} mt={6}>
                {["refuse", "replace"].map((one) => (
                  <Radio key={one} value={one} label={t(`new.existing.${one}`)} />
                ))}
              </Stack>
            </Radio.Group>
          )}
        </section>
      </div>
      <section className="card">
        <h2>{t("new.running")}</h2>
        <div className="form-grid">
          <Select
            label={t("column.group")}
            description={
              free ? t("new.unitsFree", { free: Math.max(0, free.units - free.units_used), units: free.units }) : " "
            }
            data={(groups.data ?? []).map((one) => one.name)}
            value={group}
            allowDeselect={false}
            onChange={(name) => setDraft({ ...draft, resource_group: name ?? undefined })}
          />
          <NumberInput
            label={t("column.units")}
            description={t("new.unitsHint")}
            value={draft.units ?? 1}
            min={1}
            clampBehavior="none"
            hideControls
            onChange={(units) => setDraft({ ...draft, units: typeof units === "number" ? units : undefined })}
          />
          <NumberInput
            label={t("new.restarts")}
            description={t("new.restartsHint")}
            value={draft.restarts?.max ?? 10}
            min={-1}
            clampBehavior="none"
            hideControls
            onChange={(max) =>
              setDraft({ ...draft, restarts: { ...draft.restarts, max: typeof max === "number" ? max : undefined } })
            }
          />
          <TextInput
            label={t("new.snapshots")}
            description={t("new.snapshotsHint")}
            placeholder="60s"
            value={draft.snapshots?.every ?? ""}
            onChange={(event) =>
              setDraft({ ...draft, snapshots: { ...draft.snapshots, every: text(event.currentTarget.value) } })
            }
          />
          <Select
            label={t("new.logShort")}
            description={t("new.logShortHint")}
            data={["warn", "continue"].map((value) => ({ value, label: t(`new.logShort.${value}`) }))}
            value={draft.log?.when_short ?? "warn"}
            allowDeselect={false}
            onChange={(when_short) =>
              setDraft({ ...draft, log: { ...draft.log, when_short: when_short ?? undefined } })
            }
          />
          <TextInput
            label={t("new.logBelow")}
            description={t("new.logBelowHint")}
            placeholder="3600s"
            value={draft.log?.below ?? ""}
            onChange={(event) => setDraft({ ...draft, log: { ...draft.log, below: text(event.currentTarget.value) } })}
          />
        </div>
      </section>
    </>
  );
}
