/**
 * `docs/guide/command-line.md` from the schemas that also make the flags and their help: every command, its flags and its
 * examples. Knows no command by name.
 *
 *     node scripts/docs/command-line.mjs [--check]
 */
import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { runnerImport } from "vite";
import { root } from "./tables.mjs";

const PAGE = join(root, "docs/guide/command-line.md");
const options = { configFile: false, logLevel: "warn", oxc: { target: "es2022" } };
const load = async (path) => (await runnerImport(join(root, path), options)).module;

const { commonFields } = await load("src/cli/command.ts");
const { flagOf, readField } = await load("src/cli/flags.ts");
const { defineCompletion } = await load("src/cli/commands/completion.ts");

/** Commands in the order in which one meets them; a new one comes last by itself. */
const ORDER = [
  "generate",
  "chat",
  "bench",
  "info",
  "trajectory",
  "collect",
  "batch",
  "merge",
  "train",
  "export",
  "eval",
  "serve",
  "demo",
];

async function commands() {
  const found = [];
  for (const file of readdirSync(join(root, "src/cli/commands")).sort()) {
    if (!file.endsWith(".ts")) continue;
    const module = await load(`src/cli/commands/${file}`);
    for (const value of Object.values(module)) if (value?.fields && value.name && value.run) found.push(value);
  }
  const rank = ({ name }) => (ORDER.includes(name) ? ORDER.indexOf(name) : ORDER.length);
  found.sort((a, b) => rank(a) - rank(b));
  return [...found, defineCompletion(found)];
}

const cell = (text) => text.replaceAll("|", "\\|").replaceAll("\n", " ").replaceAll("<", "&lt;");

/** One row of a table of flags. */
function flagRow(key, schema) {
  const field = readField(schema);
  const { description = "", placeholder, short } = field.meta;
  const choices = field.choices.length > 0 ? field.choices : (field.element?.choices ?? []);
  const value =
    field.type === "boolean"
      ? ""
      : ` ${choices.length > 0 && choices.length < 7 ? choices.join("\\|") : `&lt;${placeholder ?? (field.type === "number" ? "number" : "text")}&gt;`}`;
  const flag = `\`${flagOf(key, schema)}\`${short ? `, \`-${short}\`` : ""}${value}`;
  const byDefault = field.defaultValue;
  const shown =
    byDefault === undefined || field.type === "boolean" || (Array.isArray(byDefault) && byDefault.length === 0)
      ? ""
      : `\`${Array.isArray(byDefault) ? byDefault.join(",") : byDefault}\``;
  return { group: field.meta.group ?? "", line: `| ${flag} | ${shown} | ${cell(description)} |` };
}

function flagTable(fields, skip) {
  const rows = Object.entries(fields)
    .filter(([key]) => !skip(key))
    .map(([key, schema]) => flagRow(key, schema));
  if (rows.length === 0) return [];
  const lines = [];
  for (const group of new Set(rows.map((row) => row.group))) {
    if (group !== "") lines.push(`**${group[0].toUpperCase()}${group.slice(1)}**`, "");
    lines.push(
      "| flag | default | |",
      "|---|---|---|",
      ...rows.filter((row) => row.group === group).map((row) => row.line),
      "",
    );
  }
  return lines;
}

function section(command) {
  const { name, summary, details, fields, argument, argumentOnly, examples } = command;
  const lines = [`## cllm ${name}`, "", `${summary}.`, ""];
  if (details) lines.push(details.replace(/([^.])$/, "$1.").replaceAll("<", "&lt;"), "");
  if (examples.length > 0) lines.push("```sh", ...examples.map(([line, what]) => `${line}   # ${what}`), "```", "");
  if (argument)
    lines.push(`Argument: \`${argument}\`, ${cell(readField(fields[argument]).meta.description ?? "")}.`, "");
  lines.push(...flagTable(fields, (key) => Object.hasOwn(commonFields, key) || (argumentOnly && key === argument)));
  return lines;
}

const all = await commands();
const page = [
  "# Command line",
  "",
  "<!-- made by scripts/docs/command-line.mjs from the schemas of the commands; edit those -->",
  "",
  "Every flag is also a key of a configuration file in camelCase: `cllm train --config train.json`. Flags win over the file.",
  "Results go to standard output, progress and notes to standard error. `--json` makes results and errors JSON.",
  "Exit codes: 0 for success, 1 for a failure, 2 for wrong usage, 130 after Ctrl-C, 143 after SIGTERM.",
  "",
  "## Flags of every command",
  "",
  "A command refuses those that it does not use.",
  "",
  ...flagTable(commonFields, () => false),
  ...all.flatMap(section),
]
  .join("\n")
  .trimEnd();

if (process.argv.includes("--check")) {
  if (readFileSync(PAGE, "utf8") !== `${page}\n`) {
    console.error("docs/guide/command-line.md is not what the commands say; run npm run docs");
    process.exitCode = 1;
  }
} else writeFileSync(PAGE, `${page}\n`);
