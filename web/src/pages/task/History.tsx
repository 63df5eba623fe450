import { Button, Group, Modal, Select, Stack, Textarea } from "@mantine/core";
import { notifications } from "@mantine/notifications";
import { useMutation, useQuery, useQueryClient } from "@tanstack/react-query";
import { Link, useNavigate, useSearch } from "@tanstack/react-router";
import { useState } from "react";
import { useTranslation } from "react-i18next";
import { api, ask, asProblem, problemOf, type Run, type Schemas, type Version } from "../../api/client";
import * as queries from "../../api/queries";
import { useFormat } from "../../manner";
import { diff } from "../../parts/diff";
import { Icon } from "../../parts/Icon";
import { ProblemBox } from "../../parts/ProblemBox";
import { yaml } from "../../parts/yaml";
import { useMay } from "../../session/useMay";
import type { TabProps } from "./TaskPage";

/** Snapshots of the present run, all runs, and all submitted versions. */
export function History(props: TabProps) {
  return (
    <>
      <Versions {...props} />
      <Runs {...props} />
      <Snapshots {...props} />
    </>
  );
}

function Snapshots({ task, which }: TabProps) {
  const { t } = useTranslation();
  const client = useQueryClient();
  const { moment, bytes, duration } = useFormat();
  const may = useMay();
  const found = useQuery(queries.snapshots(which));
  const take = useMutation({
    mutationFn: () =>
      ask(
        api.POST("/api/v1/tasks/{task}/snapshots", {
          params: { path: { task: which.task }, query: { project: which.project } },
        }),
      ),
    onSuccess: () => {
      notifications.show({
        message: t("snapshots.asked"),
        color: "teal",
        closeButtonProps: { "aria-label": t("shell.close") },
      });
      void client.invalidateQueries({ queryKey: ["task", which.project, which.task, "snapshots"] });
    },
  });
  const error = found.error ?? take.error;
  return (
    <section className="card card-flush">
      <h2 className="pad">
        {t("snapshots.title")}
        {may.allowed("task.operate", task.project) && (
          <Button
            className="aside"
            size="compact-sm"
            variant="default"
            leftSection={<Icon name="camera" size={14} />}
            loading={take.isPending}
            disabled={task.state !== "running"}
            onClick={() => take.mutate()}
          >
            {t("snapshots.take")}
          </Button>
        )}
      </h2>
      <p className="faint pad">{t("snapshots.hint")}</p>
      {error && <ProblemBox problem={problemOf(error)} />}
      {found.data?.length === 0 && <p className="faint pad">{t("fact.noSnapshot")}</p>}
      {found.data && found.data.length > 0 && (
        <div className="scroll-x">
          <table className="list list-dense">
            <thead>
              <tr>
                {["at", "age", "kind", "position", "size", "run", "epoch"].map((key) => (
                  <th key={key}>{t(`snapshotColumn.${key}`)}</th>
                ))}
              </tr>
            </thead>
            <tbody>
              {found.data.map((one) => (
                <tr key={one.id}>
                  <td>{moment(one.at)}</td>
                  <td>{t("ago", { time: duration(Math.max(0, (Date.now() - Date.parse(one.at)) / 1000)) })}</td>
                  <td>{t(`snapshotKind.${one.kind}`, { defaultValue: one.kind })}</td>
                  <td>
                    <code>{one.position}</code>
                  </td>
                  <td>{bytes(one.state_bytes)}</td>
                  <td>{one.run}</td>
                  <td>{one.epoch}</td>
                </tr>
              ))}
            </tbody>
          </table>
        </div>
      )}
    </section>
  );
}

