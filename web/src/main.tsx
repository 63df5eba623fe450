import "@mantine/core/styles.css";
import "@mantine/notifications/styles.css";
import "./console.css";

import { MantineProvider } from "@mantine/core";
import { Notifications } from "@mantine/notifications";
import { QueryClient, QueryClientProvider } from "@tanstack/react-query";
import { RouterProvider } from "@tanstack/react-router";
import { StrictMode } from "react";
import { createRoot } from "react-dom/client";
import { problemOf } from "./api/client";
import { speak } from "./i18n";
import { live } from "./live/useLive";
import { begun, MannerProvider } from "./manner";
import { router } from "./router";
import { loggedOut } from "./session/session";
import { theme, variables } from "./theme";

const nonce = document.querySelector<HTMLMetaElement>('meta[name="csp-nonce"]')?.content ?? "";
// Components that write a style element of their own (the lock of scrolling behind a dialog) look for it here.
(globalThis as { __webpack_nonce__?: string }).__webpack_nonce__ = nonce;

const queries = new QueryClient({
  defaultOptions: {
    queries: {
      staleTime: 1_000,
      gcTime: 300_000,
      // What was refused stays refused; what did not arrive may the next time.
      retry: (tries, error) => tries < 2 && [0, 502, 503, 504].includes(problemOf(error).status),
      retryDelay: (tries) => Math.min(500 * 2 ** tries, 4_000),
    },
  },
});
queries.getQueryCache().subscribe((event) => {
  if (event.type !== "updated" || event.action.type !== "error") return;
  if (problemOf(event.action.error).status === 401) loggedOut(queries);
});

live.onGap = () => void queries.invalidateQueries();
live.onLoggedOut = () => void queries.invalidateQueries({ queryKey: ["session"] });
let waiting = false;
live.onList = () => {
  // Many tasks may move within a moment.
  if (waiting) return;
  waiting = true;
  setTimeout(() => {
    waiting = false;
    void queries.invalidateQueries({ queryKey: ["ops-totals"] });
    void queries.invalidateQueries({ queryKey: ["task"], predicate: (query) => query.queryKey[3] !== "history" });
  }, 300);
};

const root = document.getElementById("root");
if (!root) throw new Error("the page has no root");
const page = createRoot(root);
const show = () =>
  page.render(
    <StrictMode>
      <MantineProvider
        theme={theme}
        cssVariablesResolver={variables}
        defaultColorScheme="auto"
        getStyleNonce={() => nonce}
      >
        <MannerProvider>
          <QueryClientProvider client={queries}>
            <Notifications position="bottom-right" />
            <RouterProvider router={router} />
          </QueryClientProvider>
        </MannerProvider>
      </MantineProvider>
    </StrictMode>,
  );
speak(begun()).then(show, show);
