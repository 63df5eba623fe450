import { Button, Group, Loader, TextInput } from "@mantine/core";
import { useMutation, useQuery, useQueryClient } from "@tanstack/react-query";
import { useNavigate } from "@tanstack/react-router";
import { useRef, useState } from "react";
import { useTranslation } from "react-i18next";
import { api, ask, asProblem, problemOf, type Schemas, type Task } from "../../api/client";
import { Checks } from "../../parts/Checks";
import { Icon } from "../../parts/Icon";
import { ProblemBox } from "../../parts/ProblemBox";
import { DEFAULT_PROJECT } from "../../parts/Project";
import { useTell } from "../../parts/told";
import { asSpec, type Draft } from "./draft";
import type { EditorProps } from "./NewTaskPage";

type Rehearsal = Schemas["RehearsalView"];
const PARTS = ["definition", "references", "source", "target", "tables"];

/** Every check with its result, where the tables go, and then the task. */
export function CheckStep({ draft, editing, done }: EditorProps) {
  const { t } = useTranslation();
  const project = editing?.task.project ?? draft.project ?? DEFAULT_PROJECT;
  const saved = useRef<Task | null>(editing?.task ?? null);
  const said = JSON.stringify(draft);
  const check = useQuery({
    queryKey: ["definition-check", said, saved.current?.id],
    queryFn: () =>
      ask(
        api.POST("/api/v1/definitions/check", {
          params: { query: { project } },
          body: {
            definition: asSpec(draft) as unknown as Record<string, unknown>,
            task: saved.current ? String(saved.current.id) : undefined,
          },
        }),
      ),
    staleTime: Number.POSITIVE_INFINITY,
    gcTime: 0,
    retry: false,
    refetchOnWindowFocus: false,
  });
  const [note, setNote] = useState("");
  const submit = useSubmitted(draft, project, saved, note, done);
  const startable = !editing || ["draft", "initialize"].includes(editing.task.state);
  const ready = check.data?.ok === true && !check.isFetching && (editing?.editable ?? true);
  const runs = check.data?.checks.every((line) => line.ok) && startable;
  return (
    <>
      <section className="card" aria-busy={check.isFetching}>
        <h2>
          {t("new.checks")}
          {check.isFetching && <Loader size={14} />}
          <Button
            className="aside"
            size="compact-sm"
            variant="default"
            leftSection={<Icon name="refresh" size={13} />}
            disabled={check.isFetching}
            onClick={() => void check.refetch()}
          >
            {t("new.checkAgain")}
          </Button>
        </h2>
        {check.isPending && <p className="looking">{t("new.checking")}</p>}
        {check.error && <ProblemBox problem={problemOf(check.error)} again={() => void check.refetch()} />}
        {check.data && <Lines said={check.data} />}
      </section>
      {check.data && check.data.fits.length > 0 && <Fits said={check.data} />}
      <section className="card wizard-foot">
        <TextInput
          label={t("versions.note")}
          value={note}
          maxLength={500}
          onChange={(event) => setNote(event.currentTarget.value)}
        />
        {submit.error && <ProblemBox problem={problemOf(submit.error)} />}
        <Group justify="flex-end" mt="sm">
          <Button
            variant="default"
            loading={submit.isPending && submit.variables === "save"}
            onClick={() => submit.mutate("save")}
          >
            {t("new.save")}
          </Button>
          <Button
            variant={runs ? "default" : "filled"}
            disabled={!ready}
            loading={submit.isPending && submit.variables === "submit"}
            onClick={() => submit.mutate("submit")}
          >
            {t("new.submit")}
          </Button>
          {startable && (
            <Button
              disabled={!ready || !runs}
              leftSection={<Icon name="run" size={14} />}
              loading={submit.isPending && submit.variables === "run"}
              onClick={() => submit.mutate("run")}
            >
              {t("new.submitAndRun")}
            </Button>
          )}
        </Group>
      </section>
    </>
  );
}

type Goal = "save" | "submit" | "run";

