import { ActionIcon, Button, Checkbox, Loader, Menu, Pagination, Select, TextInput, Tooltip } from "@mantine/core";
import { useDebouncedCallback, useLocalStorage } from "@mantine/hooks";
import { useQuery, useQueryClient } from "@tanstack/react-query";
import { Link, useNavigate, useSearch } from "@tanstack/react-router";
import { memo, useCallback, useEffect, useMemo, useRef, useState } from "react";
import { useTranslation } from "react-i18next";
import { problemOf, type Schemas, type Task } from "../../api/client";
import * as queries from "../../api/queries";
import { live, useTask, useWatch } from "../../live/useLive";
import { useFormat } from "../../manner";
import { Icon } from "../../parts/Icon";
import { type Asked, OperationDialog, OperationMenu } from "../../parts/Operations";
import { ProblemBox } from "../../parts/ProblemBox";
import { StatusWord } from "../../parts/Status";
import { useMay } from "../../session/useMay";
import { BatchDialog } from "./Batch";
import { BATCH_MOST, BatchButtons } from "./BatchButtons";
import { COLUMNS, type Column, TaskName } from "./columns";
import { type OpsSearch, PAGE_SIZE, PAGE_SIZE_MOST, PAGE_SIZES } from "./search";

/** How often the order and what belongs to the list are asked for anew, unless somebody points at it. */
const AGAIN_MS = 10_000;
const NO_TASKS: Task[] = [];

