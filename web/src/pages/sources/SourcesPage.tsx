import { Button } from "@mantine/core";
import { useQuery, useQueryClient } from "@tanstack/react-query";
import { useNavigate, useSearch } from "@tanstack/react-router";
import { useState } from "react";
import { useTranslation } from "react-i18next";
import { api, ask, problemOf, type Schemas } from "../../api/client";
import * as queries from "../../api/queries";
import { useFormat } from "../../manner";
import { Confirm } from "../../parts/Confirm";
import { Icon } from "../../parts/Icon";
import { Page } from "../../parts/Page";
import { ProblemBox } from "../../parts/ProblemBox";
import { DEFAULT_PROJECT, ProjectPicker } from "../../parts/Project";
import { useMay } from "../../session/useMay";
import { type Source, SourceDialog } from "./SourceDialog";
import { TestDialog } from "./TestDialog";

type Doing = { what: "edit" | "test" | "delete"; source: Source } | { what: "new" } | null;

export function SourcesPage() {
  const { t } = useTranslation();
  const { project = DEFAULT_PROJECT } = useSearch({ from: "/sources" });
  const navigate = useNavigate({ from: "/sources" });
  const client = useQueryClient();
  const found = useQuery(queries.dataSources(project));
  const kinds = useQuery(queries.connectors());
  const [doing, setDoing] = useState<Doing>(null);
  const title = (kind: string) => kinds.data?.find((one) => one.kind === kind)?.title ?? kind;
  const done = () => {
    setDoing(null);
    void client.invalidateQueries({ queryKey: ["data-sources"] });
  };
  const add = useMay().allowed("data_source.edit", project) && (
    <Button leftSection={<Icon name="plus" />} onClick={() => setDoing({ what: "new" })}>
      {t("sources.add")}
    </Button>
  );
  return (
    <Page
      title={t("nav.sources")}
      hint={t("sources.hint")}
      actions={
        <>
          <ProjectPicker value={project} change={(to) => void navigate({ search: { project: to } })} />
          {add}
        </>
      }
    >
      {found.error && <ProblemBox problem={problemOf(found.error)} again={() => void found.refetch()} />}
      {found.data?.length === 0 && (
        <div className="card empty">
          <h2>{t("sources.none")}</h2>
          <p>{t("sources.noneHint")}</p>
          {add}
        </div>
      )}
      {found.data && found.data.length > 0 && (
        <div className="table-frame">
          <table className="list">
            <thead>
              <tr>
                <th>{t("sourceColumn.name")}</th>
                <th className="wide">{t("sourceColumn.kind")}</th>
                <th className="wide">{t("sourceColumn.address")}</th>
                <th>{t("sourceColumn.used")}</th>
                <th className="wide">{t("sourceColumn.changed")}</th>
                <th className="acts">
                  <span className="visually-hidden">{t("ops.operations")}</span>
                </th>
              </tr>
            </thead>
            <tbody>
              {found.data.map((source) => (
                <SourceRow
                  key={source.id}
                  project={project}
                  source={source}
                  title={title(source.kind)}
                  act={setDoing}
                />
              ))}
            </tbody>
          </table>
        </div>
      )}
      {doing?.what === "new" && (
        <SourceDialog
          project={project}
          source={null}
          kinds={kinds.data ?? []}
          onClose={() => setDoing(null)}
          onDone={done}
        />
      )}
      {doing?.what === "edit" && (
        <SourceDialog
          project={project}
          source={doing.source}
          kinds={kinds.data ?? []}
          onClose={() => setDoing(null)}
          onDone={done}
        />
      )}
      {doing?.what === "test" && (
        <TestDialog project={project} name={doing.source.name} onClose={() => setDoing(null)} />
      )}
      {doing?.what === "delete" && (
        <Confirm
          title={t("sources.deleteTitle", { name: doing.source.name })}
          says={t("sources.deleteSays")}
          act={t("act.delete")}
          run={() =>
            ask(
              api.DELETE("/api/v1/data-sources/{name}", {
                params: { path: { name: doing.source.name }, query: { project, version: doing.source.version } },
              }),
            )
          }
          onClose={done}
        />
      )}
    </Page>
  );
}

/** What of the settings says where it is. */
function address(config: Schemas["DataSourceView"]["config"]): string {
  const { host, port, database, path } = config as Record<string, string | number | undefined>;
  if (path) return String(path);
  return `${host ?? ""}${port ? `:${port}` : ""}${database ? `/${database}` : ""}`;
}

function SourceRow(given: { project: string; source: Source; title: string; act: (doing: Doing) => void }) {
  const { t } = useTranslation();
  const may = useMay();
  const { project, source, title, act } = given;
  const edits = may.allowed("data_source.edit", project);
  const { near, moment } = useFormat();
  return (
    <tr>
      <td className="name">
        {edits ? (
          <button type="button" className="plain-link" onClick={() => act({ what: "edit", source })}>
            {source.name}
          </button>
        ) : (
          <b>{source.name}</b>
        )}
        {source.description && <span className="sub">{source.description}</span>}
      </td>
      <td className="wide">{title}</td>
      <td className="wide">
        <code className="break">{address(source.config)}</code>
      </td>
      <td>
        <span title={source.used_by.join(", ")}>
          {source.used_by.length === 0 ? (
            <span className="faint">{t("sources.unused")}</span>
          ) : (
            t("sources.used", { count: source.used_by.length })
          )}
        </span>
      </td>
      <td className="wide" title={moment(source.changed_at)}>
        {near(source.changed_at)}
      </td>
      <td className="acts">
        {may.allowed("data_source.test", project) && (
          <Button size="compact-sm" variant="default" onClick={() => act({ what: "test", source })}>
            {t("act.test")}
          </Button>
        )}
        {edits && (
          <>
            <Button size="compact-sm" variant="default" onClick={() => act({ what: "edit", source })}>
              {t("act.edit")}
            </Button>
            <Button
              size="compact-sm"
              variant="default"
              disabled={source.used_by.length > 0}
              title={source.used_by.length > 0 ? t("sources.inUse") : undefined}
              onClick={() => act({ what: "delete", source })}
            >
              {t("act.delete")}
            </Button>
          </>
        )}
      </td>
    </tr>
  );
}
