// The parts of the page of people and programs.

export const PEOPLE_TABS = ["accounts", "members", "tokens", "roles"] as const;