export function OpsPage() {
  const { t } = useTranslation();
  const search = useSearch({ from: "/ops" });
  const navigate = useNavigate({ from: "/ops" });
  const [pointed, setPointed] = useState(false);
  const moved = useMoved();
  const list = useQuery({ ...queries.ops(search), refetchInterval: pointed ? false : AGAIN_MS });
  const counts = useQuery(queries.totals(search));
  const rows = list.data?.items ?? NO_TASKS;
  const ids = useMemo(() => rows.map((task) => task.id), [rows]);
  useWatch(ids);
  const trends = useQuery(queries.trends(ids));
  const [asked, setAsked] = useState<Asked>(null);
  const [chosen, setChosen] = useState<ReadonlyMap<number, Task>>(new Map());
  const [batch, setBatch] = useState<{ operation: string; tasks: Task[] } | null>(null);
  const [gathering, setGathering] = useState(false);
  const client = useQueryClient();
  const shown = useColumns();
  const may = useMay();
  // Who may do nothing to any task is offered nothing to choose them for.
  const operates = may.projects.some((project) => may.command(project));

  const show = useCallback(
    (change: Partial<OpsSearch>, replace = false) =>
      navigate({ search: (before: OpsSearch) => ({ ...before, page: undefined, ...change }), replace }),
    [navigate],
  );
  const choose = useCallback((task: Task, on: boolean) => {
    setChosen((before) => {
      const after = new Map(before);
      if (on) after.set(task.id, task);
      else after.delete(task.id);
      return after;
    });
  }, []);
  const chooseMatching = async () => {
    setGathering(true);
    try {
      const found = new Map<number, Task>();
      for (let page = 1; page === 1 || found.size === (page - 1) * PAGE_SIZE_MOST; page++) {
        const some = await client.fetchQuery(queries.ops({ ...search, page, size: PAGE_SIZE_MOST }));
        for (const task of some.items) found.set(task.id, task);
        if (found.size >= some.total || found.size >= BATCH_MOST) break;
      }
      setChosen(found);
    } finally {
      setGathering(false);
    }
  };
  const refresh = () => {
    moved.seen();
    void list.refetch();
  };
  // biome-ignore lint/correctness/useExhaustiveDependencies: what was fetched is what has been seen
  useEffect(() => moved.seen(), [list.dataUpdatedAt]);

  const total = list.data?.total ?? 0;
  const size = search.size ?? PAGE_SIZE;
  const all = rows.length > 0 && rows.every((task) => chosen.has(task.id));
  const some = rows.some((task) => chosen.has(task.id));

  return (
    <div className="ops" id="content">
      <h1 className="visually-hidden">{t("nav.ops")}</h1>
      <Totals totals={counts.data} search={search} show={show} />
      <Filters totals={counts.data} search={search} show={show} shown={shown} fetching={list.isFetching} />
      {list.error && <ProblemBox problem={problemOf(list.error)} again={refresh} />}
      {chosen.size > 0 && (
        <div className="selection" role="status">
          <b>{t("ops.chosen", { count: chosen.size })}</b>
          <span className="selection-names">
            {[...chosen.values()]
              .slice(0, 5)
              .map((task) => task.name)
              .join(", ")}
            {chosen.size > 5 && " …"}
          </span>
          {all && total > rows.length && chosen.size < total && total <= BATCH_MOST && (
            <Button size="compact-sm" variant="subtle" loading={gathering} onClick={() => void chooseMatching()}>
              {t("ops.chooseMatching", { count: total })}
            </Button>
          )}
          <BatchButtons
            chosen={[...chosen.values()]}
            onAsk={(operation) => setBatch({ operation, tasks: [...chosen.values()] })}
          />
          <Button size="compact-sm" variant="subtle" onClick={() => setChosen(new Map())}>
            {t("ops.chooseNone")}
          </Button>
        </div>
      )}
      {/* biome-ignore lint/a11y/noStaticElementInteractions: rows keep their place while somebody points at them */}
      <div className="table-frame" onMouseEnter={() => setPointed(true)} onMouseLeave={() => setPointed(false)}>
        {pointed && moved.is && (
          <Button className="moved" size="compact-sm" leftSection={<Icon name="refresh" />} onClick={refresh}>
            {t("ops.moved")}
          </Button>
        )}
        <table className="list" aria-rowcount={total} aria-busy={list.isPending}>
          <thead>
            <tr>
              {operates && (
                <th className="pick">
                  <Checkbox
                    size="xs"
                    aria-label={t("ops.choosePage")}
                    checked={all}
                    indeterminate={some && !all}
                    onChange={(event) => {
                      for (const task of rows) choose(task, event.currentTarget.checked);
                    }}
                  />
                </th>
              )}
              <Heading column={{ key: "name", sort: "name" }} search={search} show={show} />
              {shown.columns.map((column) => (
                <Heading key={column.key} column={column} search={search} show={show} />
              ))}
              {operates && (
                <th className="dots">
                  <span className="visually-hidden">{t("ops.operations")}</span>
                </th>
              )}
            </tr>
          </thead>
          <tbody>
            {rows.map((task) => (
              <Row
                key={task.id}
                task={task}
                columns={shown.columns}
                operates={operates}
                operable={may.command(task.project)}
                trend={trends.data?.series[task.id]}
                chosen={chosen.has(task.id)}
                choose={choose}
                ask={setAsked}
              />
            ))}
          </tbody>
        </table>
        {list.isSuccess && rows.length === 0 && <Empty search={search} show={show} />}
      </div>
      {total > 0 && (
        <div className="paging">
          <span className="faint">
            {t("ops.range", {
              from: ((search.page ?? 1) - 1) * size + 1,
              to: ((search.page ?? 1) - 1) * size + rows.length,
              total,
            })}
          </span>
          <span className="grow" />
          <Select
            size="xs"
            w={128}
            aria-label={t("ops.pageSize")}
            data={PAGE_SIZES.map((one) => ({ value: String(one), label: t("ops.perPage", { count: one }) }))}
            value={String(size)}
            allowDeselect={false}
            onChange={(value) => void show({ size: value === String(PAGE_SIZE) ? undefined : Number(value) })}
          />
          {total > size && (
            <Pagination
              size="sm"
              total={Math.ceil(total / size)}
              value={search.page ?? 1}
              onChange={(page) => void show({ page: page === 1 ? undefined : page })}
              getControlProps={(control) => ({ "aria-label": t(`ops.page.${control}`, { defaultValue: control }) })}
            />
          )}
        </div>
      )}
      <OperationDialog asked={asked} onClose={() => setAsked(null)} />
      <BatchDialog asked={batch} onClose={() => setBatch(null)} />
    </div>
  );
}

type Show = (change: Partial<OpsSearch>, replace?: boolean) => Promise<void>;

/** Whether tasks were added or moved since the list was fetched. */
function useMoved() {
  const [is, set] = useState(false);
  useEffect(() => {
    const before = live.onList;
    live.onList = () => {
      before();
      set(true);
    };
    return () => {
      live.onList = before;
    };
  }, []);
  return { is, seen: useCallback(() => set(false), []) };
}

