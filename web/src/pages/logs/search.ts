// What the address of the server's log says.

import type { LogSearch } from "../../parts/LogView";

const NAMES = ["search", "diagnosis", "level", "since", "until"] as const;

export function logSearch(given: Record<string, unknown>): LogSearch {
  const found: LogSearch = {};
  for (const name of NAMES) {
    const value = given[name];
    if (typeof value === "string" && value !== "") found[name] = value.slice(0, 500);
  }
  return found;
}
