/** No list without a bound is spread into a call's arguments: some 120,000 of them overflow the stack. */
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { expect, test } from "vitest";

const root = fileURLToPath(new URL("../..", import.meta.url));
const CALL = /\b(?:push|unshift|splice|concat|max|min|hypot|of|fromCharCode|fromCodePoint)\(/g;

/** Calls whose list is short, with what bounds it. Anything else is a loop, `reduce` or `joinTokens`. */
const BOUNDED: Readonly<Record<string, string>> = {
  "src/checkpoint/gguf/bytes.ts": "a tensor's dimensions",
  "src/checkpoint/rope-divisors.ts": "half of a head",
  "src/cli/commands/info.ts": "lines of a page",
  "src/cli/decoder-table.ts": "decoders",
  "src/cli/demo/decoders.ts": "decoders",
  "src/cli/demo/replay.ts": "racers",
  "src/cli/eval-text.ts": "contenders",
  "src/cli/trajectory-svg.ts": "blocks, at most 64",
  "src/cli/trajectory-text.ts": "points of a block",
  "src/decode/drafts.ts": "an n-gram and the guesses of a block",
  "src/decode/lookahead.ts": "an n-gram",
  "src/eval/charts.ts": "contenders",
  "src/generate/calibrate.ts": "sizes of a pass",
  "src/serve/app.ts": "models",
  "src/tasks/task.ts": "stop strings of a task",
  "src/tasks/text-to-sql/blanks.ts": "values of a drawn column",
  "src/web/demo.web.ts": "racers",
  "web/main.js": "racers",
  "web/race.js": "racers",
};

/** Arguments of calls that begin with `...`, by file. */
function spreadsIn(source: string): string[] {
  const found: string[] = [];
  for (const { index, 0: call } of source.matchAll(CALL)) {
    let depth = 0;
    for (let i = index + call.length; i < source.length && depth >= 0; i++) {
      if ("([{".includes(source[i]!)) depth++;
      else if (")]}".includes(source[i]!)) depth--;
      else if (depth === 0 && source.startsWith("...", i)) {
        found.push(source.slice(index, i + 40).replaceAll(/\s+/g, " "));
        break;
      }
    }
  }
  return found;
}

const files = ["src", "recipes", "web"].flatMap((folder) =>
  (readdirSync(join(root, folder), { recursive: true }) as string[])
    .filter((name) => /\.(ts|js)$/.test(name))
    .map((name) => `${folder}/${name.replaceAll("\\", "/")}`),
);

test("the scan sees them", () => {
  expect(spreadsIn("a.push(\n  1,\n  ...list,\n); Math.max(0, [...x].length); f(...x)")).toHaveLength(1);
  expect(spreadsIn("Int32Array.of(...a, ...b)")).toHaveLength(1);
});

test.each(files.filter((file) => !Object.hasOwn(BOUNDED, file)))("%s spreads nothing into a call", (file) => {
  expect(spreadsIn(readFileSync(join(root, file), "utf8"))).toEqual([]);
});

test.each(Object.keys(BOUNDED))("%s has one that is bounded, or need not be listed", (file) => {
  expect(spreadsIn(readFileSync(join(root, file), "utf8"))).not.toEqual([]);
});
