// The same for many tasks: what would become of each first, then what became of each.

import { Button, Group, Loader, Modal, Stack, TextInput } from "@mantine/core";
import { useMutation, useQuery, useQueryClient } from "@tanstack/react-query";
import { Link } from "@tanstack/react-router";
import { useState } from "react";
import { useTranslation } from "react-i18next";
import { api, ask, asProblem, problemOf, type Schemas, type Task } from "../../api/client";
import { Icon } from "../../parts/Icon";
import { DANGEROUS, sentence, TONES, useCommandName } from "../../parts/Operations";
import { ProblemBox } from "../../parts/ProblemBox";
import { OWNER } from "./BatchButtons";

type Batch = Schemas["Batch"];
type Item = Schemas["BatchItemView"];
type Answer = Schemas["BatchView"];

const batch = (body: Omit<Batch, "dry_run" | "all" | "rules"> & { dry_run: boolean }): Promise<Answer> =>
  ask(api.POST("/api/v1/batches", { body: { all: false, rules: [], ...body } }));

interface Asked {
  operation: string;
  tasks: Task[];
}

export function BatchDialog({ asked, onClose }: { asked: Asked | null; onClose: () => void }) {
  const { t } = useTranslation();
  const name = useCommandName();
  return (
    <Modal
      closeButtonProps={{ "aria-label": t("shell.close") }}
      opened={asked !== null}
      onClose={onClose}
      size="xl"
      title={
        asked && (
          <span className="dialog-title">
            {asked.operation === OWNER ? t("batch.owner") : name(asked.operation)}{" "}
            <b>{t("batch.tasks", { count: asked.tasks.length })}</b>
          </span>
        )
      }
    >
      {asked &&
        (asked.operation === OWNER ? (
          <Owner asked={asked} onClose={onClose} />
        ) : (
          <Commands asked={asked} onClose={onClose} />
        ))}
    </Modal>
  );
}

const named = (tasks: Task[]) => tasks.map((task) => ({ task: String(task.id) }));

function Commands({ asked, onClose }: { asked: Asked; onClose: () => void }) {
  const { t } = useTranslation();
  const name = useCommandName();
  const [typed, setTyped] = useState("");
  const operation = asked.operation as Batch["operation"];
  const look = useQuery({
    queryKey: ["batch", asked.operation, asked.tasks.map((task) => task.id)],
    queryFn: () => batch({ operation, tasks: named(asked.tasks), dry_run: true }),
    staleTime: Number.POSITIVE_INFINITY,
    gcTime: 0,
    retry: false,
    refetchOnWindowFocus: false,
  });
  const willing = (look.data?.items ?? []).filter((item) => item.outcome === "allowed");
  const give = useGiven((answer: Item[]) =>
    batch({
      operation,
      tasks: answer.map((item) => ({ task: String(item.task), version: item.version })),
      dry_run: false,
    }),
  );
  const word = String(willing.length);
  const ready = willing.length > 0 && (!DANGEROUS.has(asked.operation) || typed.trim() === word);
  if (give.data) return <Outcome answer={give.data} onClose={onClose} />;
  return (
    <Stack gap="md">
      {look.isPending && (
        <Group gap="sm" className="looking">
          <Loader size="sm" /> {t("batch.looking", { count: asked.tasks.length })}
        </Group>
      )}
      {look.error && <ProblemBox problem={problemOf(look.error)} again={() => void look.refetch()} />}
      {look.data && (
        <>
          <p className="note" role="status">
            {willing.length > 0
              ? t("batch.willing", { count: willing.length, command: name(asked.operation) })
              : t("batch.noneWilling", { command: name(asked.operation) })}
            {look.data.total > willing.length &&
              ` ${t("batch.unwilling", { count: look.data.total - willing.length })}`}
          </p>
          <Items items={look.data.items ?? []} first="allowed" />
        </>
      )}
      {give.error && <ProblemBox problem={problemOf(give.error)} again={() => void look.refetch()} />}
      {willing.length > 0 && DANGEROUS.has(asked.operation) && (
        <TextInput
          label={t("batch.typeCount", { count: willing.length })}
          value={typed}
          onChange={(event) => setTyped(event.currentTarget.value)}
          inputMode="numeric"
          autoComplete="off"
        />
      )}
      <Group justify="flex-end" gap="sm">
        <Button variant="default" onClick={onClose}>
          {t("operation.cancel")}
        </Button>
        <Button
          color={TONES[asked.operation]}
          disabled={!ready}
          loading={give.isPending}
          onClick={() => give.mutate(willing)}
        >
          {t("batch.do", { command: name(asked.operation), count: willing.length })}
        </Button>
      </Group>
    </Stack>
  );
}

