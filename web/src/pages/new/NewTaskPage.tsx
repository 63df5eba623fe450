import { SegmentedControl, Skeleton } from "@mantine/core";
import { useSessionStorage } from "@mantine/hooks";
import { useQuery } from "@tanstack/react-query";
import { Link, useNavigate, useParams, useSearch } from "@tanstack/react-router";
import { useState } from "react";
import { useTranslation } from "react-i18next";
import { api, ask, type Detail, problemOf } from "../../api/client";
import * as queries from "../../api/queries";
import { Page } from "../../parts/Page";
import { ProblemBox } from "../../parts/ProblemBox";
import { EditLock } from "../task/EditLock";
import { type Draft, NEW, type NewSearch } from "./draft";
import { Wizard } from "./Wizard";
import { YamlPane } from "./YamlPane";

/** A new task. What was typed is kept in this tab, over whatever happens to the page. */
export function NewTaskPage() {
  const [draft, setDraft, forget] = useSessionStorage<Draft>({
    key: "tidegate-new-task",
    defaultValue: NEW,
    getInitialValueInEffect: false,
  });
  const search = useSearch({ from: "/new" });
  const navigate = useNavigate({ from: "/new" });
  return (
    <Editor
      draft={draft}
      setDraft={setDraft}
      search={search}
      show={(change) => void navigate({ search: (before) => ({ ...before, ...change }) })}
      editing={null}
      done={forget}
    />
  );
}

/** The definition of a task that there is. */
export function EditTaskPage() {
  const { project, task } = useParams({ from: "/edit/$project/$task" });
  const found = useQuery({ ...queries.detail({ project, task }), staleTime: Number.POSITIVE_INFINITY, gcTime: 0 });
  if (found.error && !found.data) {
    return <ProblemBox problem={problemOf(found.error)} again={() => void found.refetch()} />;
  }
  if (!found.data) return <Skeleton height={300} radius="md" />;
  return <Editing key={found.data.task.id} detail={found.data} />;
}

function Editing({ detail }: { detail: Detail }) {
  const [draft, setDraft] = useState<Draft>(detail.definition as Draft);
  const search = useSearch({ from: "/edit/$project/$task" });
  const navigate = useNavigate({ from: "/edit/$project/$task" });
  return (
    <Editor
      draft={draft}
      setDraft={setDraft}
      search={search}
      show={(change) => void navigate({ search: (before) => ({ ...before, ...change }) })}
      editing={detail}
      done={() => {}}
    />
  );
}

export interface EditorProps {
  draft: Draft;
  setDraft: (draft: Draft) => void;
  search: NewSearch;
  show: (change: NewSearch) => void;
  /** The task whose definition it is; none: it will be a new one. */
  editing: Detail | null;
  done: () => void;
}

function Editor(props: EditorProps) {
  const { t } = useTranslation();
  const { search, show, editing } = props;
  return (
    <Page
      title={editing ? t("new.editTitle", { task: editing.task.name }) : t("new.title")}
      hint={editing ? t("new.editHint") : t("new.hint")}
      actions={
        <SegmentedControl
          size="sm"
          value={search.yaml ? "yaml" : "form"}
          onChange={(value) => show({ yaml: value === "yaml" ? true : undefined })}
          data={["form", "yaml"].map((value) => ({ value, label: t(`new.as.${value}`) }))}
        />
      }
    >
      {editing && !editing.editable && (
        <ProblemBox
          tone="warning"
          title={t("new.notNow")}
          problem={{ title: "", status: 0, code: "", detail: "", advice: t("new.notNowAdvice") }}
        />
      )}
      {editing && <EditLock which={{ project: editing.task.project, task: editing.task.name }} />}
      {search.yaml ? <YamlPane {...props} /> : <Wizard {...props} />}
      {!editing && <Unfinished />}
    </Page>
  );
}

/** Definitions that were saved and never submitted: no list of operations shows them. */
function Unfinished() {
  const { t } = useTranslation();
  const found = useQuery({
    queryKey: ["tasks", "drafts"],
    queryFn: () => ask(api.GET("/api/v1/tasks", { params: { query: { drafts_only: true } } })),
  });
  const drafts = found.data ?? [];
  if (drafts.length === 0) return null;
  return (
    <p className="faint unfinished">
      {t("new.drafts")}{" "}
      {drafts.slice(0, 20).map((task, place) => (
        <span key={task.id}>
          {place > 0 && ", "}
          <Link to="/edit/$project/$task" params={{ project: task.project, task: task.name }}>
            {task.name}
          </Link>
        </span>
      ))}
    </p>
  );
}
