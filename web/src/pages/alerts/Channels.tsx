import { Button, Group, Modal, PasswordInput, Select, Stack, Switch, TextInput } from "@mantine/core";
import { useMutation, useQuery, useQueryClient } from "@tanstack/react-query";
import { useState } from "react";
import { useTranslation } from "react-i18next";
import { api, ask, asProblem, problemOf, type Schemas } from "../../api/client";
import * as queries from "../../api/queries";
import { Confirm } from "../../parts/Confirm";
import { Icon } from "../../parts/Icon";
import { ProblemBox } from "../../parts/ProblemBox";
import { MASK } from "../../parts/SchemaForm";
import { useTell } from "../../parts/told";
import { useMay } from "../../session/useMay";

type Channel = Schemas["AlertChannelView"];
const KINDS = ["webhook", "apprise"] as const;

/** Who is told. */
export function Channels({ project }: { project: string }) {
  const { t } = useTranslation();
  const client = useQueryClient();
  const found = useQuery(queries.channels(project));
  const edits = useMay().allowed("channel.edit", project);
  const [doing, setDoing] = useState<Channel | "new" | null>(null);
  const [removed, setRemoved] = useState<Channel | null>(null);
  const changed = () => void client.invalidateQueries({ queryKey: ["alert-channels"] });
  return (
    <section className="card card-flush">
      <div className="card-tools">
        <p className="faint">{t("channels.says")}</p>
        <span className="grow" />
        {edits && (
          <Button size="sm" leftSection={<Icon name="plus" />} onClick={() => setDoing("new")}>
            {t("channels.add")}
          </Button>
        )}
      </div>
      {found.error && <ProblemBox problem={problemOf(found.error)} />}
      {found.data?.length === 0 && (
        <div className="empty">
          <h2>{t("channels.none")}</h2>
          <p>{t("channels.noneHint")}</p>
        </div>
      )}
      {found.data && found.data.length > 0 && (
        <div className="scroll-x">
          <table className="list list-dense">
            <thead>
              <tr>
                {["enabled", "name", "kind", "url", "test"].map((key) => (
                  <th key={key}>{t(`channelColumn.${key}`)}</th>
                ))}
                <th className="acts">
                  <span className="visually-hidden">{t("ops.operations")}</span>
                </th>
              </tr>
            </thead>
            <tbody>
              {found.data.map((channel) => (
                <ChannelRow
                  key={channel.name}
                  channel={channel}
                  changed={changed}
                  edit={() => setDoing(channel)}
                  remove={() => setRemoved(channel)}
                />
              ))}
            </tbody>
          </table>
        </div>
      )}
      {doing && (
        <ChannelDialog
          project={project}
          channel={doing === "new" ? null : doing}
          onClose={() => {
            setDoing(null);
            changed();
          }}
        />
      )}
      {removed && (
        <Confirm
          title={t("channels.delete", { name: removed.name })}
          says={t("channels.deleteSays")}
          act={t("act.delete")}
          run={() =>
            ask(
              api.DELETE("/api/v1/alert-channels/{name}", {
                params: { path: { name: removed.name }, query: { project, version: removed.version } },
              }),
            )
          }
          onClose={() => {
            setRemoved(null);
            changed();
          }}
        />
      )}
    </section>
  );
}

