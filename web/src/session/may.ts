// What this person may do, by the server's word: what they may not is not offered to them.

import type { Session } from "../api/client";

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
