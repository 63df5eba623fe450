// Lines of the log: of one task, or of the server itself. Searched by the server; followed as they arrive.

import { Button, Loader, Select, Switch, TextInput, Tooltip } from "@mantine/core";
import { useDebouncedCallback } from "@mantine/hooks";
import { keepPreviousData, useInfiniteQuery, useQuery } from "@tanstack/react-query";
import { useEffect, useMemo, useState } from "react";
import { useTranslation } from "react-i18next";
import { api, ask, problemOf, type Schemas } from "../api/client";
import * as queries from "../api/queries";
import type { paths } from "../api/schema";
import { useFormat, useManner } from "../manner";
import { Icon } from "./Icon";
import { ProblemBox } from "./ProblemBox";

export type Line = Schemas["LogLineView"];

export interface LogSearch {
  search?: string;
  diagnosis?: string;
  /** This serious, or more. */
  level?: string;
  container?: string;
  run?: number;
  since?: string;
  until?: string;
}

const PAGE = 200;
/** As many are kept on the page while it follows. */
const MOST = 2_000;
const WAIT_S = 20;
const AGAIN_MS = 2_000;
const LEVELS = ["debug", "info", "warning", "error"] as const;
const CONTAINERS = ["worker", "server"] as const;
const SINCE = ["15m", "1h", "6h", "24h", "7d"];

interface Given {
  which: queries.Which | null;
  search: LogSearch;
  show: (change: Partial<LogSearch>, replace?: boolean) => void;
  tools?: React.ReactNode;
}

export function LogView({ which, search, show, tools }: Given) {
  const { t } = useTranslation();
  const [follows, setFollows] = useState(false);
  const wanted = useWanted(search);
  const found = useInfiniteQuery({
    queryKey: ["logs", which, wanted],
    queryFn: ({ pageParam, signal }) => page(which, { ...wanted, limit: PAGE, cursor: pageParam }, signal),
    initialPageParam: undefined as string | undefined,
    getNextPageParam: (last) => last.cursor ?? undefined,
    staleTime: Number.POSITIVE_INFINITY,
    gcTime: 0,
    placeholderData: keepPreviousData,
    refetchOnWindowFocus: false,
    retry: false,
  });
  const first = found.data?.pages[0];
  const later = useFollowed(which, wanted, follows && !found.isPlaceholderData ? first?.follow : undefined);
  const lines = useMemo(
    () => [...later.lines, ...(found.data?.pages.flatMap((one) => one.items) ?? [])],
    [later, found],
  );
  const again = () => void found.refetch();
  return (
    <>
      <section className="card">
        <Quick chosen={search.diagnosis} show={show} />
        <div className="card-tools log-tools">
          <Keywords value={search.search ?? ""} look={(value) => show({ search: value || undefined }, true)} />
          <Choice
            name="level"
            width={206}
            values={LEVELS.slice(1)}
            value={search.level}
            choose={(level) => show({ level })}
            said={(one) => t(`logs.level.${one}`)}
          />
          {which && (
            <Choice
              name="container"
              values={CONTAINERS}
              value={search.container}
              choose={(container) => show({ container })}
              said={(one) => t(`logs.container.${one}`)}
            />
          )}
          <Times search={search} show={show} />
          {tools}
          <span className="grow" />
          <Switch
            size="sm"
            label={t("logs.follow")}
            checked={follows}
            onChange={(event) => {
              setFollows(event.currentTarget.checked);
              if (event.currentTarget.checked) again();
            }}
          />
          <Tooltip label={t("logs.again")}>
            <Button
              size="xs"
              variant="default"
              aria-label={t("logs.again")}
              loading={found.isFetching && !found.isFetchingNextPage}
              onClick={again}
            >
              <Icon name="refresh" />
            </Button>
          </Tooltip>
          <Download which={which} wanted={wanted} />
        </div>
        {found.error && <ProblemBox problem={problemOf(found.error)} again={again} />}
        {later.away && <p className="faint">{t("logs.away")}</p>}
      </section>
      <section className="card card-flush log" aria-busy={found.isFetching} aria-label={t("logs.lines")}>
        {found.isPending && <Loader size="sm" m="md" />}
        {found.isSuccess && lines.length === 0 && !found.hasNextPage && (
          <div className="empty">
            <h2>{t("logs.none")}</h2>
            <p>{t("logs.noneHint")}</p>
          </div>
        )}
        {lines.map((line) => (
          <LogLine key={line.id} line={line} />
        ))}
        {found.hasNextPage && (
          <p className="pad">
            {lines.length === 0 && <span className="faint">{t("logs.notYet")} </span>}
            <Button
              size="compact-sm"
              variant="default"
              loading={found.isFetchingNextPage}
              onClick={() => void found.fetchNextPage()}
            >
              {t("logs.older")}
            </Button>
          </p>
        )}
      </section>
    </>
  );
}