function ChannelRow(given: { channel: Channel; changed: () => void; edit: () => void; remove: () => void }) {
  const { t } = useTranslation();
  const may = useMay();
  const { channel } = given;
  const edits = may.allowed("channel.edit", channel.project);
  const params = { path: { name: channel.name }, query: { project: channel.project } };
  const turn = useMutation({
    mutationFn: (enabled: boolean) =>
      ask(api.PUT("/api/v1/alert-channels/{name}", { params, body: { enabled, version: channel.version } })),
    onSettled: given.changed,
  });
  const test = useMutation({ mutationFn: () => ask(api.POST("/api/v1/alert-channels/{name}/test", { params })) });
  const problem = test.error ? problemOf(test.error) : asProblem(test.data?.problem);
  return (
    <tr>
      <td>
        <Switch
          size="sm"
          checked={channel.enabled}
          disabled={turn.isPending || !edits}
          aria-label={t("channels.enable", { name: channel.name })}
          onChange={(event) => turn.mutate(event.currentTarget.checked)}
        />
      </td>
      <td>
        <b>{channel.name}</b>
        <span className="sub">{channel.description}</span>
      </td>
      <td>{t(`channels.kind.${channel.kind}`, { defaultValue: channel.kind })}</td>
      <td>
        <code className="break">{channel.url}</code>
      </td>
      <td>
        <span className="tested" role="status">
          {may.allowed("channel.test", channel.project) && (
            <Button size="compact-sm" variant="default" loading={test.isPending} onClick={() => test.mutate()}>
              {t("channels.test")}
            </Button>
          )}
          {test.data?.ok && (
            <span className="verdict-ok">
              <Icon name="check" size={13} /> {t("channels.arrived")}
            </span>
          )}
          {problem && (
            <span className="verdict-bad" title={problem.advice}>
              {problem.detail || problem.title}
            </span>
          )}
          {turn.error && <span className="verdict-bad">{problemOf(turn.error).detail}</span>}
        </span>
      </td>
      <td className="acts">
        {edits && (
          <>
            <Button size="compact-sm" variant="default" onClick={given.edit}>
              {t("act.edit")}
            </Button>
            <Button size="compact-sm" variant="default" onClick={given.remove}>
              {t("act.delete")}
            </Button>
          </>
        )}
      </td>
    </tr>
  );
}

function ChannelDialog({
  project,
  channel,
  onClose,
}: {
  project: string;
  channel: Channel | null;
  onClose: () => void;
}) {
  const { t } = useTranslation();
  const tell = useTell();
  const [name, setName] = useState(channel?.name ?? "");
  const [kind, setKind] = useState<(typeof KINDS)[number]>(KINDS.find((one) => one === channel?.kind) ?? "webhook");
  const [url, setUrl] = useState(channel?.url ?? "");
  const [key, setKey] = useState(channel?.key ?? "");
  const [description, setDescription] = useState(channel?.description ?? "");
  const save = useMutation({
    mutationFn: () =>
      channel
        ? ask(
            api.PUT("/api/v1/alert-channels/{name}", {
              params: { path: { name: channel.name }, query: { project } },
              body: { url, key: key && key !== MASK ? key : undefined, description, version: channel.version },
            }),
          )
        : ask(
            api.POST("/api/v1/alert-channels", {
              params: { query: { project } },
              body: { name: name.trim(), kind, url: url.trim(), key: key || undefined, description, enabled: true },
            }),
          ),
    onSuccess: (saved) => {
      tell(t("channels.saved", { name: saved.name }));
      onClose();
    },
  });
  const complete = name.trim() !== "" && url.trim() !== "";
  return (
    <Modal
      opened
      onClose={onClose}
      size="lg"
      title={channel ? t("channels.editTitle", { name: channel.name }) : t("channels.add")}
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
          {!channel && (
            <div className="form-grid">
              <TextInput
                label={t("form.name")}
                value={name}
                maxLength={100}
                required
                data-autofocus
                autoComplete="off"
                onChange={(event) => setName(event.currentTarget.value)}
              />
              <Select
                label={t("channelColumn.kind")}
                data={KINDS.map((value) => ({ value, label: t(`channels.kind.${value}`) }))}
                value={kind}
                allowDeselect={false}
                onChange={(value) => setKind(KINDS.find((one) => one === value) ?? "webhook")}
              />
            </div>
          )}
          <TextInput
            label={t("channelColumn.url")}
            description={t(`channels.urlHint.${kind}`)}
            value={url}
            maxLength={2000}
            required
            autoComplete="off"
            spellCheck={false}
            onChange={(event) => setUrl(event.currentTarget.value)}
          />
          {kind === "webhook" && (
            <PasswordInput
              label={t("channels.key")}
              description={key === MASK ? t("form.kept") : t("channels.keyHint")}
              value={key}
              maxLength={500}
              autoComplete="new-password"
              visibilityToggleButtonProps={{ "aria-label": t("form.reveal") }}
              onFocus={() => key === MASK && setKey("")}
              onChange={(event) => setKey(event.currentTarget.value)}
            />
          )}
          <TextInput
            label={t("form.description")}
            value={description}
            maxLength={500}
            onChange={(event) => setDescription(event.currentTarget.value)}
          />
          {save.error && <ProblemBox problem={problemOf(save.error)} />}
          <Group justify="flex-end">
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
