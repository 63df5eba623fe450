import { useDebouncedValue } from "@mantine/hooks";
import { keepPreviousData, useQuery } from "@tanstack/react-query";
import { api, ask } from "../../api/client";
import { DEFAULT_PROJECT } from "../../parts/Project";
import type { Draft } from "./draft";

interface Wanted {
  name?: string;
  taken_only?: boolean;
}

/** What the definition would take of its source, as the server says, a moment after the last change. */
export function useTaken(draft: Draft, wanted: Wanted) {
  const body = {
    data_source: draft.source?.data_source ?? "",
    entries: draft.source?.tables ?? [],
    naming: { schema: draft.target?.schema || "{schema}", table: draft.target?.table || "{table}" },
    name: wanted.name ?? "",
    taken_only: wanted.taken_only ?? false,
  };
  const [asked] = useDebouncedValue(JSON.stringify({ body, project: draft.project ?? DEFAULT_PROJECT }), 300);
  return useQuery({
    queryKey: ["definition-tables", asked],
    queryFn: () => {
      const given = JSON.parse(asked) as { body: typeof body; project: string };
      return ask(
        api.POST("/api/v1/definitions/tables", { params: { query: { project: given.project } }, body: given.body }),
      );
    },
    enabled: body.data_source !== "",
    placeholderData: keepPreviousData,
    staleTime: 10_000,
    retry: false,
  });
}
