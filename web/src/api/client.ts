// The API as the console uses it: typed by its own OpenAPI, and every refusal as one kind of error.

import createClient from "openapi-fetch";
import type { components, paths } from "./schema";

export type Schemas = components["schemas"];
export type Task = Schemas["TaskView"];
export type Detail = Schemas["TaskDetail"];
export type Offer = Schemas["OfferView"];
export type Preview = Schemas["PreviewView"];
export type KeyEvent = Schemas["EventView"];
export type Run = Schemas["RunView"];
export type Version = Schemas["VersionView"];
export type Snapshot = Schemas["SnapshotView"];
export type Stage = Schemas["StageView"];
export type Session = Schemas["SessionView"];

/** What the server answers when it refuses or fails (RFC 9457), or what stands for it when it does not answer. */
export interface Problem {
  title: string;
  status: number;
  code: string;
  detail: string;
  advice: string;
  errors?: { field?: string; problem?: string; detail?: string }[] | null;
}

export class Refused extends Error {
  constructor(readonly problem: Problem) {
    super(problem.detail || problem.title);
  }
}

/** There was no answer at all: the server is away, or the network is. */
export const UNREACHABLE = "console.unreachable";

const unreachable = (): Problem => ({ title: "", status: 0, code: UNREACHABLE, detail: "", advice: "" });

export const api = createClient<paths>({ baseUrl: location.origin });

/** The answer's data. Throws `Refused`. */
export async function ask<T>(answer: Promise<{ data?: T; error?: unknown; response: Response }>): Promise<T> {
  let given: { data?: T; error?: unknown; response: Response };
  try {
    given = await answer;
  } catch {
    throw new Refused(unreachable());
  }
  if (given.response.ok) return given.data as T;
  const said = given.error as Partial<Problem> | undefined;
  if (!said?.code) throw new Refused({ ...unreachable(), status: given.response.status });
  throw new Refused({ title: "", status: given.response.status, detail: "", advice: "", ...said } as Problem);
}

export function problemOf(error: unknown): Problem {
  if (error instanceof Refused) return error.problem;
  return { title: "", status: 0, code: "console.crashed", detail: String(error), advice: "" };
}

/** A problem that came as plain data within an answer. */
export function asProblem(said: unknown): Problem | null {
  if (!said || typeof said !== "object") return null;
  const given = said as Partial<Problem>;
  return { title: "", status: 0, code: "", detail: "", advice: "", ...given };
}
