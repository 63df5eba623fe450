import { describe, expect, it } from "vitest";
import en from "./en.json";
import peopleEn from "./people.en.json";
import peopleZh from "./people.zh.json";
import zh from "./zh.json";

type Catalogue = Record<string, string>;

describe.each<[string, Catalogue, Catalogue]>([
  ["of all pages", en, zh],
  ["of people", peopleEn, peopleZh],
])("the catalogue %s", (_, english, chinese) => {
  it("says everything in both languages", () => {
    expect(Object.keys(chinese).sort()).toEqual(Object.keys(english).sort());
  });

  it("fills in the same in both languages", () => {
    const places = (text: string) => [...text.matchAll(/{{(\w+)}}/g)].map((found) => found[1]).sort();
    for (const [key, said] of Object.entries(english)) {
      expect([key, places(chinese[key] ?? "")]).toEqual([key, places(said)]);
    }
  });
});

it("says nothing in two places", () => {
  expect(Object.keys(en).filter((key) => key in peopleEn)).toEqual([]);
});
