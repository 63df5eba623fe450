import "../../i18n/people";
import { Button, Select, TextInput } from "@mantine/core";
import { useDebouncedCallback } from "@mantine/hooks";
import { useInfiniteQuery } from "@tanstack/react-query";
import { useNavigate, useSearch } from "@tanstack/react-router";
import { useEffect, useRef, useState } from "react";
import { useTranslation } from "react-i18next";
import { api, ask, problemOf, type Schemas } from "../../api/client";
import { useFormat } from "../../manner";
import { Icon } from "../../parts/Icon";
import { Page } from "../../parts/Page";
import { ProblemBox } from "../../parts/ProblemBox";
import { useMay } from "../../session/useMay";
import { type AuditSearch, asked, OUTCOMES, WITHIN } from "./search";
import { Verify } from "./Verify";

type Entry = Schemas["AuditEntryView"];
const PAGE = 100;
const COLUMNS = ["at", "actor", "action", "subject", "project", "outcome", "address"];
const WIDE = new Set(["project", "address"]);

/** Who did what, and whether the log is as it was written. */
export function AuditPage() {
  const { t } = useTranslation();
  const may = useMay();
  const search = useSearch({ from: "/audit" });
  const exported = new URLSearchParams(asked(search) as Record<string, string>).toString();
  return (
    <Page
      title={t("nav.audit")}
      hint={may.allowed("server.audit") ? t("audit.hint") : t("audit.hintProjects")}
      actions={
        <Button
          variant="default"
          size="sm"
          component="a"
          href={`/api/v1/audit/export${exported && `?${exported}`}`}
          download="audit.jsonl"
          leftSection={<Icon name="download" />}
        >
          {t("audit.export")}
        </Button>
      }
    >
      {may.allowed("server.audit") && <Verify />}
      <Entries search={search} />
    </Page>
  );
}

function Entries({ search }: { search: AuditSearch }) {
  const { t } = useTranslation();
  const found = useInfiniteQuery({
    queryKey: ["audit", search],
    queryFn: ({ pageParam }) =>
      ask(api.GET("/api/v1/audit", { params: { query: { ...asked(search), before: pageParam, limit: PAGE } } })),
    initialPageParam: undefined as number | undefined,
    getNextPageParam: (last) => (last.length === PAGE ? last.at(-1)?.id : undefined),
    refetchInterval: (query) => ((query.state.data?.pages.length ?? 0) > 1 ? false : 10_000),
  });
  const entries = found.data?.pages.flat() ?? [];
  const filtered = Object.keys(search).length > 0;
  return (
    <section className="card card-flush">
      <Filters search={search} />
      {found.error && <ProblemBox problem={problemOf(found.error)} again={() => void found.refetch()} />}
      {found.isSuccess && entries.length === 0 && (
        <div className="empty">
          <h2>{filtered ? t("audit.noneMatch") : t("audit.none")}</h2>
          <p>{filtered ? t("audit.noneMatchHint") : t("audit.noneHint")}</p>
        </div>
      )}
      {entries.length > 0 && (
        <div className="scroll-x">
          <table className="list list-dense audit">
            <thead>
              <tr>
                {COLUMNS.map((key) => (
                  <th key={key} className={WIDE.has(key) ? "wide" : ""}>
                    {t(`auditColumn.${key}`)}
                  </th>
                ))}
              </tr>
            </thead>
            <tbody>
              {entries.map((entry) => (
                <EntryRow key={entry.id} entry={entry} />
              ))}
            </tbody>
          </table>
        </div>
      )}
      {found.hasNextPage && (
        <p className="pad">
          <Button
            size="compact-sm"
            variant="default"
            loading={found.isFetchingNextPage}
            onClick={() => void found.fetchNextPage()}
          >
            {t("audit.older")}
          </Button>
        </p>
      )}
    </section>
  );
}

const SIGNS = { done: "check", refused: "cross", failed: "warning" } as const;

