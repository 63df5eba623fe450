// What the address of a task's page says.

export const TASK_TABS = [
  "overview",
  "metrics",
  "tables",
  "events",
  "logs",
  "alerts",
  "history",
  "configuration",
] as const;
export type TaskTab = (typeof TASK_TABS)[number];

export const RANGES_S = [900, 3600, 6 * 3600, 24 * 3600, 7 * 24 * 3600] as const;

export interface TaskSearch {
  /** Of metrics: how far back, in seconds … */
  range?: number;
  /** … or from when until when, as Unix times in seconds. */
  from?: number;
  to?: number;
  run?: number;
  name?: string;
  state?: string;
  sort?: string;
  page?: number;
  level?: string;
  /** Of the log, besides the level: keywords, ready-made keywords, who said it, from when until when. */
  search?: string;
  diagnosis?: string;
  container?: string;
  since?: string;
  until?: string;
  /** Of versions: which two are compared. */
  older?: number;
  newer?: number;
}

const whole = (given: unknown): number | undefined => {
  const found = typeof given === "string" || typeof given === "number" ? Number(given) : Number.NaN;
  return Number.isInteger(found) && found >= 1 && found <= 2 ** 31 ? found : undefined;
};
const text = (given: unknown): string | undefined =>
  typeof given === "string" && given !== "" ? given.slice(0, 300) : undefined;

export function taskSearch(given: Record<string, unknown>): TaskSearch {
  const range = whole(given.range);
  const found: TaskSearch = {
    range: RANGES_S.find((one) => one === range),
    from: whole(given.from),
    to: whole(given.to),
    run: whole(given.run),
    name: text(given.name),
    state: text(given.state),
    sort: text(given.sort),
    page: whole(given.page),
    level: text(given.level),
    search: text(given.search),
    diagnosis: text(given.diagnosis),
    container: text(given.container),
    since: text(given.since),
    until: text(given.until),
    older: whole(given.older),
    newer: whole(given.newer),
  };
  return Object.fromEntries(Object.entries(found).filter(([, value]) => value !== undefined)) as TaskSearch;
}
