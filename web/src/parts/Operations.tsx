// Operations of a task as the lifecycle offers them: a refused one is greyed and says why, and each shows what it would
// do before it does it.

import { ActionIcon, Button, Group, Loader, Menu, Modal, Radio, Stack, TextInput, Tooltip } from "@mantine/core";
import { notifications } from "@mantine/notifications";
import { useMutation, useQuery, useQueryClient } from "@tanstack/react-query";
import { type ReactNode, useState } from "react";
import { useTranslation } from "react-i18next";
import { api, ask, asProblem, type Offer, type Preview, problemOf, type Task } from "../api/client";
import * as queries from "../api/queries";
import { useFormat } from "../manner";
import { useMay } from "../session/useMay";
import { Icon, isIcon } from "./Icon";
import { ProblemBox } from "./ProblemBox";

/** Those that end or discard something, and want the task's name typed. */
export const DANGEROUS: ReadonlySet<string> = new Set(["stop", "remove"]);
export const TONES: Record<string, string> = { stop: "rose", remove: "rose", "force-pause": "amber" };
/** Definitions are submitted where they are edited. */
const ELSEWHERE = new Set(["submit"]);

export type Asked = { task: Task; command: string } | null;

export function useCommandName() {
  const { t } = useTranslation();
  return (command: string) => t(`command.${command}`, { defaultValue: command });
}

const sign = (command: string, size = 14) => (isIcon(command) ? <Icon name={command} size={size} /> : null);

/** The row of buttons of a task's page. */
export function OperationButtons(given: { project: string; offers: Offer[]; onAsk: (command: string) => void }) {
  const name = useCommandName();
  const may = useMay();
  const { project, offers, onAsk } = given;
  return (
    <div className="operations">
      {offers
        .filter((offer) => !ELSEWHERE.has(offer.command) && may.command(project, offer.command))
        .map((offer) => (
          <Tooltip
            key={offer.command}
            label={offer.allowed ? offer.note : offer.reason}
            multiline
            maw={340}
            openDelay={250}
          >
            <Button
              size="sm"
              variant={offer.allowed ? "light" : "default"}
              color={TONES[offer.command]}
              leftSection={sign(offer.command)}
              data-disabled={offer.allowed ? undefined : true}
              aria-disabled={!offer.allowed}
              aria-description={offer.allowed ? offer.note : offer.reason}
              onClick={(event) => (offer.allowed ? onAsk(offer.command) : event.preventDefault())}
            >
              {name(offer.command)}
            </Button>
          </Tooltip>
        ))}
    </div>
  );
}

/** The same behind three dots, for a row of the list. */
export function OperationMenu({ task, onAsk }: { task: Task; onAsk: (command: string) => void }) {
  const { t } = useTranslation();
  const [open, setOpen] = useState(false);
  return (
    <Menu opened={open} onChange={setOpen} position="bottom-end" width={320} keepMounted={false}>
      <Menu.Target>
        <ActionIcon variant="subtle" color="gray" aria-label={t("ops.operationsOf", { task: task.name })}>
          <Icon name="more" />
        </ActionIcon>
      </Menu.Target>
      <Menu.Dropdown>{open && <MenuOffers task={task} onAsk={onAsk} />}</Menu.Dropdown>
    </Menu>
  );
}

function MenuOffers({ task, onAsk }: { task: Task; onAsk: (command: string) => void }) {
  const name = useCommandName();
  const may = useMay();
  const { data, error } = useQuery(queries.offers({ project: task.project, task: task.name }));
  if (error) return <ProblemBox problem={problemOf(error)} />;
  if (!data) return <Loader size="sm" m="md" />;
  return data
    .filter((offer) => !ELSEWHERE.has(offer.command) && may.command(task.project, offer.command))
    .map((offer) => (
      <Menu.Item
        key={offer.command}
        leftSection={sign(offer.command)}
        color={offer.allowed ? TONES[offer.command] : undefined}
        data-refused={offer.allowed ? undefined : true}
        aria-disabled={!offer.allowed}
        closeMenuOnClick={offer.allowed}
        onClick={() => offer.allowed && onAsk(offer.command)}
      >
        {name(offer.command)}
        {!offer.allowed && <small className="reason">{offer.reason}</small>}
      </Menu.Item>
    ));
}

/** What a command would do, and then the command. */
export function OperationDialog({ asked, onClose }: { asked: Asked; onClose: () => void }) {
  const { t } = useTranslation();
  const name = useCommandName();
  return (
    <Modal
      closeButtonProps={{ "aria-label": t("shell.close") }}
      opened={asked !== null}
      onClose={onClose}
      size="lg"
      title={
        asked && (
          <span className="dialog-title">
            {sign(asked.command, 18)} {name(asked.command)} <b>{asked.task.name}</b>
          </span>
        )
      }
    >
      {asked && <Operation key={`${asked.task.id}${asked.command}`} asked={asked} onClose={onClose} />}
    </Modal>
  );
}

type Start = { read: "full+incremental" | "incremental"; position?: string };

