/**
 * What the pages about the code name is there: every path, every name of the code, each in the file that the page says, and every
 * room in its place. So whoever renames something finds the page that has to change with it.
 */
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { expect, test } from "vitest";

const root = fileURLToPath(new URL("../..", import.meta.url));
const read = (path: string): string => readFileSync(join(root, path), "utf8");
const filesBelow = (folder: string): string[] =>
  (readdirSync(join(root, folder), { recursive: true }) as string[]).map((path) =>
    `${folder}/${path}`.replaceAll("\\", "/"),
  );

const pages = [
  "CONTRIBUTING.md",
  ...["docs/architecture", "docs/how-to", "docs/explain"]
    .flatMap((folder) => filesBelow(folder))
    .filter((path) => path.endsWith(".md")),
];
const sources = filesBelow("src").filter((path) => path.endsWith(".ts"));
const others = ["test", "scripts", "bench", "recipes"]
  .flatMap(filesBelow)
  .filter((path) => /\.m?[jt]s$/.test(path) && !path.startsWith("test/docs/"));
const withoutComments = (code: string): string =>
  code.replaceAll(/\/\*[\s\S]*?\*\//g, "").replaceAll(/(^|\s)\/\/.*$/gm, "$1");
const words = new Set(
  sources.concat(others).flatMap((path) => withoutComments(read(path)).match(/[A-Za-z_$][\w$]*/g) ?? []),
);
const baseNames = new Set([...sources, ...others].map((path) => path.split("/").at(-1)));

/** Names of folders that a run makes, of languages, and of what is forbidden. */
const ELSEWHERE = new Set([
  "ar/",
  "cllm/",
  "best/",
  "final/",
  "runs/text-to-sql/",
  "node_modules/",
  "enum",
  "utils.ts",
]);

/** Code in the running text of a page; fenced examples are not looked at. */
const spansIn = (page: string): string[] =>
  [...page.replaceAll(/^```[\s\S]*?^```/gm, "").matchAll(/`([^`\n]+)`/g)].map(([, span]) => span as string);

/** What a page names and the checkout does not have. */
function missing(page: string): string[] {
  const text = page.replaceAll(/^```[\s\S]*?^```/gm, "");
  const found: string[] = [];
  for (const span of spansIn(page)) {
    if (/\s|^-|NAME|\*|^cllm$/.test(span) || ELSEWHERE.has(span)) continue; // commands, flags and placeholders
    if (/^[\w.-]+\.(?:ts|mjs|py|json|js)$/.test(span)) {
      if (!baseNames.has(span) && !existsSync(join(root, span)) && !existsSync(join(root, "src", span)))
        found.push(span);
    } else if (/^[\w.-]+(?:\/[\w.-]*)+$/.test(span)) {
      if (!existsSync(join(root, span)) && !existsSync(join(root, "src", span))) found.push(span);
    } else if (/^[A-Za-z_$][\w$]*(?:\.[A-Za-z_]\w*)*(?:\(.*\))?$/.test(span)) {
      const parts = span.replace(/\(.*/, "").split(".");
      if (!parts.every((part) => words.has(part)) && !KNOWN.test(span)) found.push(span);
    }
  }
  const placed = /((?:`[A-Za-z_$][\w$]*`(?:, | and )?)+) (?:\(|in )`((?:src|test|recipes|bench)\/[^`]+\.ts)`/g;
  for (const [, names = "", path = ""] of text.matchAll(placed)) {
    if (!existsSync(join(root, path))) continue; // found above
    for (const [, name] of names.matchAll(/`([^`]+)`/g))
      if (!new RegExp(`\\b${name}\\b`).test(withoutComments(read(path)))) found.push(`${name} in ${path}`);
  }
  return found;
}

/** Variables of the environment, and an operator that nothing here uses. */
const KNOWN = /^(?:CLLM_[A-Z]+|ONNXRUNTIME_[A-Z_]+|ScatterND|getData|past_i|present_i|libvulkan1)$/;

test("the scan sees names, paths and places", () => {
  expect(missing("`startEverything` in `src/nowhere.ts`, `load()` and `Trainer.levitate`")).toEqual([
    "startEverything",
    "src/nowhere.ts",
    "Trainer.levitate",
  ]);
  expect(missing("`jacobi` (`src/decode/ar.ts`) is not, and `ar` (`src/decode/ar.ts`) is there")).toEqual([
    "jacobi in src/decode/ar.ts",
  ]);
  expect(missing("```ts\nnothing();\n```\n`--flag`, `npm run bench`, `src/decode/NAME.ts`")).toEqual([]);
});

test.each(pages)("%s names what there is", (page) => {
  expect(missing(read(page))).toEqual([]);
});

test("the rooms are those of the layers, top first", () => {
  const [, list = ""] = /const ROOMS = \[([\s\S]*?)\];/.exec(read("scripts/layers.mjs")) ?? [];
  const rooms = [...list.matchAll(/"([^"]+)"/g)].map(([, room]) => room);
  const [, table = ""] =
    /\| room, top first[\s\S]*?\n\|---.*\n([\s\S]*?)\n\n/.exec(read("docs/architecture/index.md")) ?? [];
  const told = [...table.matchAll(/^\| `([\w-]+)(?:\/|\.ts)` /gm)].map(([, room]) => room);
  expect(told).toEqual(rooms.reverse());
});
