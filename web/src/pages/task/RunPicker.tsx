import { Select } from "@mantine/core";
import { useQuery } from "@tanstack/react-query";
import { useNavigate, useSearch } from "@tanstack/react-router";
import { useTranslation } from "react-i18next";
import type { Task } from "../../api/client";
import * as queries from "../../api/queries";
import { useFormat } from "../../manner";

/** Which run's figures or events are shown: those of ended runs stay readable. */
export function RunPicker({
  which,
  task,
  optional = false,
  size = "xs",
}: {
  which: queries.Which;
  task: Task;
  optional?: boolean;
  size?: "xs" | "sm";
}) {
  const { t } = useTranslation();
  const { near } = useFormat();
  const search = useSearch({ from: "/tasks/$project/$task/{-$tab}" });
  const navigate = useNavigate({ from: "/tasks/$project/$task/{-$tab}" });
  const runs = useQuery(queries.runs(which));
  if (!runs.data?.length || (runs.data.length === 1 && !optional)) return null;
  return (
    <Select
      size={size}
      w={230}
      aria-label={t("runs.pick")}
      placeholder={optional ? t("runs.all") : undefined}
      clearable={optional}
      allowDeselect={optional}
      value={search.run ? String(search.run) : optional ? null : String(task.run ?? "")}
      data={runs.data.map((run) => ({
        value: String(run.number),
        label: t("runs.one", { run: run.number, at: near(run.started_at) }),
      }))}
      onChange={(value) =>
        void navigate({
          search: (before) => ({
            ...before,
            run: value && (optional || Number(value) !== task.run) ? Number(value) : undefined,
          }),
        })
      }
    />
  );
}
