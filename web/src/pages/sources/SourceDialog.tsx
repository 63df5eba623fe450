import { Button, Group, Modal, Select, Stack, Textarea, TextInput } from "@mantine/core";
import { useMutation } from "@tanstack/react-query";
import { useState } from "react";
import { useTranslation } from "react-i18next";
import { api, ask, type Problem, problemOf, type Schemas } from "../../api/client";
import { ProblemBox } from "../../parts/ProblemBox";
import { filledIn, type Schema, SchemaForm, type Values } from "../../parts/SchemaForm";
import { useTell } from "../../parts/told";
import { ReportView } from "./TestDialog";

export type Source = Schemas["DataSourceView"];
type Connector = Schemas["ConnectorView"];

interface Given {
  project: string;
  /** None: a new one. */
  source: Source | null;
  kinds: Connector[];
  onClose: () => void;
  onDone: (name: string) => void;
}

/** A data source's settings as its connector declares them, tested before they are saved. */
export function SourceDialog({ project, source, kinds, onClose, onDone }: Given) {
  const { t } = useTranslation();
  const tell = useTell();
  const [kind, setKind] = useState(source?.kind ?? null);
  const [name, setName] = useState(source?.name ?? "");
  const [description, setDescription] = useState(source?.description ?? "");
  const [values, setValues] = useState<Values>({ ...source?.config });
  const connector = kinds.find((one) => one.kind === kind);
  const schema = (connector?.config ?? {}) as Schema;
  const config = filledIn(schema, values);
  const test = useMutation({
    mutationFn: () =>
      source
        ? ask(
            api.POST("/api/v1/data-sources/{name}/test", {
              params: { path: { name: source.name }, query: { project } },
              body: { config },
            }),
          )
        : ask(api.POST("/api/v1/data-sources/test", { body: { kind: kind ?? "", config } })),
  });
  const save = useMutation({
    mutationFn: () =>
      source
        ? ask(
            api.PUT("/api/v1/data-sources/{name}", {
              params: { path: { name: source.name }, query: { project } },
              body: { config, description, version: source.version },
            }),
          )
        : ask(
            api.POST("/api/v1/data-sources", {
              params: { query: { project } },
              body: { name: name.trim(), kind: kind ?? "", config, description },
            }),
          ),
    onSuccess: (saved) => {
      tell(t("sources.saved", { name: saved.name }));
      onDone(saved.name);
    },
  });
  const error = save.error ?? test.error;
  const complete = name.trim() !== "" && connector && (schema.required ?? []).every((one) => Boolean(values[one]));
  return (
    <Modal
      opened
      onClose={onClose}
      size="xl"
      title={source ? t("sources.editTitle", { name: source.name }) : t("sources.add")}
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
          {!source && (
            <div className="form-grid">
              <Select
                label={t("sourceColumn.kind")}
                placeholder={t("sources.pickKind")}
                data={kinds.map((one) => ({ value: one.kind, label: one.title }))}
                value={kind}
                required
                allowDeselect={false}
                data-autofocus
                onChange={(chosen) => {
                  setKind(chosen);
                  setValues({});
                  test.reset();
                  save.reset();
                }}
              />
              <TextInput
                label={t("form.name")}
                description={t("form.nameHint")}
                inputWrapperOrder={["label", "input", "description", "error"]}
                value={name}
                maxLength={100}
                required
                autoComplete="off"
                onChange={(event) => setName(event.currentTarget.value)}
              />
            </div>
          )}
          {connector && (
            <>
              <p className="faint">
                {t("sources.roles", {
                  kind: connector.title,
                  roles: connector.roles.map((role) => t(`sources.as.${role}`).toLowerCase()).join(", "),
                })}
              </p>
              <SchemaForm
                key={connector.kind}
                schema={schema}
                values={values}
                change={(after) => {
                  setValues(after);
                  test.reset();
                }}
                wrong={wrongFields(error && problemOf(error))}
              />
              <Textarea
                label={t("form.description")}
                value={description}
                maxLength={500}
                autosize
                onChange={(event) => setDescription(event.currentTarget.value)}
              />
            </>
          )}
          {error && <ProblemBox problem={problemOf(error)} />}
          {test.data && <ReportView report={test.data} />}
          <Group justify="flex-end" className="dialog-foot">
            <Button variant="default" onClick={onClose}>
              {t("operation.cancel")}
            </Button>
            <Button variant="default" loading={test.isPending} disabled={!complete} onClick={() => test.mutate()}>
              {t("sources.testFirst")}
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

/** Which field of the settings it was, where the server says. */
function wrongFields(problem: Problem | null): Record<string, string> {
  const found: Record<string, string> = {};
  for (const one of problem?.errors ?? []) {
    if (one.field) found[one.field.replace(/^config\./, "")] = one.problem ?? "";
  }
  return found;
}
