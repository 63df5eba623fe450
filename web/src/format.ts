// Numbers, durations, sizes and times as people read them. Pure; `useFormat` binds them to the chosen language and zone.

export const NOTHING = "–";

export interface Manner {
  locale: string;
  utc: boolean;
}

const cached = new Map<string, Intl.NumberFormat | Intl.DateTimeFormat>();

function numbers(locale: string, options: Intl.NumberFormatOptions): Intl.NumberFormat {
  const key = `n${locale}${JSON.stringify(options)}`;
  const found = (cached.get(key) as Intl.NumberFormat) ?? new Intl.NumberFormat(locale, options);
  cached.set(key, found);
  return found;
}

function times(locale: string, options: Intl.DateTimeFormatOptions): Intl.DateTimeFormat {
  const key = `t${locale}${JSON.stringify(options)}`;
  const found = (cached.get(key) as Intl.DateTimeFormat) ?? new Intl.DateTimeFormat(locale, options);
  cached.set(key, found);
  return found;
}

type Given = number | null | undefined;

export function whole(value: Given, manner: Manner): string {
  return value == null ? NOTHING : numbers(manner.locale, { maximumFractionDigits: 0 }).format(value);
}

/** Three digits that matter: 12, 1.2k, 345k. */
export function short(value: Given, manner: Manner): string {
  if (value == null) return NOTHING;
  if (Math.abs(value) < 10 && !Number.isInteger(value)) {
    return numbers(manner.locale, { maximumFractionDigits: 1 }).format(value);
  }
  if (Math.abs(value) < 10_000) return whole(value, manner);
  return numbers(manner.locale, { notation: "compact", maximumSignificantDigits: 3 }).format(value);
}

const SIZES = ["B", "KiB", "MiB", "GiB", "TiB", "PiB"];

export function bytes(value: Given, manner: Manner): string {
  if (value == null) return NOTHING;
  let left = Math.abs(value);
  let size = 0;
  while (left >= 1024 && size < SIZES.length - 1) {
    left /= 1024;
    size++;
  }
  const digits = size === 0 || left >= 100 ? 0 : 1;
  return `${numbers(manner.locale, { maximumFractionDigits: digits }).format(Math.sign(value) * left)} ${SIZES[size]}`;
}

/** The two largest parts: 3.4 s, 5 min 20 s, 2 h 5 min, 3 d 4 h. */
export function duration(seconds: Given, manner: Manner): string {
  if (seconds == null) return NOTHING;
  const part = (value: number, unit: string, digits = 0) =>
    numbers(manner.locale, { style: "unit", unit, unitDisplay: "narrow", maximumFractionDigits: digits }).format(value);
  if (seconds < 1)
    return seconds <= 0 ? part(0, "second") : part(Math.max(1, Math.round(seconds * 1000)), "millisecond");
  if (seconds < 10) return part(seconds, "second", 1);
  const whole = Math.round(seconds);
  if (whole < 60) return part(whole, "second");
  const [big, bigUnit, small, smallUnit] =
    whole < 3600
      ? [Math.floor(whole / 60), "minute", whole % 60, "second"]
      : whole < 86_400
        ? [Math.floor(whole / 3600), "hour", Math.floor((whole % 3600) / 60), "minute"]
        : [Math.floor(whole / 86_400), "day", Math.floor((whole % 86_400) / 3600), "hour"];
  return small ? `${part(big, bigUnit)} ${part(small, smallUnit)}` : part(big, bigUnit);
}

export function percent(value: Given, manner: Manner): string {
  if (value == null) return NOTHING;
  return numbers(manner.locale, { style: "percent", maximumFractionDigits: value < 100 ? 1 : 0 }).format(value / 100);
}

const zone = (manner: Manner) => (manner.utc ? { timeZone: "UTC" } : {});
const CLOCK = { hour: "2-digit", minute: "2-digit", second: "2-digit", hourCycle: "h23" } as const;

/** Date and time to the second. */
export function moment(at: string | number | null | undefined, manner: Manner): string {
  if (at == null) return NOTHING;
  const day = { year: "numeric", month: "short", day: "numeric" } as const;
  return times(manner.locale, { ...day, ...CLOCK, ...zone(manner) }).format(new Date(at));
}

export function clock(at: string | number | null | undefined, manner: Manner): string {
  return at == null ? NOTHING : times(manner.locale, { ...CLOCK, ...zone(manner) }).format(new Date(at));
}

/** The time alone for today, the date as well else. */
export function near(at: string | number | null | undefined, manner: Manner, now = Date.now()): string {
  if (at == null) return NOTHING;
  const day = times("en-CA", { year: "numeric", month: "2-digit", day: "2-digit", ...zone(manner) });
  if (day.format(new Date(at)) === day.format(now)) return clock(at, manner);
  const date = { month: "short", day: "numeric" } as const;
  return times(manner.locale, { ...date, ...CLOCK, ...zone(manner) }).format(new Date(at));
}

/** A figure of the metric table by its unit. */
export function figure(value: Given, unit: string, manner: Manner): string {
  if (value == null) return NOTHING;
  switch (unit) {
    case "s":
      return duration(value, manner);
    case "bytes":
      return bytes(value, manner);
    case "bytes/s":
      return `${bytes(value, manner)}/s`;
    case "rows/s":
      return `${short(value, manner)}/s`;
    case "share":
      return percent(value * 100, manner);
    case "cores":
      return numbers(manner.locale, { maximumFractionDigits: 2 }).format(value);
    default:
      return short(value, manner);
  }
}
