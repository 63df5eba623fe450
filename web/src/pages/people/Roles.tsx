import { useQuery } from "@tanstack/react-query";
import { useTranslation } from "react-i18next";
import { problemOf } from "../../api/client";
import * as queries from "../../api/queries";
import { Icon } from "../../parts/Icon";
import { ProblemBox } from "../../parts/ProblemBox";
import { type Permission, usePermissionWords } from "./words";

/** The permission table as the server goes by it. */
export function Roles() {
  const { t } = useTranslation();
  const words = usePermissionWords();
  const table = useQuery(queries.permissionTable());
  const of = (scope: string) => (table.data?.permissions ?? []).filter((one) => one.scope === scope);
  const roles = Object.entries(table.data?.roles ?? {});
  if (table.error) return <ProblemBox problem={problemOf(table.error)} again={() => void table.refetch()} />;
  return (
    <>
      <section className="card card-flush">
        <h2 className="pad">{t("roles.project")}</h2>
        <p className="faint pad">{t("roles.projectHint")}</p>
        {/* biome-ignore lint/a11y/noNoninteractiveTabindex: what scrolls must be reached with the keyboard */}
        <div className="scroll-x" tabIndex={0}>
          <table className="list list-dense matrix">
            <thead>
              <tr>
                <th>{t("roles.permission")}</th>
                {roles.map(([role]) => (
                  <th key={role}>{words.role(role)}</th>
                ))}
              </tr>
            </thead>
            <tbody>
              {of("project").map((one) => (
                <tr key={one.name}>
                  <td>
                    <Said of={one} />
                  </td>
                  {roles.map(([role, held]) => (
                    <td key={role}>
                      {held.includes(one.name) ? (
                        <span className="verdict-ok">
                          <Icon name="check" size={15} />
                          <span className="visually-hidden">{t("roles.yes")}</span>
                        </span>
                      ) : (
                        <span className="faint">{role === "custom" ? t("roles.asGiven") : "–"}</span>
                      )}
                    </td>
                  ))}
                </tr>
              ))}
            </tbody>
          </table>
        </div>
      </section>
      <div className="overview-columns">
        {["server", "account"].map((scope) => (
          <section key={scope} className="card">
            <h2>{t(`roles.${scope}`)}</h2>
            <p className="faint">{t(`roles.${scope}Hint`)}</p>
            <ul className="plain">
              {of(scope).map((one) => (
                <li key={one.name}>
                  <Said of={one} />
                </li>
              ))}
            </ul>
          </section>
        ))}
      </div>
    </>
  );
}

function Said({ of }: { of: Permission }) {
  const words = usePermissionWords();
  return (
    <>
      {words.permission(of)}
      <code className="sub">{of.name}</code>
    </>
  );
}
