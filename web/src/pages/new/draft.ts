// A definition while it is being written: what is there is as the API takes it, and much may be missing.

import type { Schemas } from "../../api/client";

export interface Draft {
  task?: string;
  project?: string;
  description?: string;
  kind?: string;
  source?: { data_source?: string; tables?: string[]; read?: string };
  target?: {
    data_source?: string;
    schema?: string;
    table?: string;
    write?: string;
    create_tables?: boolean;
    existing_rows?: string;
    [more: string]: unknown;
  };
  resource_group?: string;
  units?: number;
  snapshots?: { every?: string; keep?: number };
  restarts?: { max?: number };
  log?: { when_short?: string; below?: string };
}

export const NEW: Draft = {
  kind: "whole_database",
  source: { tables: [] },
  target: { write: "upsert" },
};

/** Without what was emptied, so that it is as the server has it by itself. */
export function tidy<T>(value: T): T {
  if (Array.isArray(value)) return value.map(tidy) as T;
  if (value === null || typeof value !== "object") return value;
  return Object.fromEntries(
    Object.entries(value)
      .filter(([, held]) => held !== undefined)
      .map(([name, held]) => [name, tidy(held)]),
  ) as T;
}

/** As a request takes it; whether it is whole is for the server to say. */
export const asSpec = (draft: Draft) => tidy(draft) as unknown as Schemas["TaskSpec"];

/** A pattern that takes every table of a schema. */
export const allOf = (schema: string) => `${schema.replace(/[\\^$.*+?()[\]{}|]/g, "\\$&")}\\..*`;

export const STEPS = ["ends", "tables", "names", "options", "check"] as const;
export type Step = (typeof STEPS)[number];

export interface NewSearch {
  step?: Step;
  yaml?: true;
}

export function newSearch(given: Record<string, unknown>): NewSearch {
  const step = STEPS.find((one) => one === given.step);
  return { ...(step && step !== "ends" ? { step } : {}), ...(given.yaml ? { yaml: true as const } : {}) };
}

/** Whether what the step asks for is there, so that one can go on. */
export function complete(draft: Draft, step: Step): boolean {
  switch (step) {
    case "ends":
      return Boolean(draft.task && draft.source?.data_source && draft.target?.data_source);
    case "tables":
      return Boolean(draft.source?.tables?.length);
    default:
      return true;
  }
}
