import { useQuery } from "@tanstack/react-query";
import { useMemo, useRef } from "react";
import * as queries from "../api/queries";
import { type May, mayOf } from "./may";

/** While nobody is logged in the page stays as it was under the log-in. */
export function useMay(): May {
  const session = useQuery(queries.session()).data;
  const kept = useRef(session);
  if (session) kept.current = session;
  const known = kept.current;
  return useMemo(() => mayOf(known), [known]);
}
