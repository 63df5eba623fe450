import { Button, PasswordInput, Stack, Text, TextInput, Title } from "@mantine/core";
import { useQuery, useQueryClient } from "@tanstack/react-query";
import { Link } from "@tanstack/react-router";
import { type FormEvent, useState } from "react";
import { useTranslation } from "react-i18next";
import { type Problem, problemOf } from "../api/client";
import { Logo } from "../parts/Icon";
import { ProblemBox } from "../parts/ProblemBox";
import { Preferences } from "../shell/Preferences";
import { logIn, logInWays, notSignedOn, signOnPlace } from "./session";

export function LogIn() {
  const { t } = useTranslation();
  const queries = useQueryClient();
  const [name, setName] = useState("");
  const [secret, setSecret] = useState("");
  const [busy, setBusy] = useState(false);
  const [problem, setProblem] = useState<Problem | null>(null);
  const { data: ways } = useQuery(logInWays());
  const refused = problem ? null : notSignedOn;
  // The label that nobody set is said in the reader's language.
  const label = ways?.sso === "Single sign-on" ? t("login.sso") : ways?.sso;

  async function enter(event: FormEvent) {
    event.preventDefault();
    setBusy(true);
    setProblem(null);
    try {
      const session = await logIn(name.trim(), secret);
      queries.setQueryData(["session"], session);
      void queries.invalidateQueries({ predicate: (query) => query.queryKey[0] !== "session" });
    } catch (error) {
      setProblem(problemOf(error));
    } finally {
      setBusy(false);
    }
  }

  return (
    <main className="login">
      <div className="login-corner">
        <Preferences />
      </div>
      <form className="login-card" onSubmit={enter}>
        <Stack gap="lg">
          <div className="login-head">
            <Logo size={44} />
            <div>
              <Title order={1} size="h2">
                Tidegate
              </Title>
              <Text c="dimmed" size="sm">
                {t("login.promise")}
              </Text>
            </div>
          </div>
          <TextInput
            label={t("login.name")}
            description={t("login.nameHint")}
            value={name}
            onChange={(event) => setName(event.currentTarget.value)}
            autoComplete="username"
            autoCapitalize="none"
            name="name"
            data-autofocus
            autoFocus
            size="md"
          />
          <PasswordInput
            label={t(name.trim() ? "login.password" : "login.token")}
            description={name.trim() ? undefined : t("login.hint")}
            value={secret}
            onChange={(event) => setSecret(event.currentTarget.value)}
            autoComplete="current-password"
            name="secret"
            required
            withAsterisk={false}
            size="md"
          />
          {problem && (
            <ProblemBox
              problem={
                problem.status === 401
                  ? name.trim()
                    ? { ...problem, detail: "" }
                    : { ...problem, detail: "", title: t("login.wrong"), advice: t("login.wrongAdvice") }
                  : problem
              }
            />
          )}
          <Button type="submit" size="md" loading={busy} disabled={!secret.trim()} fullWidth>
            {t("login.enter")}
          </Button>
          {refused && (
            <ProblemBox
              problem={{
                status: 0,
                code: refused,
                detail: "",
                title: t([`login.problem.${refused}`, "login.problem.request.sign_on_refused"]),
                advice: t("login.ssoAdvice"),
              }}
            />
          )}
          {label && (
            <Button component="a" href={signOnPlace()} variant="default" size="md" fullWidth>
              {label}
            </Button>
          )}
          <Text size="sm" c="dimmed" ta="center">
            {t("login.first")} <Link to="/set-up">{t("login.toSetUp")}</Link>
          </Text>
        </Stack>
      </form>
    </main>
  );
}
