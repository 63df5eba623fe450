// Definitions as YAML, for reading and comparing. Only what JSON can hold; what is not plainly a word is quoted as JSON
// quotes it, which YAML reads alike.

type Json = null | boolean | number | string | Json[] | { [key: string]: Json };

const PLAIN = /^[A-Za-z_./][\w ./+-]*$/;
const MEANS_ELSE = /^(true|false|null|yes|no|on|off|~|[.\d+-].*|.* #.*|.*\s)$/i;

function scalar(value: Json): string {
  if (typeof value !== "string") return JSON.stringify(value);
  return PLAIN.test(value) && !MEANS_ELSE.test(value) ? value : JSON.stringify(value);
}

export function yaml(value: unknown, indent = ""): string {
  const given = value as Json;
  if (Array.isArray(given)) {
    return given
      .map((one) => {
        if (one === null || typeof one !== "object") return `${indent}- ${scalar(one)}\n`;
        return `${indent}- ${yaml(one, `${indent}  `).trimStart()}`;
      })
      .join("");
  }
  if (given === null || typeof given !== "object") return `${indent}${scalar(given)}\n`;
  return Object.entries(given)
    .map(([key, one]) => {
      if (one === null || typeof one !== "object") return `${indent}${scalar(key)}: ${scalar(one)}\n`;
      if (Object.keys(one).length === 0) return `${indent}${scalar(key)}: ${Array.isArray(one) ? "[]" : "{}"}\n`;
      return `${indent}${scalar(key)}:\n${yaml(one, `${indent}  `)}`;
    })
    .join("");
}
