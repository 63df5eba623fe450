// Writes the licences of everything that is built into the console, from the lock file, beside it.

import { existsSync, readdirSync, readFileSync, writeFileSync } from "node:fs";

const { packages } = JSON.parse(readFileSync("package-lock.json", "utf8"));
const parts = [];
for (const [path, one] of Object.entries(packages)) {
  if (!path || one.dev || one.devOptional || !existsSync(path)) continue;
  const file = readdirSync(path).find((name) => /^licen[cs]e/i.test(name));
  const text = file ? readFileSync(`${path}/${file}`, "utf8").trim() : `Licence: ${one.license}`;
  parts.push(`${path.replace(/^.*node_modules\//, "")} ${one.version} (${one.license})\n\n${text}\n`);
}
writeFileSync(
  "../src/tidegate/console/static/third-party.txt",
  `The console of Tidegate holds parts of these packages.\n\n${parts.join(`\n${"-".repeat(80)}\n\n`)}`,
);
