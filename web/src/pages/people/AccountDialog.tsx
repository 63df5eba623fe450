import { Button, Group, Modal, PasswordInput, SegmentedControl, Stack, Switch, TextInput } from "@mantine/core";
import { useMutation } from "@tanstack/react-query";
import { useState } from "react";
import { useTranslation } from "react-i18next";
import { api, ask, problemOf } from "../../api/client";
import { ProblemBox } from "../../parts/ProblemBox";
import { useTell } from "../../parts/told";
import type { Account } from "./Accounts";

const KINDS = ["person", "service"] as const;

interface Given {
  /** None: a new one. */
  account: Account | null;
  onClose: () => void;
  onDone: () => void;
}

export function AccountDialog({ account, onClose, onDone }: Given) {
  const { t } = useTranslation();
  const tell = useTell();
  const [name, setName] = useState("");
  const [kind, setKind] = useState<(typeof KINDS)[number]>("person");
  const [password, setPassword] = useState("");
  const [description, setDescription] = useState(account?.description ?? "");
  const [administrator, setAdministrator] = useState(account?.administrator ?? false);
  const [enabled, setEnabled] = useState(account?.enabled ?? true);
  const save = useMutation({
    gcTime: 0,
    mutationFn: () =>
      account
        ? ask(
            api.PUT("/api/v1/users/{name}", {
              params: { path: { name: account.name } },
              body: { administrator, enabled, description },
            }),
          )
        : ask(
            api.POST("/api/v1/users", {
              body: {
                name: name.trim(),
                kind,
                password: kind === "person" ? password : undefined,
                administrator,
                description,
              },
            }),
          ),
    onSuccess: (saved) => {
      tell(t(account ? "accounts.saved" : "accounts.made", { name: saved.name }));
      onDone();
    },
  });
  const complete = account || (name.trim() !== "" && (kind === "service" || password !== ""));
  return (
    <Modal
      opened
      onClose={onClose}
      size="lg"
      title={account ? t("accounts.editTitle", { name: account.name }) : t("accounts.add")}
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
          {!account && (
            <>
              <SegmentedControl
                aria-label={t("accounts.kindOf")}
                value={kind}
                onChange={(value) => setKind(KINDS.find((one) => one === value) ?? "person")}
                data={KINDS.map((value) => ({ value, label: t(`accounts.kind.${value}`) }))}
              />
              <TextInput
                label={t("form.name")}
                description={t("form.nameHint")}
                inputWrapperOrder={["label", "input", "description", "error"]}
                value={name}
                maxLength={100}
                required
                data-autofocus
                autoComplete="off"
                autoCapitalize="none"
                onChange={(event) => setName(event.currentTarget.value)}
              />
              {kind === "person" ? (
                <PasswordInput
                  label={t("login.password")}
                  description={t("password.hint")}
                  inputWrapperOrder={["label", "input", "description", "error"]}
                  value={password}
                  maxLength={1000}
                  required
                  autoComplete="new-password"
                  onChange={(event) => setPassword(event.currentTarget.value)}
                />
              ) : (
                <p className="note">{t("accounts.serviceHint")}</p>
              )}
            </>
          )}
          <TextInput
            label={t("form.description")}
            value={description}
            maxLength={500}
            onChange={(event) => setDescription(event.currentTarget.value)}
          />
          <Switch
            label={t("accounts.isAdministrator")}
            description={t("accounts.isAdministratorHint")}
            checked={administrator}
            onChange={(event) => setAdministrator(event.currentTarget.checked)}
          />
          {account && (
            <Switch
              label={t("accounts.isEnabled")}
              description={t("accounts.isEnabledHint")}
              checked={enabled}
              onChange={(event) => setEnabled(event.currentTarget.checked)}
            />
          )}
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
