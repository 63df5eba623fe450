import { Pagination, Select, TextInput } from "@mantine/core";
import { useDebouncedCallback } from "@mantine/hooks";
import { useQuery } from "@tanstack/react-query";
import { useNavigate, useSearch } from "@tanstack/react-router";
import type { ReactNode } from "react";
import { useTranslation } from "react-i18next";
import { problemOf, type Schemas } from "../../api/client";
import * as queries from "../../api/queries";
import { useFormat } from "../../manner";
import { Icon } from "../../parts/Icon";
import { Meter } from "../../parts/Meter";
import { ProblemBox } from "../../parts/ProblemBox";
import { RunPicker } from "./RunPicker";
import type { TaskSearch } from "./search";
import type { TabProps } from "./TaskPage";

const PAGE = 50;
const STATUSES = ["normal", "abnormal", "unknown"] as const;
type Table = Schemas["TableView"];

/** Each table of the link with its own figures, state and reason. */
export function Tables({ task, which }: TabProps) {
  const { t } = useTranslation();
  const format = useFormat();
  const search = useSearch({ from: "/tasks/$project/$task/{-$tab}" });
  const navigate = useNavigate({ from: "/tasks/$project/$task/{-$tab}" });
  const show = (change: Partial<TaskSearch>, replace = false) =>
    void navigate({ search: (before) => ({ ...before, page: undefined, ...change }), replace });
  const look = useDebouncedCallback((name: string) => show({ name: name || undefined }, true), 250);
  const status = STATUSES.find((one) => one === search.state);
  const sort = search.sort ?? "name";
  const page = search.page ?? 1;
  const wanted = { name: search.name, status, sort: sort as "name", page, page_size: PAGE, run: search.run };
  const found = useQuery({ ...queries.tables(which, wanted), enabled: task.run != null });
  const { short, bytes, duration, percent, near } = format;
  const columns: [string, boolean, (table: Table) => ReactNode][] = [
    ["name", false, (table) => <code className="table-name">{table.name}</code>],
    ["status", false, (table) => <TableStatus table={table} />],
    ["state", false, (table) => t(`tableState.${table.state}`, { defaultValue: table.state })],
    [
      "rows_copied",
      false,
      (table) => (
        <span className="progress">
          <span>
            {short(table.rows_copied)} <b>{percent(table.percent)}</b>
          </span>
          {table.percent < 100 && <Meter percent={table.percent} label={table.name} />}
        </span>
      ),
    ],
    ["rows_read", true, (table) => short(table.rows_read)],
    ["rows_written", true, (table) => short(table.rows_written)],
    ["rows_read_per_s", true, (table) => short(table.rows_read_per_s)],
    ["rows_written_per_s", true, (table) => short(table.rows_written_per_s)],
    ["bytes_written", true, (table) => bytes(table.bytes_written)],
    ["business_delay_s", true, (table) => duration(table.business_delay_s)],
    ["dirty_rows", true, (table) => <span className={table.dirty_rows ? "late" : ""}>{short(table.dirty_rows)}</span>],
    ["at", false, (table) => near(table.at)],
  ];
  const unsortable = new Set(["at"]);
  return (
    <section className="card card-flush">
      <div className="card-tools">
        <TextInput
          size="xs"
          w={260}
          key={which.task}
          leftSection={<Icon name="search" />}
          placeholder={t("tables.search")}
          aria-label={t("tables.search")}
          defaultValue={search.name ?? ""}
          onChange={(event) => look(event.currentTarget.value)}
        />
        <Select
          size="xs"
          w={160}
          clearable
          aria-label={t("tables.status")}
          placeholder={t("tables.status")}
          value={status ?? null}
          data={STATUSES.map((value) => ({ value, label: t(`tableStatus.${value}`) }))}
          onChange={(value) => show({ state: value ?? undefined })}
        />
        <RunPicker which={which} task={task} />
        <span className="grow" />
        <span className="faint">{found.data && t("tables.count", { count: found.data.total })}</span>
      </div>
      {found.error && <ProblemBox problem={problemOf(found.error)} />}
      {task.run == null && <p className="faint pad">{t("overview.neverRun")}</p>}
      <div className="scroll-x">
        <table className="list list-dense">
          <thead>
            <tr>
              {columns.map(([key, numeric]) => {
                const here = sort.replace(/^-/, "") === key;
                const down = here && sort.startsWith("-");
                const label = t(`tableColumn.${key}`);
                return (
                  <th
                    key={key}
                    className={numeric ? "numeric" : ""}
                    aria-sort={unsortable.has(key) ? undefined : here ? (down ? "descending" : "ascending") : "none"}
                  >
                    {unsortable.has(key) ? (
                      label
                    ) : (
                      <button
                        type="button"
                        className="sort"
                        onClick={() => show({ sort: here && !down ? `-${key}` : key })}
                      >
                        {label}
                        <span className={here ? "" : "unsorted"}>
                          <Icon name={down ? "down" : "up"} size={12} />
                        </span>
                      </button>
                    )}
                  </th>
                );
              })}
            </tr>
          </thead>
          <tbody>
            {found.data?.items.map((table) => (
              <tr key={table.name}>
                {columns.map(([key, numeric, cell]) => (
                  <td key={key} className={numeric ? "numeric" : ""}>
                    {cell(table)}
                  </td>
                ))}
              </tr>
            ))}
          </tbody>
        </table>
      </div>
      {found.isSuccess && found.data.total === 0 && <p className="faint pad">{t("tables.none")}</p>}
      {found.data && found.data.total > PAGE && (
        <div className="pad">
          <Pagination
            size="sm"
            total={Math.ceil(found.data.total / PAGE)}
            value={page}
            onChange={(to) => show({ page: to === 1 ? undefined : to })}
            getControlProps={(control) => ({ "aria-label": t(`ops.page.${control}`, { defaultValue: control }) })}
          />
        </div>
      )}
    </section>
  );
}

function TableStatus({ table }: { table: Table }) {
  const { t } = useTranslation();
  return (
    <span className="table-status">
      <span className={`status status-table-${table.status}`}>
        <i aria-hidden="true" />
        {t(`tableStatus.${table.status}`, { defaultValue: table.status })}
      </span>
      {table.reason && <span className="sub error-text">{table.reason}</span>}
    </span>
  );
}
