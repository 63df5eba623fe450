// The log-in: with an account's name and password, or the server's admin token. It becomes a cookie that no script can read.

import type { QueryClient } from "@tanstack/react-query";
import { api, ask, type Session } from "../api/client";

/** Without a name, the secret is the admin token. */
export async function logIn(name: string, secret: string): Promise<Session> {
  const body = name ? { name, password: secret } : { token: secret.trim() };
  return ask(api.POST("/api/v1/session", { body }));
}

export async function logOut(queries: QueryClient): Promise<void> {
  try {
    await ask(api.DELETE("/api/v1/session"));
  } finally {
    loggedOut(queries);
  }
}

/** What was known is forgotten; the shell shows the log-in, over whatever was on the page. */
export function loggedOut(queries: QueryClient): void {
  queries.setQueryData(["session"], null);
}
