/**
 * The tables of `docs/guide/server.md`: which fields the server honours and which it refuses, from the schemas that check
 * requests. Knows no field by name.
 *
 *     node scripts/docs/server-fields.mjs [--check]
 */
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { runnerImport } from "vite";
import { root } from "./tables.mjs";

const PAGE = join(root, "docs/guide/server.md");
const BLOCK = /(<!-- fields: ([a-z]+) -->\n)[\s\S]*?(<!-- \/fields -->)/g;
const options = { configFile: false, logLevel: "warn", oxc: { target: "es2022" } };
const { module } = await runnerImport(join(root, "src/serve/fields.ts"), options);
const { toJSONSchema } = (await runnerImport("zod", options)).module;

const schemas = { chat: module.chatSchema, completions: module.completionSchema };
const cell = (text) => text.replaceAll("|", "\\|").replaceAll("<", "&lt;");
const code = (value) => `\`${JSON.stringify(value)}\``;

/** Every field once, with the endpoints that know it. */
function fieldsOf() {
  const fields = new Map();
  for (const [endpoint, schema] of Object.entries(schemas)) {
    for (const [name, field] of Object.entries(schema.shape)) {
      const { description, asksForNothing } = field.meta() ?? {};
      if (description === undefined) throw new Error(`src/serve/fields.ts: ${name} has no description`);
      const key = `${name} ${JSON.stringify(asksForNothing)} ${description}`; // the endpoints may take it as different things
      const known = fields.get(key) ?? { name, field, description, asksForNothing, endpoints: [] };
      known.endpoints.push(endpoint);
      fields.set(key, known);
    }
  }
  return [...fields.values()];
}

/** What a field's values are, such as `number, 0 to 2`. */
function valuesOf(field) {
  const of = ({ anyOf, type, enum: choices, minimum, exclusiveMinimum, maximum, const: only, items, maxItems }) => {
    if (anyOf) {
      const kinds = anyOf.filter((each) => each.type !== "null").map(of);
      return [...new Set(kinds)].join(" or ");
    }
    if (choices) return choices.map((choice) => `\`${choice}\``).join(", ");
    if (only !== undefined) return `\`${only}\``;
    if (type === "array") return `up to ${maxItems ?? "any number of"} ${items ? plural(of(items)) : "values"}`;
    const names = { string: "text", boolean: "true or false", integer: "whole number", number: "number" };
    const noun = names[[type].flat()[0]] ?? "object";
    if (type !== "integer" && type !== "number") return noun;
    const least = exclusiveMinimum === undefined ? minimum : `above ${exclusiveMinimum}`;
    const open = maximum === undefined || maximum >= Number.MAX_SAFE_INTEGER;
    return open ? `${noun} from ${least}` : `${noun}, ${least} to ${maximum}`;
  };
  return of(toJSONSchema(field, { unrepresentable: "any", io: "input" }));
}

const plural = (noun) => noun.replace(/^text$/, "texts").replace(/^whole number/, "whole numbers");

const where = ({ endpoints }) => (endpoints.length === 2 ? "both" : endpoints[0]);

function render(which) {
  const fields = fieldsOf();
  if (which === "taken") {
    const rows = fields.filter(({ asksForNothing }) => asksForNothing === undefined);
    const special = {
      messages: "list of messages",
      prompt: "text or list of texts",
      tools: "list of functions",
      documents: "list of objects",
      decoder: "name, or object with `name`",
    };
    const line = (row) => {
      const values = special[row.name] ?? valuesOf(row.field);
      return `| \`${row.name}\` | ${where(row)} | ${cell(values)} | ${cell(row.description)} |`;
    };
    return ["| field | endpoint | value | what it does |", "|---|---|---|---|", ...rows.map(line)].join("\n");
  }
  const rows = fields.filter(({ asksForNothing }) => asksForNothing !== undefined);
  const line = (row) =>
    `| \`${row.name}\` | ${where(row)} | ${cell(row.asksForNothing.map(code).join(", "))} | ${cell(row.description)} |`;
  return ["| field | endpoint | taken as | otherwise |", "|---|---|---|---|", ...rows.map(line)].join("\n");
}

const before = readFileSync(PAGE, "utf8");
const after = before.replace(BLOCK, (_, open, which, close) => `${open}\n${render(which)}\n\n${close}`);
if (process.argv.includes("--check")) {
  if (before !== after) {
    console.error("docs/guide/server.md: its tables are not what the server takes; run npm run docs");
    process.exitCode = 1;
  }
} else if (before !== after) writeFileSync(PAGE, after);
