import { Loader, Switch, TextInput } from "@mantine/core";
import { useTranslation } from "react-i18next";
import { problemOf } from "../../api/client";
import { Icon } from "../../parts/Icon";
import { ProblemBox } from "../../parts/ProblemBox";
import type { EditorProps } from "./NewTaskPage";
import { useTaken } from "./useTaken";

const PATTERNS = ["schema", "table"] as const;
const SHOWN = 200;

/** What the tables are called at the target. */
export function NamesStep({ draft, setDraft }: EditorProps) {
  const { t } = useTranslation();
  const found = useTaken(draft, { taken_only: true });
  const data = found.data;
  const set = (part: NonNullable<typeof draft.target>) => setDraft({ ...draft, target: { ...draft.target, ...part } });
  return (
    <>
      <section className="card">
        <div className="form-grid">
          {PATTERNS.map((part) => (
            <TextInput
              key={part}
              label={t(`new.naming.${part}`)}
              value={draft.target?.[part] ?? ""}
              placeholder={`{${part}}`}
              maxLength={500}
              spellCheck={false}
              autoComplete="off"
              onChange={(event) => set({ [part]: event.currentTarget.value || undefined })}
            />
          ))}
        </div>
        <p className="faint">{t("new.placeholders")}</p>
        <Switch
          mt="sm"
          label={t("new.createTables")}
          description={t("new.createTablesHint")}
          checked={draft.target?.create_tables ?? true}
          onChange={(event) => set({ create_tables: event.currentTarget.checked ? undefined : false })}
        />
      </section>
      <section className="card card-flush">
        <h2 className="pad">
          {t("new.namesPreview")} {found.isFetching && <Loader size={14} />}
        </h2>
        {found.error && <ProblemBox problem={problemOf(found.error)} again={() => void found.refetch()} />}
        {data?.problem && (
          <ProblemBox problem={{ title: t("new.namesWrong"), status: 0, code: "", detail: data.problem, advice: "" }} />
        )}
        {data && data.clashes.length > 0 && (
          <ProblemBox
            problem={{
              title: t("new.clash"),
              status: 0,
              code: "",
              detail: data.clashes.slice(0, 10).join(", "),
              advice: t("new.clashAdvice"),
            }}
          />
        )}
        {data && (
          // biome-ignore lint/a11y/noNoninteractiveTabindex: what scrolls must be reached with the keyboard
          <section className="tree" tabIndex={0} aria-label={t("new.namesPreview")}>
            <table className="list list-dense">
              <thead>
                <tr>
                  <th>{t("new.source")}</th>
                  <th>
                    <span className="visually-hidden">→</span>
                  </th>
                  <th>{t("new.target")}</th>
                </tr>
              </thead>
              <tbody>
                {data.tables.slice(0, SHOWN).map((table) => (
                  <tr key={table.name}>
                    <td>
                      <code className="break">{table.name}</code>
                    </td>
                    <td>
                      <Icon name="arrow" size={13} />
                    </td>
                    <td>
                      <code
                        className={`break${table.target && data.clashes.includes(table.target) ? " verdict-bad" : ""}`}
                      >
                        {table.target ?? "–"}
                      </code>
                    </td>
                  </tr>
                ))}
              </tbody>
            </table>
          </section>
        )}
        {data && data.taken > SHOWN && (
          <p className="faint pad">{t("new.moreTables", { count: data.taken - SHOWN })}</p>
        )}
      </section>
    </>
  );
}
