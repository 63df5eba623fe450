import { ActionIcon, Button, Checkbox, Loader, SegmentedControl, TextInput } from "@mantine/core";
import { useState } from "react";
import { useTranslation } from "react-i18next";
import { problemOf, type Schemas } from "../../api/client";
import { useFormat } from "../../manner";
import { Icon } from "../../parts/Icon";
import { ProblemBox } from "../../parts/ProblemBox";
import { allOf } from "./draft";
import type { EditorProps } from "./NewTaskPage";
import { useTaken } from "./useTaken";

type Table = Schemas["SourceTableView"];
type Entry = Schemas["EntryView"];

/** Which tables: by name from the list, or by patterns; the list shows at once what they take. */
export function TablesStep({ draft, setDraft }: EditorProps) {
  const { t } = useTranslation();
  const { whole } = useFormat();
  const [name, setName] = useState("");
  const [only, setOnly] = useState(false);
  const entries = draft.source?.tables ?? [];
  const found = useTaken(draft, { name, taken_only: only });
  const change = (tables: string[]) => setDraft({ ...draft, source: { ...draft.source, tables } });
  const add = (entry: string) => !entries.includes(entry) && change([...entries, entry]);
  const remove = (entry: string) => change(entries.filter((one) => one !== entry));
  const data = found.data;
  return (
    <div className="pick-tables">
      <section className="card card-flush">
        <h2 className="pad">
          {t("new.sourceTables")}
          {found.isFetching && <Loader size={14} />}
          {data && (
            <span className="aside" role="status">
              {t("new.taken", { taken: whole(data.taken), total: whole(data.total) })}
            </span>
          )}
        </h2>
        <div className="card-tools">
          <TextInput
            size="sm"
            className="filter-name"
            leftSection={<Icon name="search" />}
            placeholder={t("tables.search")}
            aria-label={t("tables.search")}
            value={name}
            maxLength={200}
            onChange={(event) => setName(event.currentTarget.value)}
          />
          <SegmentedControl
            size="xs"
            value={only ? "taken" : "all"}
            onChange={(value) => setOnly(value === "taken")}
            data={["all", "taken"].map((value) => ({ value, label: t(`new.show.${value}`) }))}
          />
        </div>
        {found.error && <ProblemBox problem={problemOf(found.error)} again={() => void found.refetch()} />}
        {data && <Tree tables={data.tables} entries={entries} add={add} remove={remove} />}
        {data && data.found === 0 && <p className="faint pad">{t("new.noTables")}</p>}
        {data && data.found > data.tables.length && (
          <p className="faint pad">{t("new.moreTables", { count: data.found - data.tables.length })}</p>
        )}
      </section>
      <section className="card">
        <h2>{t("new.entries")}</h2>
        <p className="faint">{t("new.entriesHint")}</p>
        <Entries entries={entries} told={data?.entries ?? []} change={change} />
        <NewEntry add={add} />
        {data && data.unlogged.length > 0 && (
          <p className="faint">{t("new.unlogged", { tables: data.unlogged.slice(0, 10).join(", ") })}</p>
        )}
      </section>
    </div>
  );
}

const schemaOf = (name: string) => name.slice(0, Math.max(0, name.indexOf(".")));

function bySchema(tables: Table[]): Record<string, Table[]> {
  const found: Record<string, Table[]> = {};
  for (const table of tables) {
    const schema = schemaOf(table.name);
    const held = found[schema];
    if (held) held.push(table);
    else found[schema] = [table];
  }
  return found;
}

/** Schemas with their tables. A table that a pattern takes cannot be left out by itself. */
function Tree(given: {
  tables: Table[];
  entries: string[];
  add: (entry: string) => void;
  remove: (entry: string) => void;
}) {
  const { t } = useTranslation();
  const { entries, add, remove } = given;
  const schemas = Object.entries(bySchema(given.tables));
  return (
    // biome-ignore lint/a11y/noNoninteractiveTabindex: what scrolls must be reached with the keyboard
    <section className="tree" tabIndex={0} aria-label={t("new.sourceTables")}>
      {schemas.map(([schema, tables]) => {
        const pattern = allOf(schema);
        const all = entries.includes(pattern);
        return (
          <div key={schema}>
            <div className="tree-schema">
              <Checkbox
                size="xs"
                label={<b>{schema}</b>}
                checked={all}
                indeterminate={!all && tables.some((table) => table.taken)}
                onChange={() => (all ? remove(pattern) : add(pattern))}
              />
              <span className="faint">{t("new.wholeSchema")}</span>
            </div>
            {tables.map((table) => {
              const named = entries.includes(table.name);
              return (
                <div key={table.name} className="tree-table">
                  <Checkbox
                    size="xs"
                    label={table.name.slice(schema.length + 1)}
                    checked={table.taken || named}
                    disabled={table.taken && !named}
                    onChange={() => (named ? remove(table.name) : add(table.name))}
                  />
                  {table.taken && !named && <span className="faint">{t("new.byPattern")}</span>}
                </div>
              );
            })}
          </div>
        );
      })}
    </section>
  );
}

/** What was chosen, each with what it takes. */
function Entries(given: { entries: string[]; told: Entry[]; change: (entries: string[]) => void }) {
  const { t } = useTranslation();
  const { entries, told, change } = given;
  if (entries.length === 0) return <p className="note">{t("new.noEntries")}</p>;
  return (
    <ul className="entries">
      {entries.map((entry) => {
        const said = told.find((one) => one.entry === entry);
        return (
          <li key={entry}>
            <code className="break">{entry}</code>
            <span className="entry-said">
              {said?.problem ? (
                <span className="verdict-bad">{said.problem}</span>
              ) : (
                said?.pattern && <span className="faint">{t("new.takes", { count: said.tables })}</span>
              )}
            </span>
            <ActionIcon
              variant="subtle"
              color="gray"
              aria-label={t("new.leaveOut", { entry })}
              onClick={() => change(entries.filter((one) => one !== entry))}
            >
              <Icon name="cross" size={14} />
            </ActionIcon>
          </li>
        );
      })}
    </ul>
  );
}

function NewEntry({ add }: { add: (entry: string) => void }) {
  const { t } = useTranslation();
  const [entry, setEntry] = useState("");
  return (
    <form
      className="new-entry"
      onSubmit={(event) => {
        event.preventDefault();
        if (!entry.trim()) return;
        add(entry.trim());
        setEntry("");
      }}
    >
      <TextInput
        aria-label={t("new.pattern")}
        placeholder={"public\\.order.*"}
        value={entry}
        maxLength={500}
        spellCheck={false}
        autoComplete="off"
        onChange={(event) => setEntry(event.currentTarget.value)}
      />
      <Button type="submit" variant="default" disabled={!entry.trim()}>
        {t("new.addPattern")}
      </Button>
    </form>
  );
}
