import { Button, PasswordInput, Stack, Text, TextInput, Title } from "@mantine/core";
import { useMutation, useQueryClient } from "@tanstack/react-query";
import { Link } from "@tanstack/react-router";
import { useState } from "react";
import { useTranslation } from "react-i18next";
import { api, ask, problemOf } from "../api/client";
import { Logo } from "../parts/Icon";
import { ProblemBox } from "../parts/ProblemBox";
import { Preferences } from "../shell/Preferences";
import { logIn } from "./session";

/** The first administrator's account, made with the code that the server printed at its first start. */
export function SetUp() {
  const { t } = useTranslation();
  const client = useQueryClient();
  const [code, setCode] = useState("");
  const [name, setName] = useState("");
  const [password, setPassword] = useState("");
  const [again, setAgain] = useState("");
  const make = useMutation({
    gcTime: 0,
    mutationFn: async () => {
      const made = await ask(api.POST("/api/v1/setup", { body: { code: code.trim(), name: name.trim(), password } }));
      return logIn(made.name, password);
    },
    onSuccess: (session) => {
      client.setQueryData(["session"], session);
      void client.invalidateQueries({ predicate: (query) => query.queryKey[0] !== "session" });
    },
  });
  const differ = again !== "" && again !== password;
  const complete = code.trim() !== "" && name.trim() !== "" && password !== "" && again === password;
  return (
    <main className="login">
      <div className="login-corner">
        <Preferences />
      </div>
      <form
        className="login-card"
        onSubmit={(event) => {
          event.preventDefault();
          if (complete) make.mutate();
        }}
      >
        <Stack gap="md">
          <div className="login-head">
            <Logo size={44} />
            <div>
              <Title order={1} size="h2">
                {t("setUp.title")}
              </Title>
              <Text c="dimmed" size="sm">
                {t("setUp.hint")}
              </Text>
            </div>
          </div>
          <TextInput
            label={t("setUp.code")}
            description={t("setUp.codeHint")}
            value={code}
            maxLength={200}
            required
            withAsterisk={false}
            autoFocus
            autoComplete="one-time-code"
            autoCapitalize="none"
            spellCheck={false}
            size="md"
            classNames={{ input: "secret" }}
            onChange={(event) => setCode(event.currentTarget.value)}
          />
          <TextInput
            label={t("setUp.name")}
            description={t("form.nameHint")}
            value={name}
            maxLength={100}
            required
            withAsterisk={false}
            autoComplete="username"
            autoCapitalize="none"
            name="name"
            size="md"
            onChange={(event) => setName(event.currentTarget.value)}
          />
          <PasswordInput
            label={t("login.password")}
            description={t("password.hint")}
            value={password}
            maxLength={1000}
            required
            withAsterisk={false}
            autoComplete="new-password"
            name="secret"
            size="md"
            onChange={(event) => setPassword(event.currentTarget.value)}
          />
          <PasswordInput
            label={t("setUp.again")}
            value={again}
            maxLength={1000}
            required
            withAsterisk={false}
            error={differ ? t("setUp.differ") : undefined}
            autoComplete="new-password"
            size="md"
            onChange={(event) => setAgain(event.currentTarget.value)}
          />
          {make.error && <ProblemBox problem={problemOf(make.error)} />}
          <Button type="submit" size="md" loading={make.isPending} disabled={!complete} fullWidth>
            {t("setUp.make")}
          </Button>
          <Text size="sm" c="dimmed" ta="center">
            <Link to="/ops">{t("setUp.toLogIn")}</Link>
          </Text>
        </Stack>
      </form>
    </main>
  );
}
