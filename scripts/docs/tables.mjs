/**
 * Puts the stored results into the Markdown: between `<!-- table: NAME -->` and `<!-- /table -->` stands what this script
 * makes of `bench/results/NAME.json`. With `--check` it writes nothing and fails where a page is not up to date.
 * Knows no measurement: figures come from the JSON alone.
 *
 *     node scripts/docs/tables.mjs [--check]
 */
import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join, relative } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";

export const root = fileURLToPath(new URL("../..", import.meta.url));
const BLOCK = /(<!-- table: ([a-z0-9-]+)((?: [a-z]+=[A-Za-z0-9,-]+)*) -->\n)[\s\S]*?(<!-- \/table -->)/g;

/** The rows that people look for first: the speed-up of `auto`, each from the result that it stands in. */
const HEADLINES = [
  ["speed", "auto-plain", "SmolLM2-135M as it is, math problems"],
  ["spider-zen4", "target-auto", "the same, fine-tuned for SQL, answers that quote the prompt"],
  ["spider-zen4", "cllm-auto", "the same with the CLLM adapter `spider`"],
  ["text-to-sql", "cllm-auto", "the small CLLM that ships"],
];

export function readResult(name) {
  return JSON.parse(readFileSync(join(root, "bench/results", `${name}.json`), "utf8"));
}

/** `2.32 (2.22 to 2.42)`: numbers with two digits where they have decimals, text as it is. */
export function formatCell(cell) {
  if (cell === undefined || cell === null) return "";
  if (typeof cell === "string") return cell;
  if (typeof cell === "number") return String(cell);
  return `${cell.value} (${cell.low} to ${cell.high})`;
}

/** Numbers of a column share their number of decimals. */
function formatColumn(cells) {
  const numbers = cells.flatMap((cell) =>
    typeof cell === "number" ? [cell] : cell?.value === undefined ? [] : [cell.value, cell.low, cell.high],
  );
  const digits = Math.max(0, ...numbers.map((number) => (String(number).split(".")[1] ?? "").length));
  const fixed = (number) => number.toFixed(digits);
  return cells.map((cell) => {
    if (typeof cell === "number") return fixed(cell);
    if (cell?.value === undefined) return formatCell(cell);
    return `${fixed(cell.value)} (${fixed(cell.low)} to ${fixed(cell.high)})`;
  });
}

/** A Markdown table: `columns` maps keys to headings. */
export function markdownTable(columns, rows) {
  const keys = Object.keys(columns);
  const filled = keys.map((key) => formatColumn(rows.map((row) => row[key])));
  const lines = rows.map((_, i) => `| ${keys.map((_, k) => filled[k][i]).join(" | ")} |`);
  return [`| ${Object.values(columns).join(" | ")} |`, `|${keys.map(() => "---").join("|")}|`, ...lines].join("\n");
}

/** One line that says how the figures came about. */
export function howMade({ model, precision, n, machine, commit, date, command, note }) {
  const parts = [model, precision, n ? `n = ${n.toLocaleString("en")}` : null, machine];
  if (commit) parts.push(`commit ${commit}`);
  if (date) parts.push(date);
  const made = command ? ` Made by \`${command}\`.` : "";
  return `*${parts.filter(Boolean).join("; ")}.*${made}${note ? ` ${note}` : ""}`;
}

function headlineTable() {
  const rows = HEADLINES.map(([name, id, what]) => {
    const row = readResult(name).rows.find((candidate) => candidate.id === id);
    return { what, tokensPerForward: row.tokensPerForward, speedup: row.speedup };
  });
  return markdownTable({ what: "`auto` against one by one, the same tokens", speedup: "speed-up" }, rows);
}

/** What stands between the marks of a table. */
export function renderTable(name, attributes = {}) {
  if (name === "headlines") return headlineTable();
  const result = readResult(name);
  const ids = attributes.rows?.split(",");
  const keys = attributes.columns?.split(",") ?? Object.keys(result.columns);
  const rows = ids ? ids.map((id) => result.rows.find((row) => row.id === id)) : result.rows;
  const columns = Object.fromEntries(keys.map((key) => [key, result.columns[key]]));
  return `${markdownTable(columns, rows)}\n\n${howMade(result)}`;
}

/** The page with its tables made anew. */
export function withTables(text) {
  return text.replace(BLOCK, (_, open, name, attributes, close) => {
    const pairs = attributes.trim() === "" ? [] : attributes.trim().split(" ");
    return `${open}\n${renderTable(name, Object.fromEntries(pairs.map((pair) => pair.split("="))))}\n\n${close}`;
  });
}

/** README and every page of the documentation, as paths from the root. */
export function markdownPages() {
  const pages = ["README.md"];
  const visit = (folder) => {
    for (const entry of readdirSync(join(root, folder), { withFileTypes: true })) {
      const path = `${folder}/${entry.name}`;
      if (entry.isDirectory()) {
        if (!["node_modules", ".vitepress", "api", "public"].includes(entry.name)) visit(path);
      } else if (entry.name.endsWith(".md")) pages.push(path);
    }
  };
  visit("docs");
  return pages;
}

if (process.argv[1] && import.meta.url === pathToFileURL(process.argv[1]).href) {
  const check = process.argv.includes("--check");
  for (const page of markdownPages()) {
    const before = readFileSync(join(root, page), "utf8");
    const after = withTables(before);
    if (before === after) continue;
    if (check) {
      console.error(`${relative(root, join(root, page))}: its tables are not those of bench/results; run npm run docs`);
      process.exitCode = 1;
    } else writeFileSync(join(root, page), after);
  }
}
