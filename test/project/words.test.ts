/**
 * One meaning for a word that is easily given several: the rooms that may use `slot` and `row` in names. CONTRIBUTING.md
 * says what they mean and what the other things are called.
 */
import { readdirSync, readFileSync } from "node:fs";
import { expect, test } from "vitest";

/** Names of code that hold the word, without comments, texts and what others' formats and HTML call theirs. */
function names(path: string, word: string): string[] {
  const code = readFileSync(path, "utf8")
    .replaceAll(/\/\*[\s\S]*?\*\//g, "")
    .replaceAll(/(^|\s)\/\/.*$/gm, "$1")
    .replaceAll(/"(?:[^"\\\n]|\\.)*"/g, '""');
  const partsOf = (name: string) => name.split(/_|(?<=[a-z0-9])(?=[A-Z])/).map((part) => part.toLowerCase());
  return [...new Set(code.match(/[A-Za-z_$][\w$]*/g))]
    .filter((name) => !FOREIGN.has(name))
    .filter((name) => partsOf(name).some((part) => part === word || part === `${word}s`));
}

const FOREIGN = new Set(["num_rows", "row_groups", "RowGroup", "rowStart", "rowEnd"]); // hyparquet's

const ALLOWED: Readonly<Record<string, readonly string[]>> = {
  // Sequences that run in one pass.
  slot: ["src/model/", "src/runtime/", "src/generate/", "src/cli/model.ts", "src/cli/commands/", "src/serve/worker.ts"],
  // A row of a matrix, one token of a pass, or a row of an SQL table.
  row: [
    ...["src/graph/", "src/model/", "src/runtime/", "src/decode/", "src/generate/", "src/train/", "src/checkpoint/"],
    ...["src/tasks/sqlite.ts", "src/tasks/sql-", "src/tasks/spider/", "src/tasks/text-to-sql/", "src/serve/query"],
    ...["src/serve/playground.ts", "src/recipes/", "src/cli/demo/", "src/trajectory/identity.ts", "src/web/demo"],
  ],
};

test.each(Object.entries(ALLOWED))("%s has one meaning", (word, rooms) => {
  const elsewhere = readdirSync("src", { recursive: true })
    .map((path) => `src/${path}`)
    .filter((path) => path.endsWith(".ts"))
    .filter((path) => !rooms.some((room) => path.startsWith(room)))
    .flatMap((path) => names(path, word).map((name) => `${path}: ${name}`));
  expect(elsewhere).toEqual([]);
});
