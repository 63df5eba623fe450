import { Button, SegmentedControl } from "@mantine/core";
import { useInfiniteQuery } from "@tanstack/react-query";
import { useNavigate, useSearch } from "@tanstack/react-router";
import { useTranslation } from "react-i18next";
import { api, ask, type KeyEvent, problemOf } from "../../api/client";
import { useFormat } from "../../manner";
import { Icon, type IconName } from "../../parts/Icon";
import { sentence, useCommandName } from "../../parts/Operations";
import { ProblemBox } from "../../parts/ProblemBox";
import { RunPicker } from "./RunPicker";
import type { TabProps } from "./TaskPage";

const PAGE = 50;
const LEVELS: Record<string, KeyEvent["level"][]> = { warning: ["warning", "error"], error: ["error"] };

export function Events({ task, which }: TabProps) {
  const { t } = useTranslation();
  const search = useSearch({ from: "/tasks/$project/$task/{-$tab}" });
  const navigate = useNavigate({ from: "/tasks/$project/$task/{-$tab}" });
  const level =
    search.level && search.level in LEVELS ? (LEVELS[search.level] as ("info" | "warning" | "error")[]) : [];
  const found = useInfiniteQuery({
    queryKey: ["task", which.project, which.task, "events-paged", level, search.run],
    queryFn: ({ pageParam }) =>
      ask(
        api.GET("/api/v1/tasks/{task}/events", {
          params: {
            path: { task: which.task },
            query: { project: which.project, level, run: search.run, before: pageParam, limit: PAGE },
          },
        }),
      ),
    initialPageParam: undefined as number | undefined,
    getNextPageParam: (last) => (last.length === PAGE ? last.at(-1)?.id : undefined),
    refetchInterval: 5_000,
  });
  const events = found.data?.pages.flat() ?? [];
  return (
    <section className="card">
      <div className="card-tools">
        <SegmentedControl
          size="xs"
          value={search.level && search.level in LEVELS ? search.level : "all"}
          onChange={(value) =>
            void navigate({ search: (before) => ({ ...before, level: value === "all" ? undefined : value }) })
          }
          data={["all", "warning", "error"].map((value) => ({ value, label: t(`events.level.${value}`) }))}
        />
        <RunPicker which={which} task={task} optional />
      </div>
      {found.error && <ProblemBox problem={problemOf(found.error)} />}
      {found.isSuccess && events.length === 0 && <p className="faint">{t("events.none")}</p>}
      <ol className="events">
        {events.map((event) => (
          <EventLine key={event.id} event={event} />
        ))}
      </ol>
      {found.hasNextPage && (
        <Button variant="default" loading={found.isFetchingNextPage} onClick={() => void found.fetchNextPage()}>
          {t("events.older")}
        </Button>
      )}
    </section>
  );
}

const SIGNS: Record<string, IconName> = { info: "info", warning: "warning", error: "error" };

export function useEventName() {
  const { t } = useTranslation();
  const command = useCommandName();
  return (name: string) => t(`event.${name}`, { defaultValue: command(name).replaceAll("_", " ") });
}

/** One key event: what, when, who, and what to do about it. */
export function EventLine({ event, brief = false }: { event: KeyEvent; brief?: boolean }) {
  const { t } = useTranslation();
  const { near, moment } = useFormat();
  const name = useEventName();
  const facts = Object.entries(event.facts)
    .filter(([key, value]) => key !== "reason" && ["string", "number", "boolean"].includes(typeof value))
    .map(([key, value]) => `${key.replaceAll("_", " ")} ${String(value)}`);
  return (
    <li className={`event event-${event.level}`}>
      <span className="event-sign">
        <Icon name={SIGNS[event.level] ?? "info"} size={15} />
        <span className="visually-hidden">{t(`events.level.${event.level}`)}</span>
      </span>
      <time dateTime={event.at} title={moment(event.at)}>
        {near(event.at)}
      </time>
      <div className="event-text">
        <b>{name(event.name)}</b>
        {event.state_to && (
          <span className="event-move">
            {t(`state.${event.state_from}`, { defaultValue: event.state_from ?? "" })} →{" "}
            {t(`state.${event.state_to}`, { defaultValue: event.state_to })}
          </span>
        )}
        {!brief && event.says && <span className="faint"> {event.says}</span>}
        {event.cause && <p>{sentence(event.cause)}</p>}
        {!brief && event.advice && <p className="box-advice">{event.advice}</p>}
        {!brief && (
          <small className="faint">
            {event.actor}
            {event.run != null && ` · ${t("events.run", { run: event.run })}`}
            {facts.length > 0 && ` · ${facts.join(", ")}`}
          </small>
        )}
      </div>
    </li>
  );
}
