import "../../i18n/people";
import { Link, useNavigate, useParams, useSearch } from "@tanstack/react-router";
import { useTranslation } from "react-i18next";
import { Page } from "../../parts/Page";
import { DEFAULT_PROJECT, ProjectPicker } from "../../parts/Project";
import { useMay } from "../../session/useMay";
import { Accounts } from "./Accounts";
import { Members } from "./Members";
import { Roles } from "./Roles";
import { Credentials } from "./Tokens";
import { PEOPLE_TABS } from "./tabs";

const ROUTE = "/people/{-$tab}";

/** Who there is, what they may do where, and what programs come with. */
export function PeoplePage() {
  const { t } = useTranslation();
  const may = useMay();
  const { tab: wanted } = useParams({ from: ROUTE });
  const search = useSearch({ from: ROUTE });
  const navigate = useNavigate({ from: ROUTE });
  const tabs = PEOPLE_TABS.filter((one) => one !== "accounts" || may.allowed("user.edit"));
  const tab = tabs.find((one) => one === wanted) ?? tabs[0] ?? "members";
  const seen = may.projects.includes(DEFAULT_PROJECT) ? DEFAULT_PROJECT : (may.projects[0] ?? DEFAULT_PROJECT);
  const project = search.project ?? seen;
  return (
    <Page
      title={t("nav.people")}
      hint={t("people.hint")}
      actions={
        tab === "members" && (
          <ProjectPicker value={project} change={(to) => void navigate({ search: { project: to }, replace: true })} />
        )
      }
    >
      <nav className="tabs" aria-label={t("nav.people")}>
        {tabs.map((one) => (
          <Link
            key={one}
            to={ROUTE}
            params={{ tab: one === tabs[0] ? undefined : one }}
            search={search}
            data-active={one === tab || undefined}
            aria-current={one === tab ? "page" : undefined}
          >
            {t(`peopleTab.${one}`)}
          </Link>
        ))}
      </nav>
      {tab === "accounts" && <Accounts />}
      {tab === "members" && <Members key={project} project={project} />}
      {tab === "tokens" && <Credentials />}
      {tab === "roles" && <Roles />}
    </Page>
  );
}
