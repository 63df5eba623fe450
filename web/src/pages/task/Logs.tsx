import { useNavigate, useSearch } from "@tanstack/react-router";
import { LogView } from "../../parts/LogView";
import { RunPicker } from "./RunPicker";
import type { TaskSearch } from "./search";
import type { TabProps } from "./TaskPage";

/** What the task's workers logged, and the server about it. */
export function Logs({ task, which }: TabProps) {
  const search = useSearch({ from: "/tasks/$project/$task/{-$tab}" });
  const navigate = useNavigate({ from: "/tasks/$project/$task/{-$tab}" });
  const show = (change: Partial<TaskSearch>, replace = false) =>
    void navigate({ search: (before) => ({ ...before, ...change }), replace });
  const { search: keywords, diagnosis, level, container, run, since, until } = search;
  return (
    <LogView
      which={which}
      search={{ search: keywords, diagnosis, level, container, run, since, until }}
      show={show}
      tools={<RunPicker which={which} task={task} optional size="sm" />}
    />
  );
}
