/** The benchmarks run: on a tiny random model with tiny settings, so that they cannot rot. Their figures mean nothing here. */
import { execFileSync, spawnSync } from "node:child_process";
import { existsSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { dataSets } from "../../scripts/real-data.mjs";
import { writeTinyCheckpoint } from "../generate/tiny-checkpoint.ts";
import { gpu } from "../runtime/gpu.ts";

const root = join(import.meta.dirname, "../..");
const data = dataSets();

/** Runs a benchmark on the tiny model and returns its closing JSON line. */
function bench(name: string, ...flags: string[]): Record<string, unknown> {
  const folder = mkdtempSync(join(tmpdir(), "cllm-bench-"));
  try {
    const env = {
      ...process.env,
      CLLM_MODEL: writeTinyCheckpoint(folder, { contextLength: 2048 }),
      CLLM_CACHE: folder,
    };
    const script = join(root, "scripts/bench.mjs");
    const output = execFileSync(process.execPath, [script, name, ...flags], { env, encoding: "utf8" });
    return JSON.parse(output.trimEnd().split("\n").at(-1)!) as Record<string, unknown>;
  } finally {
    rmSync(folder, { recursive: true });
  }
}

const timeout = 240_000; // each runs a program of its own

test("speed", { timeout }, () => {
  const flags = ["--rounds", "1", "--requests", "1", "--max-new-tokens", "4", "--context", "64"];
  const figures = bench("speed", "--sizes", "1,2,16", ...flags);
  expect(figures).toMatchObject({ benchmark: "speed", int8: { ratio16To1: expect.any(Number) } });
  expect(figures).toHaveProperty("int8AutoToArAcceptingNothing.median");
});

test.skipIf(!existsSync(data))(`exactness (skipped where ${data} is not)`, { timeout }, () => {
  const flags = ["--limit", "2", "--sampled-limit", "1", "--seeds", "1", "--max-new-tokens", "3"];
  const { runs } = bench("exactness", "--precisions", "int8", ...flags) as { runs: { differing: number }[] };
  expect(runs.map(({ differing }) => differing)).toEqual([0, 0]);
});

test("drafts, on the model that ships", { timeout }, () => {
  const flags = ["--adapter", "none", "--limit", "2", "--max-new-tokens", "16", "--threads", "1"];
  const { questions, figures } = bench("drafts", "--task", "text-to-sql", ...flags) as {
    questions: number;
    figures: { decoder: string; tokensPerPass: number; differing: number }[];
  };
  expect(questions).toBe(2);
  expect(figures.map(({ decoder }) => decoder)).toContain("auto with prediction");
  for (const { tokensPerPass, differing } of figures) {
    expect(tokensPerPass).toBeGreaterThanOrEqual(1);
    expect(differing).toBe(0);
  }
});

test("training", { timeout }, () => {
  const figures = bench("training", "--rounds", "1", "--tokens", "32", "--lora", "2", "--threads", "1");
  expect(figures).toMatchObject({
    full: { tokensPerSecond: expect.any(Number) },
    lora: { ratioToFull: expect.any(Number) },
  });
});

describe("device", { timeout }, () => {
  test("without a GPU refuses, and says what is missing", () => {
    const env = { ...process.env, VK_ICD_FILENAMES: join(tmpdir(), "no-driver.json") };
    const script = join(root, "scripts/bench.mjs");
    const { status, stdout, stderr } = spawnSync(process.execPath, [script, "device", "--tiny"], {
      env,
      encoding: "utf8",
    });
    expect({ status, stdout }).toEqual({ status: 1, stdout: "" });
    expect(stderr).toMatch(/bench device: no GPU .*take device cpu\nNothing was measured\./);
  });

  test("on a GPU, with tiny models", async ({ skip }) => {
    if ((await gpu("the benchmark of a GPU")) === null) return skip("no GPU here");
    const figures = bench("device", "--tiny", "--gpu", "tests");
    expect(figures).toMatchObject({
      ...{ benchmark: "device", device: "webgpu", gpu: "tests", engine: expect.any(String) },
      tiny: { passes: { ms: { 1: expect.any(Number), 16: expect.any(Number) } }, proof: "exact" },
      "training, LoRA of rank 16": { stepMs: expect.any(Number) },
    });
    const { decoders } = figures["tiny"] as { decoders: Record<string, { same: boolean }> };
    expect(Object.values(decoders).map(({ same }) => same)).toEqual(Object.keys(decoders).map(() => true));
  });
});

test("a name that is none", { timeout }, () => {
  expect(() => bench("spede")).toThrow(/no benchmark "spede"/);
});

test.skipIf(!existsSync(data))(`comparison (skipped where ${data} is not)`, { timeout }, () => {
  const flags = ["--adapter", "none", "--limit", "2", "--max-new-tokens", "6", "--ways", "lookahead,suffix,auto"];
  const { rows } = bench("comparison", ...flags) as { rows: { id: string; differing: number; computed: number }[] };
  expect(rows.map(({ id, differing }) => [id, differing])).toEqual([
    ["ar", 0],
    ["lookahead", 0],
    ["suffix", 0],
    ["auto", 0],
  ]);
  expect(rows[0]!.computed).toBe(1);
});

test("the page of the comparison has what was measured, says what is computed, and is not there before", async () => {
  const path = "../../scripts/docs/comparison.mjs";
  const { comparisonPage } = (await import(path)) as {
    comparisonPage(tasks: string[], from?: object): string | null;
  };
  expect(comparisonPage([])).toBeNull();
  const result = () => ({ rows: [{ trainingMinutes: null }] });
  const page = comparisonPage(["spider"], { result, table: (name: string) => `the table ${name}` });
  expect(page).toContain("## Spider\n\n<!-- table: comparison-spider -->\n\nthe table comparison-spider");
  expect(page).toMatch(/computed, not measured/);
  expect(page).not.toMatch(/GSM8K/);
});