/** Saves, submits, runs: as far as is wanted. What was done stays done when a later step is refused. */
function useSubmitted(draft: Draft, project: string, saved: { current: Task | null }, note: string, done: () => void) {
  const { t } = useTranslation();
  const tell = useTell();
  const client = useQueryClient();
  const navigate = useNavigate();
  return useMutation({
    mutationFn: async (goal: Goal) => {
      const body = asSpec(draft);
      const before = saved.current;
      const made = before
        ? await ask(
            api.PUT("/api/v1/tasks/{task}", {
              params: { path: { task: String(before.id) }, query: { project, version: before.version } },
              body,
            }),
          )
        : await ask(api.POST("/api/v1/tasks", { body }));
      saved.current = made.task;
      if (goal === "save") return made.task;
      const path = { task: String(made.task.id) };
      const submitted = await ask(
        api.POST("/api/v1/tasks/{task}/submit", {
          params: { path, query: { project } },
          body: { note, version: made.task.version },
        }),
      );
      saved.current = submitted.task;
      if (goal === "run") {
        await ask(
          api.POST("/api/v1/tasks/{task}/commands/{command}", {
            params: { path: { ...path, command: "run" }, query: { project } },
            body: { version: submitted.task.version },
          }),
        );
      }
      return submitted.task;
    },
    onSuccess: (task, goal) => {
      tell(t(`new.done.${goal}`, { task: task.name }));
      done();
      void navigate({
        to: "/tasks/$project/$task/{-$tab}",
        params: { project: task.project, task: task.name, tab: undefined },
      });
    },
    onSettled: () => {
      void client.invalidateQueries({ queryKey: ["task"] });
      void client.invalidateQueries({ queryKey: ["tasks"] });
      void client.invalidateQueries({ queryKey: ["ops"] });
    },
  });
}

/** The checks, by what was looked at. */
function Lines({ said }: { said: Rehearsal }) {
  const { t } = useTranslation();
  const name = (of: string, line: string) => t(`check.${of}.${line}`, { defaultValue: line });
  return (
    <div className="report report-wide" role="status">
      <p className={said.ok ? "verdict-ok" : "verdict-bad"}>
        <b>{said.ok ? t("new.canSubmit") : t("new.cannotSubmit")}</b>
      </p>
      {PARTS.map((of) => {
        const lines = said.checks.filter((line) => line.of === of);
        if (lines.length === 0) return null;
        return (
          <section key={of}>
            <h3>{t(`new.part.${of}`)}</h3>
            <Checks
              lines={lines.map((line) => ({
                name: name(of, line.name),
                ok: line.ok,
                found: line.found,
                advice: line.advice,
                code: line.code,
                mild: line.stops !== "submit",
              }))}
            />
          </section>
        );
      })}
    </div>
  );
}

/** Where each table goes, column by column; what does not fit is marked. */
function Fits({ said }: { said: Rehearsal }) {
  const { t } = useTranslation();
  return (
    <section className="card">
      <h2>
        {t("new.fits")}
        {said.tables != null && said.tables > said.fits.length && (
          <span className="aside faint">{t("new.fitsFirst", { count: said.fits.length, total: said.tables })}</span>
        )}
      </h2>
      {said.fits.map((fit) => {
        const problems = fit.problems.map(asProblem).filter((one) => one !== null);
        const wrong = problems.length > 0 || fit.columns.some((column) => column.wrong);
        return (
          <details key={fit.source} className="fit" open={wrong}>
            <summary>
              <Icon name={wrong ? "cross" : "check"} size={14} />
              <code className="break">{fit.source}</code>
              <Icon name="arrow" size={13} />
              <code className="break">{fit.target || "–"}</code>
              <span className={wrong ? "verdict-bad" : "faint"}>
                {wrong ? t("new.fitWrong") : fit.exists ? t("new.fitExists") : t("new.fitCreated")}
              </span>
            </summary>
            {problems.map((problem, place) => (
              <ProblemBox key={place} problem={problem} />
            ))}
            <div className="scroll-x">
              <table className="list list-dense">
                <thead>
                  <tr>
                    {["column", "type", "targetType", "key"].map((key) => (
                      <th key={key}>{t(`fitColumn.${key}`)}</th>
                    ))}
                  </tr>
                </thead>
                <tbody>
                  {fit.columns.map((column) => (
                    <tr key={column.name} data-wrong={column.wrong ? true : undefined}>
                      <td>{column.name}</td>
                      <td>
                        <code>
                          {column.type}
                          {column.nullable ? "" : " not null"}
                        </code>
                      </td>
                      <td>
                        <code>{column.target_type || "–"}</code>
                        {column.wrong && <span className="sub error-text">{column.wrong}</span>}
                      </td>
                      <td>{column.key ? <Icon name="check" size={14} /> : ""}</td>
                    </tr>
                  ))}
                </tbody>
              </table>
            </div>
          </details>
        );
      })}
    </section>
  );
}
