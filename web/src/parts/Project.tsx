import { Select } from "@mantine/core";
import { useQuery } from "@tanstack/react-query";
import { useTranslation } from "react-i18next";
import * as queries from "../api/queries";

export const DEFAULT_PROJECT = "default";

/** Which project's things are shown; nothing where there is only one. */
export function ProjectPicker({ value, change }: { value: string; change: (project: string | undefined) => void }) {
  const { t } = useTranslation();
  const known = useQuery(queries.projects());
  const names = (known.data ?? []).map((one) => one.name);
  if (names.length < 2 && value === DEFAULT_PROJECT) return null;
  return (
    <Select
      size="sm"
      w={180}
      aria-label={t("column.project")}
      data={[...new Set([...names, value])]}
      value={value}
      allowDeselect={false}
      onChange={(chosen) => change(chosen && chosen !== DEFAULT_PROJECT ? chosen : undefined)}
    />
  );
}

/** `?project=…` of an address. */
export function projectSearch(given: Record<string, unknown>): { project?: string } {
  const { project } = given;
  return typeof project === "string" && project !== "" && project !== DEFAULT_PROJECT ? { project } : {};
}
