/** A few hundred mutated checkpoints: each opens or is refused by one clear error, and no file stays open. */
import { existsSync, readdirSync } from "node:fs";
import { afterAll, expect, test } from "vitest";
import { smolLM2 } from "../../scripts/real-data.mjs";
import type { Checkpoint } from "../../src/checkpoint/open.ts";
import { createTokenizer } from "../../src/text/tokenizer.ts";
import { temporaryFolder } from "./files.ts";
import { fuzzCheckpoints, realGgufSubject, tinySubjects } from "./fuzz.ts";

const folder = temporaryFolder();
afterAll(folder.remove);

const openFiles = (): number => (existsSync("/proc/self/fd") ? readdirSync("/proc/self/fd").length : 0);

function useTokenizer({ tokenizer, config }: Checkpoint): void {
  const { encode, decode } = createTokenizer(tokenizer, config.vocabSize);
  decode(encode("abcab ccf A"));
}

test("mutated checkpoints open or throw a CllmError", async () => {
  const before = openFiles();
  const report = await fuzzCheckpoints({
    cases: 600,
    seed: 42,
    subjects: tinySubjects(),
    folder: folder.path,
    exercise: useTokenizer,
  });
  expect(openFiles() - before).toBeLessThan(10);
  expect(report.sound).toBeGreaterThan(0); // some mutations do no harm: the reader is not just refusing
  expect(report.refused["bad-file"]).toBeGreaterThan(100);
  expect(process.resourceUsage().maxRSS).toBeLessThan(2 ** 20); // KiB: no claim of a header was believed
});

const real = smolLM2();

test.skipIf(!existsSync(real))(`so does a real file with a mutated header (skipped where ${real} is not)`, async () => {
  const subjects = [realGgufSubject(real, 1_785_664)];
  const report = await fuzzCheckpoints({ cases: 40, seed: 7, subjects, folder: folder.path });
  expect(Object.values(report.refused).reduce((sum, count) => sum + count, report.sound)).toBe(40);
});
