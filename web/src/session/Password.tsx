import { Button, Checkbox, Group, Modal, PasswordInput, Stack } from "@mantine/core";
import { useMutation, useQueryClient } from "@tanstack/react-query";
import { useState } from "react";
import { useTranslation } from "react-i18next";
import { api, ask, problemOf } from "../api/client";
import { ProblemBox } from "../parts/ProblemBox";
import { useTell } from "../parts/told";
import { logIn } from "./session";

interface Given {
  account: string;
  /** One's own: the present one is asked for. */
  own?: boolean;
  onClose: () => void;
}

/** Another password. Log-ins with the one before are over, but for the one that changed it. */
export function Password({ account, own = false, onClose }: Given) {
  const { t } = useTranslation();
  const tell = useTell();
  const client = useQueryClient();
  const [present, setPresent] = useState("");
  const [password, setPassword] = useState("");
  const [ends, setEnds] = useState(false);
  const save = useMutation({
    gcTime: 0,
    mutationFn: async () => {
      await ask(
        api.PUT("/api/v1/users/{name}/password", {
          params: { path: { name: account } },
          // A password that an administrator sets ends them whatever is said.
          body: { password, present: own ? present : undefined, end_credentials: ends },
        }),
      );
      if (own) client.setQueryData(["session"], await logIn(account, password));
    },
    onSuccess: () => {
      tell(t("password.saved", { name: account }));
      onClose();
    },
  });
  const complete = password !== "" && (!own || present !== "");
  return (
    <Modal
      opened
      onClose={onClose}
      title={own ? t("password.own") : t("password.of", { name: account })}
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
          <p className="note">{t("password.says")}</p>
          <input type="text" name="username" value={account} autoComplete="username" readOnly hidden />
          {own && (
            <PasswordInput
              label={t("password.present")}
              value={present}
              required
              data-autofocus
              autoComplete="current-password"
              onChange={(event) => setPresent(event.currentTarget.value)}
            />
          )}
          <PasswordInput
            label={t("password.new")}
            description={t("password.hint")}
            inputWrapperOrder={["label", "input", "description", "error"]}
            value={password}
            required
            data-autofocus={own ? undefined : true}
            autoComplete="new-password"
            onChange={(event) => setPassword(event.currentTarget.value)}
          />
          {own && (
            <Checkbox
              label={t("password.ends")}
              checked={ends}
              onChange={(event) => setEnds(event.currentTarget.checked)}
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