function EntryRow({ entry }: { entry: Entry }) {
  const { t } = useTranslation();
  const { near, moment } = useFormat();
  const sign = SIGNS[entry.outcome as keyof typeof SIGNS] ?? "info";
  return (
    <tr>
      <td className="nowrap" title={moment(entry.at)}>
        {near(entry.at)}
      </td>
      <td>
        {entry.actor ? <b>{entry.actor}</b> : <span className="faint">{t("audit.nobody")}</span>}
        {entry.credential && <span className="sub">{entry.credential}</span>}
      </td>
      <td>
        <code>{entry.action}</code>
      </td>
      <td className="subject">{entry.subject || <span className="faint">–</span>}</td>
      <td className="wide">{entry.project || <span className="faint">–</span>}</td>
      <td>
        <span className={`outcome outcome-${entry.outcome}`}>
          <Icon name={sign} size={13} />
          {t(`auditOutcome.${entry.outcome}`, { defaultValue: entry.outcome })}
        </span>
        {entry.code && <code className="sub">{entry.code}</code>}
      </td>
      <td className="wide">
        <code>{entry.address || "–"}</code>
      </td>
    </tr>
  );
}

function TextFilter(given: { label: string; width: number; value: string; look: (value: string) => void }) {
  const { label, value } = given;
  const [text, setText] = useState(value);
  const typed = useRef(value);
  useEffect(() => {
    // "Clear filters" and the back button change the address under the field.
    if (value !== typed.current) {
      typed.current = value;
      setText(value);
    }
  }, [value]);
  const look = useDebouncedCallback(given.look, 300);
  return (
    <TextInput
      size="xs"
      w={given.width}
      aria-label={label}
      placeholder={label}
      value={text}
      maxLength={100}
      autoCapitalize="none"
      onChange={(event) => {
        setText(event.currentTarget.value);
        typed.current = event.currentTarget.value.trim();
        look(typed.current);
      }}
    />
  );
}

function Filters({ search }: { search: AuditSearch }) {
  const { t } = useTranslation();
  const may = useMay();
  const navigate = useNavigate({ from: "/audit" });
  const show = (change: Partial<AuditSearch>, replace = false) =>
    void navigate({ search: (before: AuditSearch) => ({ ...before, ...change }), replace });
  const text = (name: "actor" | "action" | "address", width: number) => (
    <TextFilter
      label={t(`auditFilter.${name}`)}
      width={width}
      value={search[name] ?? ""}
      look={(value) => show({ [name]: value || undefined }, true)}
    />
  );
  return (
    <search className="card-tools audit-filters" aria-label={t("audit.filters")}>
      <Select
        size="xs"
        w={150}
        aria-label={t("auditFilter.within")}
        placeholder={t("audit.allTime")}
        clearable
        data={Object.keys(WITHIN).map((value) => ({ value, label: t(`audit.within.${value}`) }))}
        value={search.within ?? null}
        onChange={(value) => show({ within: (value ?? undefined) as AuditSearch["within"] })}
      />
      {text("actor", 160)}
      {text("action", 180)}
      <Select
        size="xs"
        w={160}
        aria-label={t("column.project")}
        placeholder={t("column.project")}
        clearable
        searchable
        data={[...new Set([...may.projects, ...(search.project ? [search.project] : [])])]}
        value={search.project ?? null}
        onChange={(value) => show({ project: value ?? undefined })}
      />
      <Select
        size="xs"
        w={140}
        aria-label={t("auditColumn.outcome")}
        placeholder={t("auditColumn.outcome")}
        clearable
        data={OUTCOMES.map((value) => ({ value, label: t(`auditOutcome.${value}`) }))}
        value={search.outcome ?? null}
        onChange={(value) => show({ outcome: OUTCOMES.find((one) => one === value) })}
      />
      {text("address", 140)}
      {Object.keys(search).length > 0 && (
        <Button size="compact-sm" variant="subtle" onClick={() => void navigate({ search: {} })}>
          {t("ops.clear")}
        </Button>
      )}
    </search>
  );
}
