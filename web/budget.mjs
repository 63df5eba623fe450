// What a browser loads before it shows anything stays small: at most 250 kB of script, as it goes over the wire.

import { readFileSync } from "node:fs";
import { gzipSync } from "node:zlib";

const MOST_BYTES = 250_000;
const built = "../src/tidegate/console/static/";
const page = readFileSync(`${built}index.html`, "utf8");
const scripts = [...page.matchAll(/(?:src|href)="\/console\/([^"]+\.js)"/g)].map((found) => found[1]);
const bytes = scripts.reduce((sum, name) => sum + gzipSync(readFileSync(built + name)).length, 0);
console.log(`first load: ${(bytes / 1000).toFixed(0)} kB of script (gzip) in ${scripts.length} files`);
if (bytes > MOST_BYTES) {
  console.error(`that is more than ${MOST_BYTES / 1000} kB: load what is rarely needed with import()`);
  process.exit(1);
}
