import { expect, it } from "vitest";
import type { Session } from "../api/client";
import { mayOf } from "./may";

const session = {
  permissions: ["account.own"],
  projects: [
    { project: "shop", role: "ops_engineer", permissions: ["project.view", "task.operate"], commands: ["pause"] },
    { project: "bank", role: "member", permissions: ["project.view"], commands: [] },
  ],
} as unknown as Session;

it("offers what is allowed in the very project", () => {
  const may = mayOf(session);
  expect(may.allowed("task.operate", "shop")).toBe(true);
  expect(may.allowed("task.operate", "bank")).toBe(false);
  expect(may.allowed("task.operate", "elsewhere")).toBe(false);
  expect(may.allowed("task.operate")).toBe(true);
  expect(may.allowed("task.edit")).toBe(false);
  expect(may.allowed("account.own")).toBe(true);
});

it("offers the commands that the permissions are enough for", () => {
  const may = mayOf(session);
  expect(may.command("shop", "pause")).toBe(true);
  expect(may.command("shop", "remove")).toBe(false);
  expect(may.command("shop")).toBe(true);
  expect(may.command("bank")).toBe(false);
});

it("offers nothing to nobody", () => {
  expect(mayOf(null).allowed("project.view")).toBe(false);
});
