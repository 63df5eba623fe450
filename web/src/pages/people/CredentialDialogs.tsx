// What makes a credential, and shows its secret once: it is kept nowhere in the page afterwards.

import { Button, Group, Modal, MultiSelect, NumberInput, Select, Stack, TextInput } from "@mantine/core";
import { useMutation, useQuery } from "@tanstack/react-query";
import { type FormEvent, type ReactNode, useState } from "react";
import { useTranslation } from "react-i18next";
import { api, ask, problemOf, type Schemas } from "../../api/client";
import * as queries from "../../api/queries";
import { Icon } from "../../parts/Icon";
import { ProblemBox } from "../../parts/ProblemBox";
import { useMay } from "../../session/useMay";

type Wish = Schemas["TokenWish"];
const DAYS = 90;

export function TokenDialog({ onClose }: { onClose: () => void }) {
  const { t } = useTranslation();
  const may = useMay();
  const table = useQuery(queries.permissionTable());
  const [name, setName] = useState("");
  const [account, setAccount] = useState<string | null>(useOwnAccount());
  const [days, setDays] = useState<number | string>(DAYS);
  const [permissions, setPermissions] = useState<string[]>([]);
  const [projects, setProjects] = useState<string[]>([]);
  const offered = (table.data?.permissions ?? []).filter((one) => one.scope !== "account").map((one) => one.name);
  const make = useMutation({
    gcTime: 0,
    mutationFn: () =>
      ask(
        api.POST("/api/v1/tokens", {
          body: {
            name: name.trim(),
            days: Number(days),
            account,
            permissions: permissions.length ? (permissions as NonNullable<Wish["permissions"]>) : null,
            projects: projects.length ? projects : null,
          },
        }),
      ),
  });
  const complete = name.trim() !== "" && account !== null && Number(days) > 0;
  return (
    <Maker
      title={t("tokens.add")}
      onClose={onClose}
      complete={complete}
      make={make}
      secrets={make.data && [[t("tokens.token"), make.data.token]]}
    >
      <Named name={name} setName={setName} account={account} setAccount={setAccount} />
      <NumberInput
        label={t("tokens.days")}
        description={t("tokens.daysHint")}
        inputWrapperOrder={["label", "input", "description", "error"]}
        value={days}
        min={1}
        max={3660}
        clampBehavior="none"
        required
        hideControls
        onChange={setDays}
      />
      <details className="more" open={permissions.length + projects.length > 0 || undefined}>
        <summary>{t("tokens.limit")}</summary>
        <Stack gap="sm" mt="sm">
          <MultiSelect
            label={t("tokens.permissions")}
            description={t("tokens.permissionsHint")}
            data={offered}
            value={permissions}
            searchable
            clearable
            onChange={setPermissions}
          />
          <MultiSelect
            label={t("tokens.projects")}
            description={t("tokens.projectsHint")}
            data={may.projects}
            value={projects}
            searchable
            clearable
            onChange={setProjects}
          />
        </Stack>
      </details>
    </Maker>
  );
}

export function KeyDialog({ onClose }: { onClose: () => void }) {
  const { t } = useTranslation();
  const [name, setName] = useState("");
  const own = useOwnAccount();
  const [account, setAccount] = useState<string | null>(own);
  const make = useMutation({
    gcTime: 0,
    mutationFn: () => ask(api.POST("/api/v1/access-keys", { body: { name: name.trim(), account } })),
  });
  const said = make.data;
  return (
    <Maker
      title={t("keys.add")}
      onClose={onClose}
      complete={name.trim() !== "" && account !== null}
      make={make}
      secrets={
        said && [
          ["SecretId", said.secret_id],
          ["SecretKey", said.secret_key],
        ]
      }
    >
      <Named name={name} setName={setName} account={account} setAccount={setAccount} />
    </Maker>
  );
}

const useOwnAccount = () => useQuery(queries.session()).data?.account ?? null;

/** Its name, and whose it is: one's own, or a program's for those who may change accounts. */
function Named(given: {
  name: string;
  setName: (name: string) => void;
  account: string | null;
  setAccount: (account: string | null) => void;
}) {
  const { t } = useTranslation();
  const own = useOwnAccount();
  const listed = useMay().allowed("user.edit");
  const accounts = useQuery({ ...queries.accounts(), enabled: listed });
  const services = (accounts.data ?? []).filter((one) => one.kind === "service").map((one) => one.name);
  return (
    <div className="form-grid">
      <TextInput
        label={t("form.name")}
        description={t("form.nameHint")}
        inputWrapperOrder={["label", "input", "description", "error"]}
        value={given.name}
        maxLength={100}
        required
        data-autofocus
        autoComplete="off"
        autoCapitalize="none"
        onChange={(event) => given.setName(event.currentTarget.value)}
      />
      {listed && (
        <Select
          label={t("tokens.for")}
          description={t("tokens.forHint")}
          inputWrapperOrder={["label", "input", "description", "error"]}
          placeholder={t("tokens.pickService")}
          nothingFoundMessage={t("tokens.noService")}
          data={[...(own ? [{ value: own, label: t("tokens.yourself", { account: own }) }] : []), ...services]}
          value={given.account}
          required
          allowDeselect={false}
          onChange={given.setAccount}
        />
      )}
    </div>
  );
}

interface Making {
  mutate: () => void;
  isPending: boolean;
  error: unknown;
}

function Maker(given: {
  title: string;
  onClose: () => void;
  complete: boolean;
  make: Making;
  secrets: [string, string][] | undefined;
  children: ReactNode;
}) {
  const { t } = useTranslation();
  const { make, secrets, onClose } = given;
  const submit = (event: FormEvent) => {
    event.preventDefault();
    if (given.complete) make.mutate();
  };
  return (
    <Modal
      opened
      onClose={onClose}
      size="lg"
      title={given.title}
      closeButtonProps={{ "aria-label": t("shell.close") }}
      closeOnClickOutside={false}
      closeOnEscape={!secrets}
    >
      {secrets ? (
        <Stack>
          <p className="note note-warn" role="status">
            <Icon name="warning" size={15} /> {t("secret.once")}
          </p>
          {secrets.map(([label, value]) => (
            <Secret key={label} label={label} value={value} />
          ))}
          <Group justify="flex-end">
            <Button onClick={onClose}>{t("secret.stored")}</Button>
          </Group>
        </Stack>
      ) : (
        <form onSubmit={submit}>
          <Stack>
            {given.children}
            {make.error ? <ProblemBox problem={problemOf(make.error)} /> : null}
            <Group justify="flex-end">
              <Button variant="default" onClick={onClose}>
                {t("operation.cancel")}
              </Button>
              <Button type="submit" loading={make.isPending} disabled={!given.complete}>
                {t("secret.make")}
              </Button>
            </Group>
          </Stack>
        </form>
      )}
    </Modal>
  );
}

function Secret({ label, value }: { label: string; value: string }) {
  const { t } = useTranslation();
  const [copied, setCopied] = useState(false);
  const copy = () =>
    navigator.clipboard.writeText(value).then(() => {
      setCopied(true);
      setTimeout(() => setCopied(false), 2000);
    });
  return (
    <div className="secret-row">
      <TextInput
        label={label}
        value={value}
        readOnly
        classNames={{ input: "secret" }}
        onFocus={(event) => event.currentTarget.select()}
      />
      {/* A browser gives the clipboard to pages that came over TLS or from this machine only. */}
      {navigator.clipboard && (
        <Button variant="default" onClick={() => void copy()}>
          {copied ? t("configuration.copied") : t("configuration.copy")}
        </Button>
      )}
    </div>
  );
}
