import { Tooltip } from "@mantine/core";
import { useEffect, useState } from "react";
import { useTranslation } from "react-i18next";
import type { Task } from "../api/client";
import { useFormat } from "../manner";

const word = (status: string) => `status-${status.toLowerCase().replaceAll(" ", "-")}`;

/** One status: colour and plain word. */
export function StatusWord({ status }: { status: string }) {
  const { t } = useTranslation();
  return (
    <span className={`status ${word(status)}`}>
      <i aria-hidden="true" />
      {t(`status.${status}`, { defaultValue: status })}
    </span>
  );
}

/** A task's status, with how its worker is and how long a step may still last. */
export function TaskStatus({ task, wide = false }: { task: Task; wide?: boolean }) {
  const { t } = useTranslation();
  const unwell = task.status === "Running" && task.health && task.health !== "steady" ? task.health : null;
  const why = task.health_reason || String(task.error?.detail ?? "");
  return (
    <span className="status-line">
      {task.status ? <StatusWord status={task.status} /> : <span className="faint">{t("ops.gone")}</span>}
      {task.status === "Operating" && (
        <span className="step">
          {t(`state.${task.state}`, { defaultValue: task.state })} <Countdown left={task.expires_in_s} />
        </span>
      )}
      {unwell && (
        <Tooltip label={why} disabled={!why || wide} multiline maw={360}>
          <span className="status status-unwell">
            <i aria-hidden="true" />
            {t(`health.${unwell}`, { defaultValue: unwell })}
          </span>
        </Tooltip>
      )}
      {pauseFailed(task) && <span className="status status-unwell">{t("ops.pauseFailed")}</span>}
    </span>
  );
}

/** Running although the last thing asked for was a pause: it did not finish. */
export const pauseFailed = (task: Task): boolean =>
  task.state === "running" && task.last_operation?.command === "pause";

/** How long the step may still last, counting between what the server says. */
export function Countdown({ left }: { left: number | null | undefined }) {
  const { t } = useTranslation();
  const { duration } = useFormat();
  const [since, setSince] = useState(() => Date.now());
  const [now, setNow] = useState(() => Date.now());
  // biome-ignore lint/correctness/useExhaustiveDependencies: counting begins anew with each word of the server
  useEffect(() => {
    setSince(Date.now());
    setNow(Date.now());
    const timer = setInterval(() => setNow(Date.now()), 1000);
    return () => clearInterval(timer);
  }, [left]);
  if (left == null) return null;
  const seconds = Math.max(0, left - (now - since) / 1000);
  return (
    <span className="countdown" title={t("ops.endsWithin")}>
      ≤ {duration(Math.ceil(seconds))}
    </span>
  );
}
