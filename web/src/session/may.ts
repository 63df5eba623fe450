// What this person may do, by the server's word: what they may not is not offered to them.

import { useQuery } from "@tanstack/react-query";
import { useMemo, useRef } from "react";
import type { Session } from "../api/client";
import * as queries from "../api/queries";

export interface May {
  /** Whether they hold the permission there; without a project: anywhere. */
  allowed: (permission: string, project?: string) => boolean;
  /** Whether they may give the command to tasks there; without a command: any. */
  command: (project: string, command?: string) => boolean;
  /** The projects they see. */
  projects: string[];
}

export function mayOf(session: Session | null | undefined): May {
  const grants = new Map((session?.projects ?? []).map((one) => [one.project, one]));
  return {
    allowed: (permission, project) =>
      session?.permissions.includes(permission) ||
      (project === undefined
        ? [...grants.values()].some((one) => one.permissions.includes(permission))
        : (grants.get(project)?.permissions.includes(permission) ?? false)),
    command: (project, command) => {
      const commands = grants.get(project)?.commands ?? [];
      return command === undefined ? commands.length > 0 : commands.includes(command);
    },
    projects: [...grants.keys()],
  };
}

/** While nobody is logged in the page stays as it was under the log-in. */
export function useMay(): May {
  const session = useQuery(queries.session()).data;
  const kept = useRef(session);
  if (session) kept.current = session;
  const known = kept.current;
  return useMemo(() => mayOf(known), [known]);
}
