// What the address of the audit log says: the same names as the API's query. `within` is how far back it goes.

export const OUTCOMES = ["done", "refused", "failed"] as const;
export const WITHIN = { "1h": 3_600, "24h": 86_400, "7d": 604_800, "30d": 2_592_000 } as const;
const TEXTS = ["project", "actor", "action", "address"] as const;

export interface AuditSearch {
  project?: string;
  actor?: string;
  action?: string;
  address?: string;
  outcome?: (typeof OUTCOMES)[number];
  within?: keyof typeof WITHIN;
}

export function auditSearch(given: Record<string, unknown>): AuditSearch {
  const found: AuditSearch = {};
  for (const name of TEXTS) {
    const value = given[name];
    if (typeof value === "string" && value !== "") found[name] = value.slice(0, 100);
  }
  const outcome = OUTCOMES.find((one) => one === given.outcome);
  if (outcome) found.outcome = outcome;
  const within = Object.keys(WITHIN).find((one) => one === given.within);
  if (within) found.within = within as keyof typeof WITHIN;
  return found;
}

/** The address's words as the API's query. The time is to the minute, so that what is asked stays the same for a while. */
export function asked(search: AuditSearch, now = Date.now()) {
  const { within, ...rest } = search;
  if (!within) return rest;
  const since = Math.floor((now - WITHIN[within] * 1000) / 60_000) * 60_000;
  return { ...rest, since: new Date(since).toISOString() };
}
