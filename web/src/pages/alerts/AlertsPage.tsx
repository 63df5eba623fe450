import { Button, SegmentedControl, Select, TextInput } from "@mantine/core";
import { useDebouncedCallback } from "@mantine/hooks";
import { useInfiniteQuery, useQuery, useQueryClient } from "@tanstack/react-query";
import { Link, useNavigate, useParams, useSearch } from "@tanstack/react-router";
import { useState } from "react";
import { useTranslation } from "react-i18next";
import { api, ask, problemOf } from "../../api/client";
import * as queries from "../../api/queries";
import { AlertTable, type Rule, RuleTable, rulesChanged } from "../../parts/Alerts";
import { Confirm } from "../../parts/Confirm";
import { Icon } from "../../parts/Icon";
import { Page } from "../../parts/Page";
import { ProblemBox } from "../../parts/ProblemBox";
import { DEFAULT_PROJECT, ProjectPicker } from "../../parts/Project";
import { useMay } from "../../session/useMay";
import { Channels } from "./Channels";
import { RuleDialog } from "./RuleDialog";
import { ALERT_TABS, type AlertSearch, SEVERITIES } from "./search";

const ROUTE = "/alerts/{-$tab}";

/** Everything about alerts: what fired, what fires, and who is told. */
export function AlertsPage() {
  const { t } = useTranslation();
  const { tab = "history" } = useParams({ from: ROUTE });
  const { project = DEFAULT_PROJECT } = useSearch({ from: ROUTE });
  const navigate = useNavigate({ from: ROUTE });
  return (
    <Page
      title={t("nav.alerts")}
      hint={t("alerts.hint")}
      actions={<ProjectPicker value={project} change={(to) => void navigate({ search: { project: to } })} />}
    >
      <nav className="tabs" aria-label={t("nav.alerts")}>
        {ALERT_TABS.map((one) => (
          <Link
            key={one}
            to={ROUTE}
            params={{ tab: one === "history" ? undefined : one }}
            search={project === DEFAULT_PROJECT ? {} : { project }}
            data-active={one === tab || undefined}
            aria-current={one === tab ? "page" : undefined}
          >
            {t(`alertTab.${one}`)}
          </Link>
        ))}
      </nav>
      {tab === "history" && <History project={project} />}
      {tab === "rules" && <Rules project={project} />}
      {tab === "channels" && <Channels project={project} />}
    </Page>
  );
}

const PAGE = 50;

function History({ project }: { project: string }) {
  const { t } = useTranslation();
  const search = useSearch({ from: ROUTE });
  const navigate = useNavigate({ from: ROUTE });
  const show = (change: Partial<AlertSearch>, replace = false) =>
    void navigate({ search: (before) => ({ ...before, ...change }), replace });
  const look = useDebouncedCallback((keyword: string) => show({ keyword: keyword || undefined }, true), 300);
  const { severity, open, keyword } = search;
  const found = useInfiniteQuery({
    queryKey: ["alerts", project, severity, open, keyword],
    queryFn: ({ pageParam }) =>
      ask(
        api.GET("/api/v1/alerts", {
          params: { query: { project, severity, open_only: open, keyword, before: pageParam, limit: PAGE } },
        }),
      ),
    initialPageParam: undefined as number | undefined,
    getNextPageParam: (last) => (last.length === PAGE ? last.at(-1)?.id : undefined),
    refetchInterval: 5_000,
  });
  const alerts = found.data?.pages.flat() ?? [];
  return (
    <section className="card card-flush">
      <div className="card-tools">
        <SegmentedControl
          size="xs"
          value={open ? "open" : "all"}
          onChange={(value) => show({ open: value === "open" ? true : undefined })}
          data={["all", "open"].map((value) => ({ value, label: t(`alerts.which.${value}`) }))}
        />
        <Select
          size="xs"
          w={150}
          aria-label={t("alertColumn.severity")}
          placeholder={t("alertColumn.severity")}
          clearable
          data={SEVERITIES.map((value) => ({ value, label: t(`severity.${value}`) }))}
          value={severity ?? null}
          onChange={(value) => show({ severity: SEVERITIES.find((one) => one === value) })}
        />
        <TextInput
          size="xs"
          className="filter-name"
          leftSection={<Icon name="search" size={14} />}
          placeholder={t("alerts.search")}
          aria-label={t("alerts.search")}
          defaultValue={keyword ?? ""}
          maxLength={100}
          onChange={(event) => look(event.currentTarget.value.trim())}
        />
      </div>
      {found.error && <ProblemBox problem={problemOf(found.error)} />}
      {found.isSuccess && alerts.length === 0 && (
        <div className="empty">
          <h2>{severity || open || keyword ? t("alerts.noneMatch") : t("alerts.none")}</h2>
          <p>{t("alerts.noneHint")}</p>
        </div>
      )}
      {alerts.length > 0 && <AlertTable alerts={alerts} tasks />}
      {found.hasNextPage && (
        <p className="pad">
          <Button
            size="compact-sm"
            variant="default"
            loading={found.isFetchingNextPage}
            onClick={() => void found.fetchNextPage()}
          >
            {t("alerts.older")}
          </Button>
        </p>
      )}
    </section>
  );
}

function Rules({ project }: { project: string }) {
  const { t } = useTranslation();
  const client = useQueryClient();
  const found = useQuery(queries.allRules(project));
  const edits = useMay().allowed("alert.edit", project);
  const [doing, setDoing] = useState<Rule | "new" | null>(null);
  const [removed, setRemoved] = useState<Rule | null>(null);
  return (
    <section className="card card-flush">
      <div className="card-tools">
        <p className="faint">{t("alerts.rulesSays")}</p>
        <span className="grow" />
        {edits && (
          <Button size="sm" leftSection={<Icon name="plus" />} onClick={() => setDoing("new")}>
            {t("alerts.addRule")}
          </Button>
        )}
      </div>
      {found.error && <ProblemBox problem={problemOf(found.error)} />}
      {found.data?.length === 0 && <p className="faint pad">{t("alerts.noRules")}</p>}
      {found.data && found.data.length > 0 && <RuleTable rules={found.data} edit={setDoing} remove={setRemoved} />}
      {doing && <RuleDialog project={project} rule={doing === "new" ? null : doing} onClose={() => setDoing(null)} />}
      {removed && (
        <Confirm
          title={t("alerts.deleteRule", { name: removed.name })}
          says={t("alerts.deleteRuleSays")}
          act={t("act.delete")}
          run={() =>
            ask(
              api.DELETE("/api/v1/alert-rules/{name}", {
                params: { path: { name: removed.name }, query: { project, version: removed.version } },
              }),
            )
          }
          onClose={() => {
            setRemoved(null);
            rulesChanged(client);
          }}
        />
      )}
    </section>
  );
}
