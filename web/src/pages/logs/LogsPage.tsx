import { useNavigate, useSearch } from "@tanstack/react-router";
import { useTranslation } from "react-i18next";
import { LogView } from "../../parts/LogView";
import { Page } from "../../parts/Page";

/** What the server logged that is about no task. */
export function LogsPage() {
  const { t } = useTranslation();
  const search = useSearch({ from: "/logs" });
  const navigate = useNavigate({ from: "/logs" });
  return (
    <Page title={t("nav.logs")} hint={t("logs.serverHint")}>
      <LogView
        which={null}
        search={search}
        show={(change, replace = false) => void navigate({ search: (before) => ({ ...before, ...change }), replace })}
      />
    </Page>
  );
}
