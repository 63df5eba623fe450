import { Button, Select, Textarea, TextInput } from "@mantine/core";
import { useQuery, useQueryClient } from "@tanstack/react-query";
import { useState } from "react";
import { useTranslation } from "react-i18next";
import { problemOf } from "../../api/client";
import * as queries from "../../api/queries";
import { Icon } from "../../parts/Icon";
import { ProblemBox } from "../../parts/ProblemBox";
import { DEFAULT_PROJECT, ProjectPicker } from "../../parts/Project";
import { SourceDialog } from "../sources/SourceDialog";
import type { EditorProps } from "./NewTaskPage";

const ROLES = ["source", "target"] as const;

/** What it is called, and between which data sources it is. */
export function EndsStep({ draft, setDraft, editing }: EditorProps) {
  const { t } = useTranslation();
  const client = useQueryClient();
  const project = draft.project ?? DEFAULT_PROJECT;
  const sources = useQuery(queries.dataSources(project));
  const kinds = useQuery(queries.connectors());
  const [adding, setAdding] = useState<(typeof ROLES)[number] | null>(null);
  const plays = (kind: string, role: (typeof ROLES)[number]) =>
    kinds.data?.find((one) => one.kind === kind)?.roles.includes(role) ?? false;
  const pick = (role: (typeof ROLES)[number], name: string | null) =>
    setDraft({ ...draft, [role]: { ...draft[role], data_source: name ?? undefined } });
  return (
    <section className="card">
      {sources.error && <ProblemBox problem={problemOf(sources.error)} />}
      <div className="form-grid">
        <TextInput
          label={t("new.name")}
          description={t("form.nameHint")}
          inputWrapperOrder={["label", "input", "description", "error"]}
          value={draft.task ?? ""}
          maxLength={100}
          required
          autoComplete="off"
          onChange={(event) => setDraft({ ...draft, task: event.currentTarget.value || undefined })}
        />
        <Textarea
          label={t("form.description")}
          value={draft.description ?? ""}
          maxLength={500}
          autosize
          onChange={(event) => setDraft({ ...draft, description: event.currentTarget.value || undefined })}
        />
        {!editing && <ProjectPicker value={project} change={(to) => setDraft({ ...draft, project: to })} />}
      </div>
      <div className="ends-pick">
        {ROLES.map((role, place) => (
          <div key={role} className="node end-pick">
            <div className="node-head">
              <Icon name="database" size={20} />
              <b>{t(`new.${role}`)}</b>
            </div>
            <Select
              aria-label={t(`new.${role}`)}
              placeholder={t("new.pickSource")}
              data={(sources.data ?? [])
                .filter((one) => plays(one.kind, role))
                .map((one) => ({
                  value: one.name,
                  label: `${one.name} · ${kinds.data?.find((kind) => kind.kind === one.kind)?.title ?? one.kind}`,
                }))}
              value={draft[role]?.data_source ?? null}
              searchable
              required
              nothingFoundMessage={t("sources.none")}
              onChange={(name) => pick(role, name)}
            />
            <Button
              mt="xs"
              size="compact-sm"
              variant="subtle"
              leftSection={<Icon name="plus" size={13} />}
              onClick={() => setAdding(role)}
            >
              {t("sources.add")}
            </Button>
            {place === 0 && (
              <span className="ends-arrow">
                <Icon name="arrow" size={18} />
              </span>
            )}
          </div>
        ))}
      </div>
      {adding && (
        <SourceDialog
          project={project}
          source={null}
          kinds={(kinds.data ?? []).filter((one) => one.roles.includes(adding))}
          onClose={() => setAdding(null)}
          onDone={(name) => {
            void client.invalidateQueries({ queryKey: ["data-sources"] });
            pick(adding, name);
            setAdding(null);
          }}
        />
      )}
    </section>
  );
}
