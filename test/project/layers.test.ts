/** The rule of the rooms holds, and the checker sees where it is broken. */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { expect, test } from "vitest";

const script = new URL("../../scripts/layers.mjs", import.meta.url).href;
const { layerViolations } = (await import(script)) as { layerViolations(folder: string): string[] };

/** The violations of a source tree of one file beside `error.ts`. */
function violationsOf(path: string, content: string): string[] {
  const folder = mkdtempSync(join(tmpdir(), "cllm-layers-"));
  try {
    mkdirSync(dirname(join(folder, path)), { recursive: true });
    writeFileSync(join(folder, "error.ts"), "");
    writeFileSync(join(folder, path), content);
    return layerViolations(folder);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
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