function useColumns() {
  const [hidden, setHidden] = useLocalStorage<Record<string, boolean>>({
    key: "tidegate-columns",
    defaultValue: {},
    getInitialValueInEffect: false,
  });
  const columns = useMemo(() => COLUMNS.filter((column) => hidden[column.key] ?? column.shown), [hidden]);
  const toggle = (column: Column, on: boolean) => setHidden({ ...hidden, [column.key]: on });
  return { columns, toggle, reset: () => setHidden({}) };
}

const Row = memo(function Row(given: {
  task: Task;
  columns: Column[];
  operates: boolean;
  operable: boolean;
  trend: (number | null)[] | undefined;
  chosen: boolean;
  choose: (task: Task, on: boolean) => void;
  ask: (asked: Asked) => void;
}) {
  const { t } = useTranslation();
  const task = useTask(given.task);
  return (
    <tr data-chosen={given.chosen || undefined}>
      {given.operates && (
        <td className="pick">
          <Checkbox
            size="xs"
            aria-label={t("ops.choose", { task: task.name })}
            checked={given.chosen}
            onChange={(event) => given.choose(task, event.currentTarget.checked)}
          />
        </td>
      )}
      <td className="name">
        <TaskName task={task} />
      </td>
      {given.columns.map((column) => (
        <td key={column.key} className={cellClass(column)}>
          {column.cell(task, given.trend)}
        </td>
      ))}
      {given.operates && (
        <td className="dots">
          {given.operable && <OperationMenu task={task} onAsk={(command) => given.ask({ task, command })} />}
        </td>
      )}
    </tr>
  );
});

const cellClass = (column: Pick<Column, "key" | "numeric" | "wide">) =>
  `col-${column.key}${column.numeric ? " numeric" : ""}${column.wide ? " wide" : ""}`;

function Heading(given: { column: Pick<Column, "key" | "sort" | "numeric" | "wide">; search: OpsSearch; show: Show }) {
  const { t } = useTranslation();
  const { column, search, show } = given;
  const sorted = search.sort ?? "name";
  const down = sorted === `-${column.sort}`;
  const here = down || sorted === column.sort;
  const label = t(`column.${column.key}`);
  if (!column.sort) return <th className={cellClass(column)}>{label}</th>;
  const next = here && !down ? `-${column.sort}` : column.sort;
  return (
    <th className={cellClass(column)} aria-sort={here ? (down ? "descending" : "ascending") : "none"}>
      <button type="button" className="sort" onClick={() => void show({ sort: next === "name" ? undefined : next })}>
        {label}
        <span className={here ? "" : "unsorted"}>
          <Icon name={down ? "down" : "up"} size={12} />
        </span>
      </button>
    </th>
  );
}

/** How many tasks there are in each status; each is a filter. */
function Totals({ totals, search, show }: { totals: Schemas["OpsTotals"] | undefined; search: OpsSearch; show: Show }) {
  const { t } = useTranslation();
  const { whole } = useFormat();
  const chosen = search.status ?? [];
  const toggle = (status: string) => {
    const after = chosen.includes(status) ? chosen.filter((one) => one !== status) : [...chosen, status];
    void show({ status: after.length ? after : undefined });
  };
  return (
    <fieldset className="totals">
      <legend className="visually-hidden">{t("ops.totals")}</legend>
      <button type="button" aria-pressed={chosen.length === 0} onClick={() => void show({ status: undefined })}>
        <b>{whole(totals?.total)}</b>
        <span>{t("ops.all")}</span>
      </button>
      {Object.entries(totals?.statuses ?? {}).map(([status, count]) => (
        <button
          key={status}
          type="button"
          aria-pressed={chosen.includes(status)}
          data-none={count === 0 || undefined}
          onClick={() => toggle(status)}
        >
          <b>{whole(count)}</b>
          <StatusWord status={status} />
        </button>
      ))}
    </fieldset>
  );
}