// --- what is asked for ---

type Wanted = NonNullable<paths["/api/v1/logs"]["get"]["parameters"]["query"]>;

/** The same object for as long as the same is wanted. */
function useWanted(search: LogSearch): Wanted {
  const said = JSON.stringify(search);
  return useMemo(() => {
    const given = JSON.parse(said) as LogSearch;
    const least = LEVELS.indexOf((given.level ?? "debug") as (typeof LEVELS)[number]);
    return {
      search: given.search,
      diagnosis: given.diagnosis as Wanted["diagnosis"],
      level: least > 0 ? [...LEVELS.slice(least)] : [],
      container: CONTAINERS.find((one) => one === given.container),
      run: given.run,
      since: given.since,
      until: given.until,
    };
  }, [said]);
}

const page = (which: queries.Which | null, query: Wanted, signal: AbortSignal) =>
  which
    ? ask(
        api.GET("/api/v1/tasks/{task}/logs", {
          params: { path: { task: which.task }, query: { ...query, project: which.project } },
          signal,
        }),
      )
    : ask(api.GET("/api/v1/logs", { params: { query }, signal }));

/** What arrives from this cursor on, the newest first. */
function useFollowed(which: queries.Which | null, wanted: Wanted, from: string | undefined) {
  const [held, setHeld] = useState<{ lines: Line[]; away: boolean }>({ lines: [], away: false });
  // biome-ignore lint/correctness/useExhaustiveDependencies: the cursor is another one where the task or the search is
  useEffect(() => {
    setHeld({ lines: [], away: false });
    if (!from) return;
    const stop = new AbortController();
    void (async () => {
      let cursor = from;
      while (!stop.signal.aborted) {
        try {
          const arrived = await page(which, { ...wanted, cursor, wait_s: WAIT_S, limit: PAGE }, stop.signal);
          cursor = arrived.follow;
          const fresh = arrived.items.reverse();
          if (!stop.signal.aborted) {
            setHeld((before) => ({ lines: [...fresh, ...before.lines].slice(0, MOST), away: false }));
          }
        } catch {
          if (stop.signal.aborted) return;
          setHeld((before) => ({ ...before, away: true }));
          await new Promise((done) => setTimeout(done, AGAIN_MS));
        }
      }
    })();
    return () => stop.abort();
  }, [from]);
  return held;
}

// --- the tools ---

function Quick({ chosen, show }: { chosen: string | undefined; show: Given["show"] }) {
  const { t } = useTranslation();
  const known = useQuery(queries.diagnoses());
  return (
    <fieldset className="chips">
      <legend>{t("logs.diagnosis")}</legend>
      {(known.data ?? []).map((one) => (
        <Tooltip key={one.name} label={`${one.says}: ${one.search}`} multiline maw={420} openDelay={300}>
          <button
            type="button"
            className="chip"
            aria-pressed={chosen === one.name}
            onClick={() => show({ diagnosis: chosen === one.name ? undefined : one.name })}
          >
            {t(`diagnosis.${one.name}`, { defaultValue: one.name.replaceAll("_", " ") })}
          </button>
        </Tooltip>
      ))}
    </fieldset>
  );
}

function Keywords({ value, look }: { value: string; look: (value: string) => void }) {
  const { t } = useTranslation();
  const [typed, setTyped] = useState(value);
  const later = useDebouncedCallback(look, 400);
  // biome-ignore lint/correctness/useExhaustiveDependencies: the back button changes the address under the field
  useEffect(() => {
    if (value !== typed.trim()) setTyped(value);
  }, [value]);
  return (
    <TextInput
      size="sm"
      className="log-search"
      leftSection={<Icon name="search" />}
      placeholder={t("logs.searchHint")}
      aria-label={t("logs.search")}
      value={typed}
      maxLength={500}
      spellCheck={false}
      onChange={(event) => {
        setTyped(event.currentTarget.value);
        later(event.currentTarget.value.trim());
      }}
    />
  );
}

