// What the pages ask of the server, each under the key it is kept by.

import { keepPreviousData, queryOptions } from "@tanstack/react-query";
import type { OpsSearch } from "../pages/ops/search";
import { PAGE_SIZE } from "../pages/ops/search";
import { api, ask } from "./client";
import type { paths } from "./schema";

export interface Which {
  project: string;
  task: string;
}

const filters = (search: OpsSearch) => ({
  name: search.name || undefined,
  owner: search.owner,
  source_kind: search.source_kind,
  target_kind: search.target_kind,
  resource_group: search.resource_group,
});

type OpsQuery = NonNullable<paths["/api/v1/ops"]["get"]["parameters"]["query"]>;

export const session = () =>
  queryOptions({
    queryKey: ["session"],
    queryFn: () => ask(api.GET("/api/v1/session")),
    staleTime: 60_000,
    retry: false,
  });

export const ops = (search: OpsSearch) =>
  queryOptions({
    queryKey: ["ops", search],
    queryFn: () =>
      ask(
        api.GET("/api/v1/ops", {
          params: {
            query: {
              ...filters(search),
              status: search.status as OpsQuery["status"],
              sort: search.sort as OpsQuery["sort"],
              page: search.page ?? 1,
              page_size: search.size ?? PAGE_SIZE,
            },
          },
        }),
      ),
    placeholderData: keepPreviousData,
  });

export const totals = (search: OpsSearch) =>
  queryOptions({
    queryKey: ["ops-totals", filters(search)],
    queryFn: () => ask(api.GET("/api/v1/ops/totals", { params: { query: filters(search) } })),
    placeholderData: keepPreviousData,
  });

export const trends = (ids: number[]) =>
  queryOptions({
    queryKey: ["ops-trends", ids],
    queryFn: () => ask(api.GET("/api/v1/ops/trends", { params: { query: { task: ids } } })),
    enabled: ids.length > 0,
    placeholderData: keepPreviousData,
    refetchInterval: 10_000,
  });

const at = ({ project, task }: Which) => ({ path: { task }, query: { project } });

export const detail = (which: Which) =>
  queryOptions({
    queryKey: ["task", which.project, which.task, "detail"],
    queryFn: () => ask(api.GET("/api/v1/tasks/{task}", { params: at(which) })),
  });

export const progress = (which: Which) =>
  queryOptions({
    queryKey: ["task", which.project, which.task, "progress"],
    queryFn: () => ask(api.GET("/api/v1/tasks/{task}/progress", { params: at(which) })),
    refetchInterval: 2_000,
    retry: false,
  });

export const newest = (which: Which) =>
  queryOptions({
    queryKey: ["task", which.project, which.task, "newest"],
    queryFn: () => {
      const to = new Date();
      const from = new Date(to.getTime() - 1000);
      const range = { from: from.toISOString(), to: to.toISOString(), step: 10 as const };
      return ask(
        api.GET("/api/v1/tasks/{task}/metrics", {
          params: { path: { task: which.task }, query: { project: which.project, ...range } },
        }),
      );
    },
    refetchInterval: 2_000,
    retry: false,
  });

export const metricTable = () =>
  queryOptions({
    queryKey: ["metric-table"],
    queryFn: () => ask(api.GET("/api/v1/metrics")),
    staleTime: Number.POSITIVE_INFINITY,
  });

export const history = (which: Which, from: Date, to: Date, run: number | undefined) =>
  queryOptions({
    queryKey: ["task", which.project, which.task, "history", from.getTime(), to.getTime(), run],
    queryFn: () =>
      ask(
        api.GET("/api/v1/tasks/{task}/metrics", {
          params: {
            path: { task: which.task },
            query: { project: which.project, from: from.toISOString(), to: to.toISOString(), run },
          },
        }),
      ),
    placeholderData: keepPreviousData,
    retry: false,
  });

type EventsQuery = NonNullable<paths["/api/v1/tasks/{task}/events"]["get"]["parameters"]["query"]>;

export const events = (which: Which, wanted: Omit<EventsQuery, "project">) =>
  queryOptions({
    queryKey: ["task", which.project, which.task, "events", wanted],
    queryFn: () =>
      ask(
        api.GET("/api/v1/tasks/{task}/events", {
          params: { path: { task: which.task }, query: { project: which.project, ...wanted } },
        }),
      ),
    placeholderData: keepPreviousData,
    refetchInterval: 5_000,
  });

type TablesQuery = NonNullable<paths["/api/v1/tasks/{task}/tables"]["get"]["parameters"]["query"]>;

export const tables = (which: Which, wanted: Omit<TablesQuery, "project">) =>
  queryOptions({
    queryKey: ["task", which.project, which.task, "tables", wanted],
    queryFn: () =>
      ask(
        api.GET("/api/v1/tasks/{task}/tables", {
          params: { path: { task: which.task }, query: { project: which.project, ...wanted } },
        }),
      ),
    placeholderData: keepPreviousData,
    refetchInterval: 2_000,
    retry: false,
  });