function Filters(given: {
  totals: Schemas["OpsTotals"] | undefined;
  search: OpsSearch;
  show: Show;
  shown: ReturnType<typeof useColumns>;
  fetching: boolean;
}) {
  const { t } = useTranslation();
  const { search, show, shown, totals } = given;
  const [name, setName] = useState(search.name ?? "");
  const typed = useRef(search.name ?? "");
  useEffect(() => {
    // The back button changes the address under the field.
    if ((search.name ?? "") !== typed.current) {
      typed.current = search.name ?? "";
      setName(search.name ?? "");
    }
  }, [search.name]);
  const look = useDebouncedCallback((value: string) => void show({ name: value || undefined }, true), 250);
  const facets = [
    ["source_kind", totals?.source_kinds],
    ["target_kind", totals?.target_kinds],
    ["resource_group", totals?.resource_groups],
    ["owner", totals?.owners],
  ] as const;
  const filtered = Object.keys(search).some((key) => !["sort", "page", "size"].includes(key));
  return (
    <div className="filters">
      <TextInput
        size="sm"
        className="filter-name"
        leftSection={<Icon name="search" />}
        rightSection={given.fetching ? <Loader size={14} /> : null}
        placeholder={t("ops.search")}
        aria-label={t("ops.search")}
        value={name}
        maxLength={100}
        onChange={(event) => {
          typed.current = event.currentTarget.value;
          setName(typed.current);
          look(typed.current);
        }}
      />
      {facets.map(([key, values]) => {
        const chosen = search[key];
        const data = [...new Set([...(values ?? []), ...(chosen ? [chosen] : [])])];
        return (
          <Select
            key={key}
            size="sm"
            w={168}
            aria-label={t(`filter.${key}`)}
            placeholder={t(`filter.${key}`)}
            data={data}
            value={chosen ?? null}
            clearable
            searchable={data.length > 8}
            onChange={(value) => void show({ [key]: value ?? undefined })}
          />
        );
      })}
      {filtered && (
        <Button
          size="sm"
          variant="subtle"
          onClick={() => {
            typed.current = "";
            setName("");
            void show({
              status: undefined,
              name: undefined,
              owner: undefined,
              source_kind: undefined,
              target_kind: undefined,
              resource_group: undefined,
            });
          }}
        >
          {t("ops.clear")}
        </Button>
      )}
      <span className="grow" />
      <NewTask />
      <Menu position="bottom-end" closeOnItemClick={false} width={230}>
        <Menu.Target>
          <Tooltip label={t("ops.columns")}>
            <ActionIcon size="lg" variant="default" aria-label={t("ops.columns")}>
              <Icon name="columns" />
            </ActionIcon>
          </Tooltip>
        </Menu.Target>
        <Menu.Dropdown>
          {COLUMNS.map((column) => (
            <Menu.CheckboxItem
              key={column.key}
              checked={shown.columns.includes(column)}
              onChange={(on) => shown.toggle(column, on)}
            >
              {t(`column.${column.key}`)}
            </Menu.CheckboxItem>
          ))}
          <Menu.Divider />
          <Menu.Item onClick={shown.reset}>{t("ops.columnsReset")}</Menu.Item>
        </Menu.Dropdown>
      </Menu>
    </div>
  );
}

function Empty({ search, show }: { search: OpsSearch; show: Show }) {
  const { t } = useTranslation();
  const may = useMay();
  const filtered = Object.keys(search).some((key) => !["sort", "size"].includes(key));
  if (filtered) {
    return (
      <div className="empty">
        <h2>{t("ops.noneMatch")}</h2>
        <Button
          variant="default"
          onClick={() =>
            void show({
              status: undefined,
              name: undefined,
              owner: undefined,
              source_kind: undefined,
              target_kind: undefined,
              resource_group: undefined,
              page: undefined,
            })
          }
        >
          {t("ops.clear")}
        </Button>
      </div>
    );
  }
  if (may.projects.length === 0) {
    return (
      <div className="empty">
        <h2>{t("ops.noProject")}</h2>
        <p>{t("ops.noProjectHint")}</p>
      </div>
    );
  }
  return (
    <div className="empty">
      <h2>{t("ops.none")}</h2>
      <p>{t("ops.noneHint")}</p>
      <NewTask />
    </div>
  );
}

function NewTask() {
  const { t } = useTranslation();
  if (!useMay().allowed("task.edit")) return null;
  return (
    <Button size="sm" leftSection={<Icon name="plus" />} renderRoot={(props) => <Link to="/new" {...props} />}>
      {t("new.title")}
    </Button>
  );
}