function Operation({ asked, onClose }: { asked: NonNullable<Asked>; onClose: () => void }) {
  const { t } = useTranslation();
  const name = useCommandName();
  const client = useQueryClient();
  const { task, command } = asked;
  const [typed, setTyped] = useState("");
  const [start, setStart] = useState<Start | null>(null);
  const path = { task: task.name, command };
  const look = useQuery({
    queryKey: ["preview", task.id, command, start],
    queryFn: () =>
      ask(
        api.GET("/api/v1/tasks/{task}/operations/{command}/preview", {
          params: {
            path: path as { task: string; command: "run" },
            query: { project: task.project, ...(start ?? {}) },
          },
        }),
      ),
    staleTime: 0,
    gcTime: 0,
    retry: false,
    refetchOnWindowFocus: false,
  });
  const give = useMutation({
    mutationFn: (version: number) =>
      ask(
        api.POST("/api/v1/tasks/{task}/commands/{command}", {
          params: { path: path as { task: string; command: "run" }, query: { project: task.project } },
          body: { version, start: start ?? undefined },
        }),
      ),
    onSuccess: () => {
      void client.invalidateQueries({ queryKey: ["task", task.project, task.name] });
      void client.invalidateQueries({ queryKey: ["ops"] });
      void client.invalidateQueries({ queryKey: ["ops-totals"] });
      notifications.show({
        message: t("operation.accepted", { command: name(command), task: task.name }),
        color: "teal",
        closeButtonProps: { "aria-label": t("shell.close") },
      });
      onClose();
    },
  });
  const preview = look.data;
  const ready = preview?.allowed && (!DANGEROUS.has(command) || typed === task.name);
  const refused = preview && !preview.allowed ? asProblem(preview.problem) : null;

  return (
    <Stack gap="md">
      {command === "run" && <StartPoint task={task} start={start} onChange={setStart} />}
      {look.isPending && (
        <Group gap="sm" className="looking">
          <Loader size="sm" /> {t("operation.looking")}
        </Group>
      )}
      {look.error && <ProblemBox problem={problemOf(look.error)} again={() => void look.refetch()} />}
      {refused && <ProblemBox problem={refused} title={t("operation.refused", { command: name(command) })} />}
      {preview?.allowed && <Consequences preview={preview} />}
      {give.error && (
        <ProblemBox
          problem={problemOf(give.error)}
          again={() => {
            give.reset();
            void look.refetch();
          }}
        />
      )}
      {preview?.allowed && DANGEROUS.has(command) && (
        <TextInput
          label={t("operation.typeName", { task: task.name })}
          value={typed}
          onChange={(event) => setTyped(event.currentTarget.value)}
          autoComplete="off"
          spellCheck={false}
          data-autofocus
        />
      )}
      <Group justify="flex-end" gap="sm">
        <Button variant="default" onClick={onClose}>
          {t("operation.cancel")}
        </Button>
        <Button
          color={TONES[command]}
          leftSection={sign(command)}
          disabled={!ready}
          loading={give.isPending}
          onClick={() => preview && give.mutate(preview.version)}
        >
          {name(command)}
        </Button>
      </Group>
    </Stack>
  );
}

function StartPoint({
  task,
  start,
  onChange,
}: {
  task: Task;
  start: Start | null;
  onChange: (start: Start | null) => void;
}) {
  const { t } = useTranslation();
  const read = start?.read ?? task.read;
  return (
    <Radio.Group
      label={t("operation.from")}
      value={read}
      onChange={(value) => onChange({ read: value === "incremental" ? "incremental" : "full+incremental" })}
    >
      <Stack gap={6} mt={6}>
        <Radio value="full+incremental" label={t("read.full+incremental")} description={t("operation.fullHint")} />
        <Radio value="incremental" label={t("read.incremental")} description={t("operation.incrementalHint")} />
      </Stack>
    </Radio.Group>
  );
}

/** What is kept, given up and read again. */
export function Consequences({ preview }: { preview: Preview }) {
  const { t } = useTranslation();
  const { bytes, duration, short, near } = useFormat();
  const failed = asProblem(preview.source_error);
  const facts: [string, ReactNode][] = [];
  if (preview.snapshot) {
    facts.push([
      t("preview.snapshot"),
      `${near(preview.snapshot.at)} (${t("ago", { time: duration(preview.snapshot_age_s) })})`,
    ]);
  }
  if (preview.reread_bytes != null) facts.push([t("preview.reread"), bytes(preview.reread_bytes)]);
  if (preview.chunks_total) facts.push([t("preview.chunks"), `${preview.chunks_left} / ${preview.chunks_total}`]);
  if (preview.rows_to_copy != null) facts.push([t("preview.rows"), `≈ ${short(preview.rows_to_copy)}`]);
  if (preview.repeats) facts.push([t("preview.repeats"), t(`repeats.${preview.repeats}`)]);
  if (preview.log_left_s != null) facts.push([t("preview.logLeft"), `≈ ${duration(preview.log_left_s)}`]);
  if (preview.safe_bytes != null) facts.push([t("preview.safe"), bytes(preview.safe_bytes)]);
  return (
    <div className="consequences">
      <p className="note">{sentence(preview.note)}</p>
      {preview.cost && <p className="cost">{sentence(preview.cost)}</p>}
      {failed && <ProblemBox problem={failed} tone="warning" title={t("preview.notKnown")} />}
      <div className="keeps">
        <Kept title={t("preview.keeps")} sign="check" items={preview.keeps} />
        <Kept title={t("preview.discards")} sign="minus" items={preview.discards} />
      </div>
      {facts.length > 0 && (
        <dl className="facts facts-tall">
          {facts.map(([name, value]) => (
            <div key={name}>
              <dt>{name}</dt>
              <dd>{value}</dd>
            </div>
          ))}
        </dl>
      )}
    </div>
  );
}

function Kept({ title, sign, items }: { title: string; sign: "check" | "minus"; items: string[] }) {
  if (items.length === 0) return null;
  return (
    <div className={`kept kept-${sign}`}>
      <h3>{title}</h3>
      <ul>
        {items.map((item) => (
          <li key={item}>
            <Icon name={sign} size={14} /> {item}
          </li>
        ))}
      </ul>
    </div>
  );
}

/** The server's words begin small and have no full stop, for they also stand within sentences. */
export const sentence = (said: string): string =>
  said ? said[0]?.toUpperCase() + said.slice(1) + (/[.!?]$/.test(said) ? "" : ".") : said;