function Runs({ task, which }: TabProps) {
  const { t } = useTranslation();
  const { near, moment, duration, short, whole } = useFormat();
  const found = useQuery({ ...queries.runs(which), refetchInterval: 10_000 });
  const count = (run: Run, name: string) => {
    const value = run.counters[name];
    return typeof value === "number" ? short(value) : "–";
  };
  const lasted = (run: Run) =>
    duration(((run.ended_at ? Date.parse(run.ended_at) : Date.now()) - Date.parse(run.started_at)) / 1000);
  return (
    <section className="card card-flush">
      <h2 className="pad">{t("runs.title")}</h2>
      {found.error && <ProblemBox problem={problemOf(found.error)} />}
      {found.data?.length === 0 && <p className="faint pad">{t("overview.neverRun")}</p>}
      {found.data && found.data.length > 0 && (
        <div className="scroll-x">
          <table className="list list-dense">
            <thead>
              <tr>
                {["number", "started", "lasted", "phase", "version", "restarts", "read", "written", "ended", "see"].map(
                  (key) => (
                    <th key={key}>{t(`runColumn.${key}`)}</th>
                  ),
                )}
              </tr>
            </thead>
            <tbody>
              {found.data.map((run) => {
                const error = asProblem(run.error);
                return (
                  <tr key={run.number}>
                    <td>
                      <b>{run.number}</b>
                      {run.number === task.run && !run.ended_at && <span className="sub">{t("runs.present")}</span>}
                    </td>
                    <td title={moment(run.started_at)}>{near(run.started_at)}</td>
                    <td>{lasted(run)}</td>
                    <td>{t(`phase.${run.phase}`, { defaultValue: run.phase })}</td>
                    <td>{run.version}</td>
                    <td>{whole(run.restarts)}</td>
                    <td>{count(run, "rows_read")}</td>
                    <td>{count(run, "rows_written")}</td>
                    <td>
                      {run.ended_at ? near(run.ended_at) : "–"}
                      {error && (
                        <span className="sub error-text" title={error.detail}>
                          {error.title || error.detail}
                        </span>
                      )}
                    </td>
                    <td>
                      <Link
                        to="/tasks/$project/$task/{-$tab}"
                        params={{ ...which, tab: "metrics" }}
                        search={run.number === task.run ? {} : { run: run.number, range: 24 * 3600 }}
                      >
                        {t("tab.metrics")}
                      </Link>{" "}
                      ·{" "}
                      <Link
                        to="/tasks/$project/$task/{-$tab}"
                        params={{ ...which, tab: "events" }}
                        search={{ run: run.number }}
                      >
                        {t("tab.events")}
                      </Link>
                    </td>
                  </tr>
                );
              })}
            </tbody>
          </table>
        </div>
      )}
    </section>
  );
}

function Versions({ task, which, detail }: TabProps) {
  const { t } = useTranslation();
  const { moment } = useFormat();
  const search = useSearch({ from: "/tasks/$project/$task/{-$tab}" });
  const navigate = useNavigate({ from: "/tasks/$project/$task/{-$tab}" });
  const found = useQuery(queries.versions(which));
  const edits = useMay().allowed("task.edit", which.project);
  const [again, setAgain] = useState<Version | null>(null);
  const all = found.data ?? [];
  const by = (number: number | undefined) => all.find((one) => one.number === number);
  const newer = by(search.newer) ?? all[0];
  const older = by(search.older) ?? all.find((one) => one.number === (newer?.number ?? 0) - 1);
  const choices = all.map((one) => ({ value: String(one.number), label: t("versions.one", { version: one.number }) }));
  const pick = (change: { older?: number; newer?: number }) =>
    void navigate({ search: (before) => ({ ...before, ...change }) });
  return (
    <section className="card card-flush">
      <h2 className="pad">{t("versions.title")}</h2>
      {found.error && <ProblemBox problem={problemOf(found.error)} />}
      <div className="scroll-x">
        <table className="list list-dense">
          <thead>
            <tr>
              {["number", "at", "by", "note", "act"].map((key) => (
                <th key={key}>{t(`versionColumn.${key}`)}</th>
              ))}
            </tr>
          </thead>
          <tbody>
            {all.map((one) => (
              <tr key={one.number}>
                <td>
                  <b>{one.number}</b>
                  {one.number === task.submitted && <span className="sub">{t("versions.present")}</span>}
                </td>
                <td>{moment(one.submitted_at)}</td>
                <td>{one.submitted_by}</td>
                <td>{one.note || "–"}</td>
                <td>
                  {one.number !== task.submitted && edits && (
                    <Button
                      size="compact-xs"
                      variant="default"
                      disabled={!detail.editable}
                      title={detail.editable ? undefined : t("versions.notNow")}
                      onClick={() => setAgain(one)}
                    >
                      {t("versions.again")}
                    </Button>
                  )}
                </td>
              </tr>
            ))}
          </tbody>
        </table>
      </div>
      {newer && older && (
        <div className="pad">
          <Group gap="xs" mb="xs">
            <span>{t("versions.compare")}</span>
            <Select
              size="xs"
              w={130}
              aria-label={t("versions.older")}
              data={choices}
              value={String(older.number)}
              allowDeselect={false}
              onChange={(value) => pick({ older: Number(value) })}
            />
            <Icon name="arrow" />
            <Select
              size="xs"
              w={130}
              aria-label={t("versions.newer")}
              data={choices}
              value={String(newer.number)}
              allowDeselect={false}
              onChange={(value) => pick({ newer: Number(value) })}
            />
          </Group>
          <Difference before={yaml(older.definition)} after={yaml(newer.definition)} />
        </div>
      )}
      <Modal
        closeButtonProps={{ "aria-label": t("shell.close") }}
        opened={again !== null}
        onClose={() => setAgain(null)}
        size="xl"
        title={again && t("versions.againTitle", { version: again.number })}
      >
        {again && (
          <SubmitAgain
            version={again}
            task={task}
            which={which}
            now={all.find((one) => one.number === task.submitted)}
            onClose={() => setAgain(null)}
          />
        )}
      </Modal>
    </section>
  );
}

