/** The rule of the rooms holds, no imports form a circle, and the checker sees where either is broken. */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { expect, test } from "vitest";

const script = new URL("../../scripts/layers.mjs", import.meta.url).href;
const { layerViolations, importCircles } = (await import(script)) as Record<
  "layerViolations" | "importCircles",
  (folder: string) => string[]
>;

/** What `check` says of a source tree of these files. */
function checked(check: (folder: string) => string[], files: Readonly<Record<string, string>>): string[] {
  const folder = mkdtempSync(join(tmpdir(), "cllm-layers-"));
  try {
    for (const [path, content] of Object.entries(files)) {
      mkdirSync(dirname(join(folder, path)), { recursive: true });
      writeFileSync(join(folder, path), content);
    }
    return check(folder);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

/** The violations of a source tree of one file beside `error.ts`. */
function violationsOf(path: string, content: string): string[] {
  return checked(layerViolations, { "error.ts": "", [path]: content });
}

test("imports in src go downward only", () => {
  expect(layerViolations(fileURLToPath(new URL("../../src", import.meta.url)))).toEqual([]);
});

test.each([
  ["decode/a.ts", 'import { load } from "../generate/load.ts";'],
  ["decode/a.ts", 'import type { Tokenizer } from "../../x/src.ts";\nexport { load } from "../generate/load.ts";'],
  ["graph/a.ts", 'const model = await import("../model/config.ts");'],
  ["runtime/a.ts", 'import "../cli/main.ts";'],
  ["text/a.ts", 'new Worker(new URL("../runtime/worker.ts", import.meta.url));'],
  ["error.ts", 'import { x } from "./model/config.ts";'],
  ["kitchen/a.ts", ""],
])("%s with %j breaks the rule", (path, content) => {
  const violations = violationsOf(path, content);
  expect(violations).toHaveLength(1);
  expect(violations[0]).toMatch(new RegExp(`^${path}`));
});

test.each([
  [
    "decode/a.ts",
    'import { CllmError } from "../error.ts";\nimport { b } from "./b.ts";\nimport type { S } from "../runtime/session.ts";',
  ],
  [
    "cli/a.ts",
    'import { load } from "../generate/load.ts";\nimport * as z from "zod";\nnew URL("../../package.json", import.meta.url);',
  ],
])("%s with %j keeps it", (path, content) => {
  expect(violationsOf(path, content)).toEqual([]);
});

test("no files of src import each other in a circle", () => {
  expect(importCircles(fileURLToPath(new URL("../../src", import.meta.url)))).toEqual([]);
});

test("a circle is found whether values or types make it, and named by its files", () => {
  const two = {
    "text/a.ts": 'import type { B } from "./b.ts";\nexport type A = 1;',
    "text/b.ts": 'import type { A } from "./a.ts";\nexport type B = 1;',
  };
  expect(checked(importCircles, two)).toEqual(["text/a.ts > text/b.ts > text/a.ts"]);
  const three = {
    "text/a.ts": 'export * from "./b.ts";',
    "text/b.ts": 'import { c } from "./deep/c.ts";',
    "text/deep/c.ts": 'type A = import("../a.ts").A;',
    "text/outside.ts": 'import { c } from "./deep/c.ts";',
  };
  expect(checked(importCircles, three)).toEqual(["text/a.ts > text/b.ts > text/deep/c.ts > text/a.ts"]);
  expect(checked(importCircles, { "text/self.ts": 'import type { X } from "./self.ts";' })).toHaveLength(1);
});

test("files that share another one form no circle", () => {
  const diamond = {
    "text/a.ts": 'import "./b.ts";\nimport type { C } from "./c.ts";',
    "text/b.ts": 'import type { D } from "./d.ts";',
    "text/c.ts": 'import type { D } from "./d.ts";',
    "text/d.ts": 'import { CllmError } from "../error.ts";\nimport * as z from "zod";',
  };
  expect(checked(importCircles, diamond)).toEqual([]);
});
