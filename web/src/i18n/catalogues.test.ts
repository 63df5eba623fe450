import { expect, it } from "vitest";
import en from "./en.json";
import zh from "./zh.json";

it("says everything in both languages", () => {
  expect(Object.keys(zh).sort()).toEqual(Object.keys(en).sort());
});

it("fills in the same in both languages", () => {
  const places = (text: string) => [...text.matchAll(/{{(\w+)}}/g)].map((found) => found[1]).sort();
  for (const [key, said] of Object.entries(en)) {
    expect([key, places((zh as Record<string, string>)[key] ?? "")]).toEqual([key, places(said)]);
  }
});
