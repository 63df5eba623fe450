import { Button } from "@mantine/core";
import { useQuery } from "@tanstack/react-query";
import { useTranslation } from "react-i18next";
import type { Task } from "../../api/client";
import * as queries from "../../api/queries";
import { Icon, isIcon } from "../../parts/Icon";
import { TONES, useCommandName } from "../../parts/Operations";
import { useMay } from "../../session/useMay";

export const OWNER = "change-owner";
/** As many as one batch takes. */
export const BATCH_MOST = 1_000;

/** What can be done to all that were chosen: the commands as the lifecycle lists them, and a new owner. */
export function BatchButtons({ chosen, onAsk }: { chosen: Task[]; onAsk: (operation: string) => void }) {
  const { t } = useTranslation();
  const name = useCommandName();
  const first = chosen[0];
  const offers = useQuery({
    ...queries.offers({ project: first?.project ?? "", task: String(first?.id) }),
    enabled: first !== undefined,
    staleTime: Number.POSITIVE_INFINITY,
  });
  const may = useMay();
  const some = (command: string) => chosen.some((task) => may.command(task.project, command));
  const commands = (offers.data ?? [])
    .map((offer) => offer.command)
    .filter((command) => command !== "submit" && some(command));
  return (
    <span className="operations">
      {commands.map((command) => (
        <Button
          key={command}
          size="compact-sm"
          variant="light"
          color={TONES[command]}
          leftSection={isIcon(command) ? <Icon name={command} size={13} /> : null}
          onClick={() => onAsk(command)}
        >
          {name(command)}
        </Button>
      ))}
      {some(OWNER) && (
        <Button size="compact-sm" variant="light" color="gray" onClick={() => onAsk(OWNER)}>
          {t("batch.owner")}
        </Button>
      )}
    </span>
  );
}
