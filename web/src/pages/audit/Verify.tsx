import { Button, TextInput } from "@mantine/core";
import { useMutation } from "@tanstack/react-query";
import { useState } from "react";
import { useTranslation } from "react-i18next";
import { api, ask, problemOf } from "../../api/client";
import { useFormat } from "../../manner";
import { Icon } from "../../parts/Icon";
import { ProblemBox } from "../../parts/ProblemBox";

/** Goes through the whole log when asked to: whether anybody changed it since it was written. */
export function Verify() {
  const { t } = useTranslation();
  const { whole, clock } = useFormat();
  const [expect, setExpect] = useState("");
  const check = useMutation({
    mutationFn: async () => {
      const query = expect.trim() ? { expect: expect.trim() } : {};
      return {
        at: Date.now(),
        expected: expect.trim(),
        ...(await ask(api.GET("/api/v1/audit/verify", { params: { query } }))),
      };
    },
  });
  const said = check.data;
  return (
    <section className="card verify" aria-label={t("verify.title")}>
      <form
        className="verify-ask"
        onSubmit={(event) => {
          event.preventDefault();
          check.mutate();
        }}
      >
        <div className="grow">
          <h2>{t("verify.title")}</h2>
          <p className="faint">{t("verify.says")}</p>
        </div>
        <TextInput
          size="xs"
          className="verify-head"
          aria-label={t("verify.expect")}
          placeholder={t("verify.expect")}
          value={expect}
          maxLength={100}
          autoComplete="off"
          spellCheck={false}
          onChange={(event) => setExpect(event.currentTarget.value)}
        />
        <Button type="submit" size="sm" variant="default" loading={check.isPending}>
          {t("verify.check")}
        </Button>
      </form>
      {check.error && <ProblemBox problem={problemOf(check.error)} />}
      {said && !check.isPending && (
        <div className="verify-said" role="status">
          <p className={said.ok ? "verdict-ok" : "verdict-bad"}>
            <Icon name={said.ok ? "check" : "cross"} size={15} />{" "}
            {said.ok
              ? t(said.expected ? "verify.okSince" : "verify.ok", { entries: whole(said.entries) })
              : t("verify.wrong", { wrong: said.wrong })}{" "}
            <span className="faint">{clock(said.at)}</span>
          </p>
          {said.ok ? (
            <p className="faint">
              {t("verify.head")} <code className="break">{said.head}</code>
            </p>
          ) : (
            <p className="box-advice">{t("verify.wrongAdvice")}</p>
          )}
        </div>
      )}
    </section>
  );
}