function Owner({ asked, onClose }: { asked: Asked; onClose: () => void }) {
  const { t } = useTranslation();
  const [owner, setOwner] = useState("");
  const give = useGiven((to: string) =>
    batch({ operation: OWNER, owner: to, tasks: named(asked.tasks), dry_run: false }),
  );
  if (give.data) return <Outcome answer={give.data} onClose={onClose} />;
  return (
    <Stack gap="md">
      <TextInput
        label={t("batch.newOwner")}
        value={owner}
        maxLength={100}
        data-autofocus
        onChange={(event) => setOwner(event.currentTarget.value)}
      />
      {give.error && <ProblemBox problem={problemOf(give.error)} />}
      <Group justify="flex-end" gap="sm">
        <Button variant="default" onClick={onClose}>
          {t("operation.cancel")}
        </Button>
        <Button disabled={!owner.trim()} loading={give.isPending} onClick={() => give.mutate(owner.trim())}>
          {t("batch.owner")}
        </Button>
      </Group>
    </Stack>
  );
}

function useGiven<T>(give: (given: T) => Promise<Answer>) {
  const client = useQueryClient();
  return useMutation({
    mutationFn: give,
    onSettled: () => {
      void client.invalidateQueries({ queryKey: ["ops"] });
      void client.invalidateQueries({ queryKey: ["ops-totals"] });
    },
  });
}

/** What became of each. */
function Outcome({ answer, onClose }: { answer: Answer; onClose: () => void }) {
  const { t } = useTranslation();
  return (
    <Stack gap="md">
      <p className="note" role="status">
        <b>{t("batch.succeeded", { count: answer.succeeded, total: answer.total })}</b>
        {answer.failed > 0 && ` ${t("batch.failed", { count: answer.failed })}`}
      </p>
      <Items items={answer.items ?? []} />
      <Group justify="flex-end">
        <Button onClick={onClose}>{t("shell.close")}</Button>
      </Group>
    </Stack>
  );
}

/** Those of one outcome first: before it is done what will be, after it what failed. */
function Items({ items, first = "failed" }: { items: Item[]; first?: string }) {
  const { t } = useTranslation();
  const sorted = [...items].sort((a, b) => Number(b.outcome === first) - Number(a.outcome === first));
  return (
    // biome-ignore lint/a11y/noNoninteractiveTabindex: what scrolls must be reached with the keyboard
    <section className="batch-items" tabIndex={0} aria-label={t("batch.items")}>
      <table className="list list-dense">
        <thead>
          <tr>
            <th>{t("column.name")}</th>
            <th>{t("batch.outcome")}</th>
            <th>{t("batch.why")}</th>
          </tr>
        </thead>
        <tbody>
          {sorted.map((item) => {
            const problem = asProblem(item.problem);
            const said = problem ? problem.detail || problem.title : (item.preview?.cost ?? item.preview?.note ?? "");
            return (
              <tr key={`${item.task}${item.name}`}>
                <td>
                  {item.project ? (
                    <Link
                      to="/tasks/$project/$task/{-$tab}"
                      params={{ project: item.project, task: item.name, tab: undefined }}
                      target="_blank"
                    >
                      {item.name}
                    </Link>
                  ) : (
                    item.name
                  )}
                </td>
                <td>
                  <span className={`outcome outcome-${item.outcome}`}>
                    <Icon
                      name={item.outcome === "failed" ? "cross" : item.outcome === "unchanged" ? "minus" : "check"}
                      size={13}
                    />
                    {t(`outcome.${item.outcome}`, { defaultValue: item.outcome })}
                  </span>
                </td>
                <td className="why" title={problem?.advice}>
                  {sentence(said)}
                </td>
              </tr>
            );
          })}
        </tbody>
      </table>
    </section>
  );
}