export const runs = (which: Which) =>
  queryOptions({
    queryKey: ["task", which.project, which.task, "runs"],
    queryFn: () => ask(api.GET("/api/v1/tasks/{task}/runs", { params: at(which) })),
  });

export const snapshots = (which: Which, run?: number) =>
  queryOptions({
    queryKey: ["task", which.project, which.task, "snapshots", run],
    queryFn: () =>
      ask(
        api.GET("/api/v1/tasks/{task}/snapshots", {
          params: { path: { task: which.task }, query: { project: which.project, run } },
        }),
      ),
    refetchInterval: 5_000,
  });

export const versions = (which: Which) =>
  queryOptions({
    queryKey: ["task", which.project, which.task, "versions"],
    queryFn: () => ask(api.GET("/api/v1/tasks/{task}/versions", { params: at(which) })),
  });

export const rules = (which: Which) =>
  queryOptions({
    queryKey: ["task", which.project, which.task, "rules"],
    queryFn: () => ask(api.GET("/api/v1/alert-rules", { params: { query: which } })),
    refetchInterval: 10_000,
  });

/** What rules may be about, and how each is compared where a rule does not say. */
export const alarms = () =>
  queryOptions({
    queryKey: ["alert-metrics"],
    queryFn: () => ask(api.GET("/api/v1/alert-metrics")),
    staleTime: Number.POSITIVE_INFINITY,
  });

export const alerts = (which: Which) =>
  queryOptions({
    queryKey: ["task", which.project, which.task, "alerts"],
    queryFn: () => ask(api.GET("/api/v1/alerts", { params: { query: { ...which, limit: 100 } } })),
    refetchInterval: 5_000,
  });

export const offers = (which: Which) =>
  queryOptions({
    queryKey: ["task", which.project, which.task, "offers"],
    queryFn: () => ask(api.GET("/api/v1/tasks/{task}/offers", { params: at(which) })),
    staleTime: 0,
  });

/** Ready-made keywords for what usually goes wrong. */
export const diagnoses = () =>
  queryOptions({
    queryKey: ["log-diagnoses"],
    queryFn: () => ask(api.GET("/api/v1/log-diagnoses")),
    staleTime: Number.POSITIVE_INFINITY,
  });

// --- what tasks are made of ---

export const projects = () =>
  queryOptions({ queryKey: ["projects"], queryFn: () => ask(api.GET("/api/v1/projects")), staleTime: 60_000 });

export const connectors = () =>
  queryOptions({
    queryKey: ["connectors"],
    queryFn: () => ask(api.GET("/api/v1/connectors")),
    staleTime: Number.POSITIVE_INFINITY,
  });

export const dataSources = (project: string) =>
  queryOptions({
    queryKey: ["data-sources", project],
    queryFn: () => ask(api.GET("/api/v1/data-sources", { params: { query: { project } } })),
    refetchInterval: 15_000,
  });

export const groups = () =>
  queryOptions({
    queryKey: ["resource-groups"],
    queryFn: () => ask(api.GET("/api/v1/resource-groups")),
    refetchInterval: 10_000,
  });

export const outlook = () =>
  queryOptions({
    queryKey: ["outlook"],
    queryFn: () => ask(api.GET("/api/v1/outlook")),
    refetchInterval: 5_000,
  });

// --- alerts ---

export const allRules = (project: string) =>
  queryOptions({
    queryKey: ["alert-rules", project],
    queryFn: () => ask(api.GET("/api/v1/alert-rules", { params: { query: { project } } })),
    refetchInterval: 15_000,
  });

export const channels = (project: string) =>
  queryOptions({
    queryKey: ["alert-channels", project],
    queryFn: () => ask(api.GET("/api/v1/alert-channels", { params: { query: { project } } })),
    refetchInterval: 15_000,
  });

// --- people and programs ---

export const permissionTable = () =>
  queryOptions({
    queryKey: ["permissions"],
    queryFn: () => ask(api.GET("/api/v1/permissions")),
    staleTime: Number.POSITIVE_INFINITY,
  });

export const accounts = () =>
  queryOptions({ queryKey: ["accounts"], queryFn: () => ask(api.GET("/api/v1/users")), refetchInterval: 15_000 });

export const members = (project: string) =>
  queryOptions({
    queryKey: ["members", project],
    queryFn: () => ask(api.GET("/api/v1/projects/{name}/members", { params: { path: { name: project } } })),
    refetchInterval: 15_000,
  });

export const tokens = () =>
  queryOptions({ queryKey: ["tokens"], queryFn: () => ask(api.GET("/api/v1/tokens")), refetchInterval: 15_000 });

export const accessKeys = () =>
  queryOptions({
    queryKey: ["access-keys"],
    queryFn: () => ask(api.GET("/api/v1/access-keys")),
    refetchInterval: 15_000,
  });

export const editLock = (which: Which) =>
  queryOptions({
    queryKey: ["task", which.project, which.task, "lock"],
    queryFn: () => ask(api.GET("/api/v1/tasks/{task}/lock", { params: at(which) })),
    refetchInterval: 5_000,
  });
