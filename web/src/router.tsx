import {
  createRootRoute,
  createRoute,
  createRouter,
  Link,
  lazyRouteComponent,
  Navigate,
  redirect,
} from "@tanstack/react-router";
import { useTranslation } from "react-i18next";
import { ALERT_TABS, alertSearch } from "./pages/alerts/search";
import { auditSearch } from "./pages/audit/search";
import { logSearch } from "./pages/logs/search";
import { newSearch } from "./pages/new/draft";
import { OpsPage } from "./pages/ops/OpsPage";
import { opsSearch, parseSearch, stringifySearch } from "./pages/ops/search";
import { PEOPLE_TABS } from "./pages/people/tabs";
import { TASK_TABS, type TaskTab, taskSearch } from "./pages/task/search";
import { projectSearch } from "./parts/Project";
import { Shell } from "./shell/Shell";

const root = createRootRoute({ component: Shell, notFoundComponent: NotFound });

const home = createRoute({
  getParentRoute: () => root,
  path: "/",
  beforeLoad: () => {
    throw redirect({ to: "/ops" });
  },
});

const dashboard = createRoute({
  getParentRoute: () => root,
  path: "/dashboard",
  component: lazyRouteComponent(() => import("./pages/dashboard/DashboardPage"), "DashboardPage"),
});

const sources = createRoute({
  getParentRoute: () => root,
  path: "/sources",
  validateSearch: projectSearch,
  component: lazyRouteComponent(() => import("./pages/sources/SourcesPage"), "SourcesPage"),
});

const groups = createRoute({
  getParentRoute: () => root,
  path: "/groups",
  component: lazyRouteComponent(() => import("./pages/groups/GroupsPage"), "GroupsPage"),
});

const alerts = createRoute({
  getParentRoute: () => root,
  path: "/alerts/{-$tab}",
  validateSearch: alertSearch,
  component: lazyRouteComponent(() => import("./pages/alerts/AlertsPage"), "AlertsPage"),
  params: { parse: ({ tab }) => ({ tab: ALERT_TABS.find((one) => one === tab) }) },
});

const logs = createRoute({
  getParentRoute: () => root,
  path: "/logs",
  validateSearch: logSearch,
  component: lazyRouteComponent(() => import("./pages/logs/LogsPage"), "LogsPage"),
});

const people = createRoute({
  getParentRoute: () => root,
  path: "/people/{-$tab}",
  validateSearch: projectSearch,
  component: lazyRouteComponent(() => import("./pages/people/PeoplePage"), "PeoplePage"),
  params: { parse: ({ tab }) => ({ tab: PEOPLE_TABS.find((one) => one === tab) }) },
});

const audit = createRoute({
  getParentRoute: () => root,
  path: "/audit",
  validateSearch: auditSearch,
  component: lazyRouteComponent(() => import("./pages/audit/AuditPage"), "AuditPage"),
});

/** Shown in place of the log-in (`Shell`); who is logged in has nothing to set up. */
const setUp = createRoute({ getParentRoute: () => root, path: "/set-up", component: () => <Navigate to="/ops" /> });

const newTask = createRoute({
  getParentRoute: () => root,
  path: "/new",
  validateSearch: newSearch,
  component: lazyRouteComponent(() => import("./pages/new/NewTaskPage"), "NewTaskPage"),
});

const editTask = createRoute({
  getParentRoute: () => root,
  path: "/edit/$project/$task",
  validateSearch: newSearch,
  component: lazyRouteComponent(() => import("./pages/new/NewTaskPage"), "EditTaskPage"),
});

export const opsRoute = createRoute({
  getParentRoute: () => root,
  path: "/ops",
  validateSearch: opsSearch,
  component: OpsPage,
});

export const taskRoute = createRoute({
  getParentRoute: () => root,
  path: "/tasks/$project/$task/{-$tab}",
  validateSearch: taskSearch,
  component: lazyRouteComponent(() => import("./pages/task/TaskPage"), "TaskPage"),
  params: {
    parse: ({ project, task, tab }) => ({
      project,
      task,
      tab: TASK_TABS.find((one) => one === tab) as TaskTab | undefined,
    }),
  },
});

function NotFound() {
  const { t } = useTranslation();
  return (
    <div className="empty">
      <h1>{t("shell.notFound")}</h1>
      <Link to="/ops">{t("shell.toOps")}</Link>
    </div>
  );
}

export const router = createRouter({
  routeTree: root.addChildren([
    home,
    dashboard,
    opsRoute,
    taskRoute,
    sources,
    groups,
    alerts,
    logs,
    people,
    audit,
    setUp,
    newTask,
    editTask,
  ]),
  basepath: "/console",
  parseSearch,
  stringifySearch,
  scrollRestoration: false,
  defaultPreload: false,
});

declare module "@tanstack/react-router" {
  interface Register {
    router: typeof router;
  }
}
