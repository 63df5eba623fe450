import { describe, expect, it } from "vitest";
import { opsSearch, parseSearch, stringifySearch } from "../pages/ops/search";
import { diff } from "./diff";
import { yaml } from "./yaml";

describe("a definition as YAML", () => {
  it("is laid out as a person writes it", () => {
    const said = yaml({
      task: "shop",
      source: { tables: ["public.orders", ".*"], read: "full+incremental" },
      units: 1,
    });
    expect(said).toBe(
      'task: shop\nsource:\n  tables:\n    - public.orders\n    - ".*"\n  read: full+incremental\nunits: 1\n',
    );
  });
  it.each(["yes", "12", "a: b", "", "#x", "- x", "<b>", "null", "a\nb", "{schema}"])("quotes %j", (text) => {
    expect(yaml({ name: text })).toBe(`name: ${JSON.stringify(text)}\n`);
  });
  it("says what is empty", () => expect(yaml({ a: [], b: {}, c: null })).toBe("a: []\nb: {}\nc: null\n"));
});

describe("two versions", () => {
  it("differ in the lines that differ", () => {
    const lines = diff("a\nb\nc\n", "a\nx\nc\nd\n").map((line) => line.sign + line.text);
    expect(lines).toEqual([" a", "-b", "+x", " c", "+d"]);
  });
  it("do not differ when they are the same", () => {
    expect(diff("a\nb\n", "a\nb\n").every((line) => line.sign === " ")).toBe(true);
  });
});

describe("the list's address", () => {
  it("names several statuses as the API does", () => {
    expect(stringifySearch({ status: ["Failure", "Detection Exception"], page: 2, name: undefined })).toBe(
      "?status=Failure&status=Detection+Exception&page=2",
    );
  });
  it("comes back as it was", () => {
    const search = opsSearch({ status: ["Failure", "Paused"], name: "<b>&=", sort: "-lag_s", page: 3, size: 100 });
    expect(opsSearch(parseSearch(stringifySearch({ ...search })))).toEqual(search);
  });
  it("leaves out what makes no sense", () => {
    expect(opsSearch({ page: "-1", size: "7", status: "", evil: "x" })).toEqual({});
  });
});
