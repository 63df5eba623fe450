// What the list's address says: the same names as the API's query, each of them optional.

export const PAGE_SIZE = 50;
export const PAGE_SIZES = [25, 50, 100, 200];
export const PAGE_SIZE_MOST = 200;

export interface OpsSearch {
  status?: string[];
  name?: string;
  owner?: string;
  source_kind?: string;
  target_kind?: string;
  resource_group?: string;
  sort?: string;
  page?: number;
  size?: number;
}

const text = (given: unknown): string | undefined => {
  const one = Array.isArray(given) ? given[0] : given;
  return typeof one === "string" && one !== "" ? one.slice(0, 200) : undefined;
};

const whole = (given: unknown, most: number): number | undefined => {
  const found = Number(text(given) ?? given);
  return Number.isInteger(found) && found >= 1 && found <= most ? found : undefined;
};

/** Whatever an address holds, as what the list can show: anything else is left out. */
export function opsSearch(given: Record<string, unknown>): OpsSearch {
  const statuses = (Array.isArray(given.status) ? given.status : [given.status]).filter(
    (one): one is string => typeof one === "string" && one !== "",
  );
  const size = whole(given.size, 200);
  const found: OpsSearch = {
    status: statuses.length ? statuses : undefined,
    name: text(given.name)?.slice(0, 100),
    owner: text(given.owner),
    source_kind: text(given.source_kind),
    target_kind: text(given.target_kind),
    resource_group: text(given.resource_group),
    sort: text(given.sort),
    page: whole(given.page, 1_000_000),
    size: size !== undefined && PAGE_SIZES.includes(size) ? size : undefined,
  };
  return Object.fromEntries(Object.entries(found).filter(([, value]) => value !== undefined)) as OpsSearch;
}

/** Addresses as the API writes them: `?status=Failure&status=Paused`. */
export function parseSearch(search: string): Record<string, unknown> {
  const found: Record<string, unknown> = {};
  for (const key of new Set(new URLSearchParams(search).keys())) {
    const values = new URLSearchParams(search).getAll(key);
    found[key] = values.length > 1 ? values : values[0];
  }
  return found;
}

export function stringifySearch(search: Record<string, unknown>): string {
  const params = new URLSearchParams();
  for (const [key, value] of Object.entries(search)) {
    for (const one of Array.isArray(value) ? value : [value]) {
      if (one !== undefined && one !== null && one !== "") params.append(key, String(one));
    }
  }
  const said = params.toString();
  return said ? `?${said}` : "";
}