function Difference({ before, after }: { before: string; after: string }) {
  const { t } = useTranslation();
  const lines = diff(before, after);
  if (lines.every((line) => line.sign === " ")) return <p className="faint">{t("versions.same")}</p>;
  return (
    // biome-ignore lint/a11y/noNoninteractiveTabindex: what scrolls must be reached with the keyboard
    <pre className="code diff" tabIndex={0}>
      {lines.map((line, place) => (
        <span key={place} className={line.sign === "+" ? "added" : line.sign === "-" ? "gone" : ""}>
          {line.sign} {line.text}
          {"\n"}
        </span>
      ))}
    </pre>
  );
}

/** An old definition becomes the task's newest version. */
function SubmitAgain(given: {
  version: Version;
  now: Version | undefined;
  task: TabProps["task"];
  which: queries.Which;
  onClose: () => void;
}) {
  const { t } = useTranslation();
  const client = useQueryClient();
  const { version, which, task } = given;
  const [note, setNote] = useState(t("versions.againNote", { version: version.number }));
  const path = { task: which.task };
  const submit = useMutation({
    mutationFn: async () => {
      const edited = await ask(
        api.PUT("/api/v1/tasks/{task}", {
          params: { path, query: { project: which.project, version: task.version } },
          // It is what this server stored when it was submitted, and it is checked again.
          body: version.definition as unknown as Schemas["TaskSpec"],
        }),
      );
      return ask(
        api.POST("/api/v1/tasks/{task}/submit", {
          params: { path, query: { project: which.project } },
          body: { note, version: edited.task.version },
        }),
      );
    },
    onSuccess: () => {
      notifications.show({
        message: t("versions.submitted"),
        color: "teal",
        closeButtonProps: { "aria-label": t("shell.close") },
      });
      given.onClose();
    },
    onSettled: () => client.invalidateQueries({ queryKey: ["task", which.project, which.task] }),
  });
  return (
    <Stack>
      <p className="note">{t("versions.againHint")}</p>
      {given.now && <Difference before={yaml(given.now.definition)} after={yaml(version.definition)} />}
      <Textarea
        label={t("versions.note")}
        value={note}
        maxLength={500}
        autosize
        onChange={(event) => setNote(event.currentTarget.value)}
      />
      {submit.error && <ProblemBox problem={problemOf(submit.error)} />}
      <Group justify="flex-end">
        <Button variant="default" onClick={given.onClose}>
          {t("operation.cancel")}
        </Button>
        <Button loading={submit.isPending} onClick={() => submit.mutate()}>
          {t("versions.submit")}
        </Button>
      </Group>
    </Stack>
  );
}
