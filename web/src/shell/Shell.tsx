import { Button, Menu, UnstyledButton } from "@mantine/core";
import { useQuery, useQueryClient } from "@tanstack/react-query";
import { Link, Outlet, useLocation } from "@tanstack/react-router";
import { lazy, Suspense, useEffect, useState } from "react";
import { useTranslation } from "react-i18next";
import { problemOf, type Session } from "../api/client";
import * as queries from "../api/queries";
import { live, useLiveState } from "../live/useLive";
import { useFormat } from "../manner";
import { Logo } from "../parts/Icon";
import { ProblemBox } from "../parts/ProblemBox";
import { LogIn } from "../session/LogIn";
import { mayOf } from "../session/may";
import { logOut } from "../session/session";
import { Preferences } from "./Preferences";

const SetUp = lazy(() => import("../session/SetUp").then((found) => ({ default: found.SetUp })));
const Password = lazy(() => import("../session/Password").then((found) => ({ default: found.Password })));

/** What is around every page: log-in first, then where one can go. A session that ends leaves the page as it is under
 * the log-in, with whatever was typed. */
export function Shell() {
  const { data, error, isPending, refetch } = useQuery(queries.session());
  const [entered, setEntered] = useState(false);
  const first = useLocation({ select: (at) => at.pathname.endsWith("/set-up") });
  const session = data ?? null;
  useEffect(() => {
    if (!session) return;
    setEntered(true);
    live.start();
    return () => live.stop();
  }, [session]);

  if (isPending) return null;
  const problem = error && problemOf(error);
  if (problem && problem.status !== 401 && !session) {
    return (
      <main className="login">
        <ProblemBox problem={problem} again={() => void refetch()} />
      </main>
    );
  }
  return (
    <>
      {(session || entered) && (
        <div className="shell" inert={!session}>
          <Header session={session} />
          <Stale />
          <main className="page">
            <Outlet />
          </main>
        </div>
      )}
      {!session && (
        <div className={entered ? "login-over" : ""}>
          {first && !entered ? (
            <Suspense>
              <SetUp />
            </Suspense>
          ) : (
            <LogIn />
          )}
        </div>
      )}
    </>
  );
}

/** `needs`: of these permissions one, anywhere. */
const NAV = [
  { to: "/dashboard", key: "dashboard", needs: [] },
  { to: "/ops", key: "ops", needs: [] },
  { to: "/alerts/{-$tab}", key: "alerts", needs: [] },
  { to: "/sources", key: "sources", needs: [] },
  { to: "/groups", key: "groups", needs: [] },
  { to: "/people/{-$tab}", key: "people", needs: [] },
  { to: "/audit", key: "audit", needs: ["audit.view", "server.audit"] },
  { to: "/logs", key: "logs", needs: ["server.log"] },
] as const;

function Header({ session }: { session: Session | null }) {
  const { t } = useTranslation();
  const client = useQueryClient();
  const [changing, setChanging] = useState(false);
  const may = mayOf(session);
  const shown = NAV.filter(({ needs }) => needs.length === 0 || needs.some((one) => may.allowed(one)));
  return (
    <header className="header">
      <a className="skip" href="#content">
        {t("shell.skip")}
      </a>
      <Link to="/ops" className="brand">
        <Logo size={26} />
        <span>Tidegate</span>
      </Link>
      <nav aria-label={t("shell.navigation")}>
        {shown.map(({ to, key }) => (
          <Link
            key={to}
            to={to}
            className="nav"
            activeProps={{ "data-active": true }}
            activeOptions={{ includeSearch: false }}
          >
            {t(`nav.${key}`)}
          </Link>
        ))}
      </nav>
      <span className="grow" />
      <LiveSign />
      <Preferences />
      <Menu position="bottom-end" width={220}>
        <Menu.Target>
          <UnstyledButton className="who" aria-label={t("shell.account")}>
            <span aria-hidden="true">{(session?.actor ?? "?").slice(0, 1).toUpperCase()}</span>
          </UnstyledButton>
        </Menu.Target>
        <Menu.Dropdown>
          <Menu.Label>{session?.actor}</Menu.Label>
          {session?.account && <Menu.Item onClick={() => setChanging(true)}>{t("password.own")}</Menu.Item>}
          <Menu.Item onClick={() => void logOut(client)}>{t("shell.logOut")}</Menu.Item>
          <Menu.Divider />
          <Menu.Label>Tidegate {session?.server_version}</Menu.Label>
        </Menu.Dropdown>
      </Menu>
      {changing && session?.account && (
        <Suspense>
          <Password account={session.account} own onClose={() => setChanging(false)} />
        </Suspense>
      )}
    </header>
  );
}

function LiveSign() {
  const { t } = useTranslation();
  const state = useLiveState().split(" ")[0] ?? "connecting";
  return (
    <span className={`live live-${state}`} role="status">
      <i aria-hidden="true" />
      <span>{t(`live.${state}`)}</span>
    </span>
  );
}

/** Figures that are not of now are said to be old. */
function Stale() {
  const { t } = useTranslation();
  const { clock } = useFormat();
  const [state, outdated] = useLiveState().split(" ");
  if (state === "broken") {
    return (
      <div className="banner banner-warning" role="alert">
        {live.heardAt ? t("live.stale", { at: clock(live.heardAt) }) : t("live.never")}
      </div>
    );
  }
  if (!outdated) return null;
  return (
    <div className="banner" role="status">
      {t("live.outdated")}{" "}
      <Button size="compact-sm" variant="white" onClick={() => location.reload()}>
        {t("live.reload")}
      </Button>
    </div>
  );
}
