// The log-in: with an account's name and password, or the server's admin token. It becomes a cookie that no script can read.

import { type QueryClient, queryOptions } from "@tanstack/react-query";
import { api, ask, type Session } from "../api/client";

/** Without a name, the secret is the admin token. */
export async function logIn(name: string, secret: string): Promise<Session> {
  const body = name ? { name, password: secret } : { token: secret.trim() };
  return ask(api.POST("/api/v1/session", { body }));
}

/** How one may log in besides with a name and password, or the token. */
export const logInWays = () =>
  queryOptions({
    queryKey: ["log-in-ways"],
    queryFn: () => ask(api.GET("/api/v1/session/ways")),
    staleTime: 60_000,
    retry: false,
  });

/** Why the browser was sent back from the provider without a log-in, if it was: the code of the refusal. Read before
 * the address becomes another one. */
export const notSignedOn = new URLSearchParams(location.search).get("sign_on");

/** Where the browser goes to log in at the provider, to come back to the page that is shown. */
export function signOnPlace(): string {
  const page = notSignedOn ? "/console/" : location.pathname + location.search;
  return `/api/v1/session/sso?next=${encodeURIComponent(page)}`;
}

/** Who came from the provider logs out there as well. */
export async function logOut(queries: QueryClient): Promise<void> {
  let goTo: string | undefined;
  try {
    goTo = (await ask(api.DELETE("/api/v1/session")))?.go_to;
  } finally {
    loggedOut(queries);
  }
  if (goTo) location.assign(goTo);
}

/** What was known is forgotten; the shell shows the log-in, over whatever was on the page. */
export function loggedOut(queries: QueryClient): void {
  queries.setQueryData(["session"], null);
}
