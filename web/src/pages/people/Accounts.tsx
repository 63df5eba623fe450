import { Button } from "@mantine/core";
import { useQuery, useQueryClient } from "@tanstack/react-query";
import { useState } from "react";
import { useTranslation } from "react-i18next";
import { api, ask, problemOf, type Schemas } from "../../api/client";
import * as queries from "../../api/queries";
import { useFormat } from "../../manner";
import { Confirm } from "../../parts/Confirm";
import { Icon } from "../../parts/Icon";
import { ProblemBox } from "../../parts/ProblemBox";
import { Password } from "../../session/Password";
import { AccountDialog } from "./AccountDialog";
import { usePermissionWords } from "./words";

export type Account = Schemas["AccountView"];
type Doing = { what: "edit" | "password" | "delete"; account: Account } | { what: "new" } | null;

/** All accounts, of people and of programs. */
export function Accounts() {
  const { t } = useTranslation();
  const client = useQueryClient();
  const found = useQuery(queries.accounts());
  const [doing, setDoing] = useState<Doing>(null);
  const done = () => {
    setDoing(null);
    void client.invalidateQueries({ queryKey: ["accounts"] });
    void client.invalidateQueries({ queryKey: ["members"] });
  };
  return (
    <section className="card card-flush">
      <div className="card-tools">
        <p className="faint">{t("accounts.says")}</p>
        <span className="grow" />
        <Button size="sm" leftSection={<Icon name="plus" />} onClick={() => setDoing({ what: "new" })}>
          {t("accounts.add")}
        </Button>
      </div>
      {found.error && <ProblemBox problem={problemOf(found.error)} again={() => void found.refetch()} />}
      {found.data?.length === 0 && (
        <div className="empty">
          <h2>{t("accounts.none")}</h2>
          <p>{t("accounts.noneHint")}</p>
        </div>
      )}
      {found.data && found.data.length > 0 && (
        <div className="scroll-x">
          <table className="list">
            <thead>
              <tr>
                <th>{t("accountColumn.name")}</th>
                <th>{t("accountColumn.projects")}</th>
                <th className="wide">{t("accountColumn.created")}</th>
                <th className="acts">
                  <span className="visually-hidden">{t("ops.operations")}</span>
                </th>
              </tr>
            </thead>
            <tbody>
              {found.data.map((account) => (
                <AccountRow key={account.name} account={account} act={setDoing} />
              ))}
            </tbody>
          </table>
        </div>
      )}
      {(doing?.what === "new" || doing?.what === "edit") && (
        <AccountDialog
          account={doing.what === "edit" ? doing.account : null}
          onClose={() => setDoing(null)}
          onDone={done}
        />
      )}
      {doing?.what === "password" && <Password account={doing.account.name} onClose={() => setDoing(null)} />}
      {doing?.what === "delete" && (
        <Confirm
          title={t("accounts.deleteTitle", { name: doing.account.name })}
          says={t("accounts.deleteSays")}
          act={t("act.delete")}
          run={() => ask(api.DELETE("/api/v1/users/{name}", { params: { path: { name: doing.account.name } } }))}
          onClose={done}
        />
      )}
    </section>
  );
}

function AccountRow({ account, act }: { account: Account; act: (doing: Doing) => void }) {
  const { t } = useTranslation();
  const { near, moment } = useFormat();
  const words = usePermissionWords();
  const projects = Object.entries(account.projects);
  const person = account.kind === "person";
  return (
    <tr data-off={account.enabled ? undefined : true}>
      <td className="name">
        <span className="account">
          <Icon name={person ? "person" : "program"} />
          <b>{account.name}</b>
          {account.administrator && <span className="tag tag-strong">{t("accounts.administrator")}</span>}
          {!account.enabled && <span className="tag tag-off">{t("accounts.disabled")}</span>}
        </span>
        <span className="sub">{account.description || t(`accounts.kind.${account.kind}`)}</span>
      </td>
      <td>
        {projects.length === 0 ? (
          <span className="faint">{account.administrator ? t("accounts.everywhere") : t("accounts.nowhere")}</span>
        ) : (
          <span className="tags">
            {projects.map(([project, role]) => (
              <span key={project} className="tag">
                {project}: {words.role(role)}
              </span>
            ))}
          </span>
        )}
      </td>
      <td className="wide" title={moment(account.created_at)}>
        {near(account.created_at)}
        <span className="sub">{t("people.by", { actor: account.created_by })}</span>
      </td>
      <td className="acts">
        {person && (
          <Button size="compact-sm" variant="default" onClick={() => act({ what: "password", account })}>
            {t("accounts.password")}
          </Button>
        )}
        <Button size="compact-sm" variant="default" onClick={() => act({ what: "edit", account })}>
          {t("act.edit")}
        </Button>
        <Button size="compact-sm" variant="default" onClick={() => act({ what: "delete", account })}>
          {t("act.delete")}
        </Button>
      </td>
    </tr>
  );
}
