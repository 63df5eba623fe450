// What the address of the page of alerts says.

import { DEFAULT_PROJECT } from "../../parts/Project";

export const ALERT_TABS = ["history", "rules", "channels"] as const;
export type AlertTab = (typeof ALERT_TABS)[number];
export const SEVERITIES = ["urgent", "important", "normal"] as const;

export interface AlertSearch {
  project?: string;
  severity?: (typeof SEVERITIES)[number];
  open?: true;
  keyword?: string;
}

export function alertSearch(given: Record<string, unknown>): AlertSearch {
  const found: AlertSearch = {};
  if (typeof given.project === "string" && given.project !== DEFAULT_PROJECT) found.project = given.project;
  const severity = SEVERITIES.find((one) => one === given.severity);
  if (severity) found.severity = severity;
  if (given.open === "true" || given.open === true) found.open = true;
  if (typeof given.keyword === "string" && given.keyword) found.keyword = given.keyword.slice(0, 100);
  return found;
}
