import { Button } from "@mantine/core";
import { useQuery, useQueryClient } from "@tanstack/react-query";
import { type ReactNode, useState } from "react";
import { useTranslation } from "react-i18next";
import { api, ask, type Problem, problemOf, type Schemas } from "../../api/client";
import * as queries from "../../api/queries";
import { useFormat } from "../../manner";
import { Confirm } from "../../parts/Confirm";
import { Icon } from "../../parts/Icon";
import { ProblemBox } from "../../parts/ProblemBox";
import { KeyDialog, TokenDialog } from "./CredentialDialogs";

type Token = Schemas["TokenView"];
type Key = Schemas["AccessKeyView"];

/** What programs come with: tokens for the REST API, access keys for the one that signs. */
export function Credentials() {
  return (
    <>
      <Tokens />
      <Keys />
    </>
  );
}

function Tokens() {
  const { t } = useTranslation();
  const client = useQueryClient();
  const { near, moment } = useFormat();
  const found = useQuery(queries.tokens());
  const [doing, setDoing] = useState<Token | "new" | null>(null);
  const close = () => {
    setDoing(null);
    void client.invalidateQueries({ queryKey: ["tokens"] });
  };
  return (
    <Kind
      of="tokens"
      add={() => setDoing("new")}
      count={found.data?.length}
      problem={found.error && problemOf(found.error)}
      head={["name", "account", "limits", "expires", "created"]}
    >
      {(found.data ?? []).map((token) => (
        <tr key={token.id} data-off={token.expired || undefined}>
          <td className="name">
            <b>{token.name}</b>
          </td>
          <td>{token.account}</td>
          <td className="wide">
            <Limits token={token} />
          </td>
          <td title={moment(token.expires_at)}>
            {token.expired ? <span className="tag tag-off">{t("tokens.expired")}</span> : near(token.expires_at)}
          </td>
          <td className="wide" title={moment(token.created_at)}>
            {near(token.created_at)}
            <span className="sub">{t("people.by", { actor: token.created_by })}</span>
          </td>
          <td className="acts">
            <Button size="compact-sm" variant="default" onClick={() => setDoing(token)}>
              {t("tokens.revoke")}
            </Button>
          </td>
        </tr>
      ))}
      {doing === "new" && <TokenDialog onClose={close} />}
      {doing && doing !== "new" && (
        <Confirm
          title={t("tokens.revokeTitle", { name: doing.name, account: doing.account })}
          says={t("tokens.revokeSays")}
          act={t("tokens.revoke")}
          run={() => ask(api.DELETE("/api/v1/tokens/{token}", { params: { path: { token: doing.id } } }))}
          onClose={close}
        />
      )}
    </Kind>
  );
}

function Limits({ token }: { token: Token }) {
  const { t } = useTranslation();
  if (token.permissions === null && token.projects === null) return <span className="faint">{t("tokens.whole")}</span>;
  return (
    <span className="tags">
      {token.projects?.map((one) => (
        <span key={one} className="tag">
          {t("tokens.in", { project: one })}
        </span>
      ))}
      {token.permissions?.map((one) => (
        <code key={one} className="tag">
          {one}
        </code>
      ))}
    </span>
  );
}

function Keys() {
  const { t } = useTranslation();
  const client = useQueryClient();
  const { near, moment } = useFormat();
  const found = useQuery(queries.accessKeys());
  const [doing, setDoing] = useState<Key | "new" | null>(null);
  const close = () => {
    setDoing(null);
    void client.invalidateQueries({ queryKey: ["access-keys"] });
  };
  return (
    <Kind
      of="keys"
      add={() => setDoing("new")}
      count={found.data?.length}
      problem={found.error && problemOf(found.error)}
      head={["name", "account", "secretId", "created"]}
    >
      {(found.data ?? []).map((key) => (
        <tr key={key.secret_id}>
          <td className="name">
            <b>{key.name}</b>
          </td>
          <td>{key.account ?? t("keys.builtIn")}</td>
          <td className="wide">
            <code className="break">{key.secret_id}</code>
          </td>
          <td className="wide" title={moment(key.created_at)}>
            {near(key.created_at)}
            <span className="sub">{t("people.by", { actor: key.created_by })}</span>
          </td>
          <td className="acts">
            <Button size="compact-sm" variant="default" onClick={() => setDoing(key)}>
              {t("tokens.revoke")}
            </Button>
          </td>
        </tr>
      ))}
      {doing === "new" && <KeyDialog onClose={close} />}
      {doing && doing !== "new" && (
        <Confirm
          title={t("keys.revokeTitle", { name: doing.name })}
          says={t("keys.revokeSays")}
          act={t("tokens.revoke")}
          run={() =>
            ask(api.DELETE("/api/v1/access-keys/{secret_id}", { params: { path: { secret_id: doing.secret_id } } }))
          }
          onClose={close}
        />
      )}
    </Kind>
  );
}

const WIDE = new Set(["limits", "created", "secretId"]);

/** One of the two lists. `children`: its rows, and what is asked over them. */
function Kind(given: {
  of: "tokens" | "keys";
  add: () => void;
  count: number | undefined;
  problem: Problem | null;
  head: string[];
  children: ReactNode[];
}) {
  const { t } = useTranslation();
  const { of } = given;
  const [rows, ...dialogs] = given.children;
  return (
    <section className="card card-flush" aria-label={t(`${of}.title`)}>
      <div className="card-tools">
        <div>
          <h2>{t(`${of}.title`)}</h2>
          <p className="faint">{t(`${of}.says`)}</p>
        </div>
        <span className="grow" />
        <Button size="sm" leftSection={<Icon name="plus" />} onClick={given.add}>
          {t(`${of}.add`)}
        </Button>
      </div>
      {given.problem && <ProblemBox problem={given.problem} />}
      {given.count === 0 && (
        <div className="empty">
          <h2>{t(`${of}.none`)}</h2>
          <p>{t(`${of}.noneHint`)}</p>
        </div>
      )}
      {given.count ? (
        <div className="scroll-x">
          <table className="list">
            <thead>
              <tr>
                {given.head.map((key) => (
                  <th key={key} className={WIDE.has(key) ? "wide" : ""}>
                    {t(`credentialColumn.${key}`)}
                  </th>
                ))}
                <th className="acts">
                  <span className="visually-hidden">{t("ops.operations")}</span>
                </th>
              </tr>
            </thead>
            <tbody>{rows}</tbody>
          </table>
        </div>
      ) : null}
      {dialogs}
    </section>
  );
}
