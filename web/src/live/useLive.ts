import { useEffect, useMemo, useRef, useSyncExternalStore } from "react";
import type { Task } from "../api/client";
import { Live, type Row } from "./live";

const scheme = location.protocol === "https:" ? "wss:" : "ws:";
export const live = new Live(`${scheme}//${location.host}/api/live`);

/** Have the server tell of these tasks while the component is there. */
export function useWatch(ids: number[]): void {
  const who = useRef({}).current;
  const said = ids.join(",");
  useEffect(() => {
    live.watch(who, said ? said.split(",").map(Number) : []);
    return () => live.watch(who, []);
  }, [said, who]);
}

/** What was last told of the task; undefined: nothing yet. */
export function useRow(id: number): Row | undefined {
  return useSyncExternalStore(
    (changed) => live.subscribe(id, changed),
    () => live.row(id),
  );
}

/** The task as REST answered it, with what was told since. */
export function useTask(task: Task): Task {
  const row = useRow(task.id);
  return useMemo(
    () => (row && (row.version ?? task.version) >= task.version ? { ...task, ...row } : task),
    [row, task],
  );
}

export function useLiveState(): string {
  return useSyncExternalStore(
    (changed) => live.subscribeState(changed),
    () => `${live.state}${live.outdated ? " outdated" : ""}`,
  );
}