function Choice<T extends string>(given: {
  name: string;
  width?: number;
  values: readonly T[];
  value: string | undefined;
  choose: (value: string | undefined) => void;
  said: (value: T) => string;
}) {
  const { t } = useTranslation();
  return (
    <Select
      size="sm"
      w={given.width ?? 150}
      aria-label={t(`logs.any.${given.name}`)}
      placeholder={t(`logs.any.${given.name}`)}
      data={given.values.map((one) => ({ value: one, label: given.said(one) }))}
      value={given.value ?? null}
      clearable
      onChange={(value) => given.choose(value ?? undefined)}
    />
  );
}

/** How far back, or from when until when. */
function Times({ search, show }: { search: LogSearch; show: Given["show"] }) {
  const { t } = useTranslation();
  const [between, setBetween] = useState(Boolean(search.until || (search.since && !SINCE.includes(search.since))));
  return (
    <>
      <Select
        size="sm"
        w={168}
        aria-label={t("logs.since")}
        placeholder={t("logs.always")}
        data={[
          ...SINCE.map((one) => ({ value: one, label: t(`logs.ago.${one}`) })),
          { value: "between", label: t("logs.between") },
        ]}
        value={between ? "between" : (search.since ?? null)}
        clearable
        onChange={(value) => {
          setBetween(value === "between");
          if (value !== "between") show({ since: value ?? undefined, until: undefined });
        }}
      />
      {between && (
        <>
          <Moment label={t("logs.from")} value={search.since} change={(since) => show({ since })} />
          <Moment label={t("logs.to")} value={search.until} change={(until) => show({ until })} />
        </>
      )}
    </>
  );
}

function Moment(given: { label: string; value: string | undefined; change: (value: string | undefined) => void }) {
  const { utc } = useManner();
  const at = given.value && !SINCE.includes(given.value) ? new Date(given.value) : null;
  const shift = at && !utc ? at.getTimezoneOffset() * 60_000 : 0;
  const shown = at && !Number.isNaN(at.getTime()) ? new Date(at.getTime() - shift).toISOString().slice(0, 19) : "";
  return (
    <TextInput
      size="sm"
      type="datetime-local"
      step={1}
      aria-label={given.label}
      defaultValue={shown}
      key={`${given.value}${utc}`}
      onBlur={(event) => {
        const said = event.currentTarget.value;
        if (said === shown) return;
        const meant = said ? new Date(utc ? `${said}Z` : said) : null;
        given.change(meant && !Number.isNaN(meant.getTime()) ? meant.toISOString() : undefined);
      }}
    />
  );
}

function Download({ which, wanted }: { which: queries.Which | null; wanted: Wanted }) {
  const { t } = useTranslation();
  const params = new URLSearchParams();
  for (const [name, value] of Object.entries({ ...wanted, project: which?.project })) {
    for (const one of Array.isArray(value) ? value : [value]) if (one !== undefined) params.append(name, String(one));
  }
  const path = which ? `/api/v1/tasks/${encodeURIComponent(which.task)}/logs/download` : "/api/v1/logs/download";
  return (
    <Button
      component="a"
      size="xs"
      variant="default"
      leftSection={<Icon name="download" size={14} />}
      href={`${path}?${params}`}
      download
    >
      {t("logs.download")}
    </Button>
  );
}

// --- a line ---

function LogLine({ line }: { line: Line }) {
  const { t } = useTranslation();
  const { near, moment } = useFormat();
  const whose = [line.run, line.epoch].filter((part) => part != null).join("/");
  const rest = line.text.startsWith(line.message) ? line.text.slice(line.message.length) : ` ${line.text}`;
  const fields = Object.entries(line.fields);
  return (
    <details className={`log-line log-${line.level}`}>
      <summary>
        <time dateTime={line.at} title={moment(line.at)}>
          {near(line.at)}
        </time>
        <span className="log-level">{line.level}</span>
        <span className="log-origin" title={t("logs.originHint")}>
          {t(`logs.container.${line.container}`)} {whose}
        </span>
        <span className="log-text">
          <b>{line.message}</b>
          {rest}
        </span>
      </summary>
      <dl className="log-fields">
        <div>
          <dt>{t("logs.at")}</dt>
          <dd>{line.at}</dd>
        </div>
        <div>
          <dt>{t("logs.logger")}</dt>
          <dd>{line.logger}</dd>
        </div>
        {fields.map(([name, value]) => (
          <div key={name}>
            <dt>{name}</dt>
            <dd>{typeof value === "string" ? value : JSON.stringify(value)}</dd>
          </div>
        ))}
        {line.exception && (
          <div>
            <dt>{t("logs.exception")}</dt>
            <dd>
              <pre>{line.exception}</pre>
            </dd>
          </div>
        )}
      </dl>
    </details>
  );
}
