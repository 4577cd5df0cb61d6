/** The server's benchmark runs, on a tiny model and with tiny settings: every answer is right, and no body breaks it. */
import { execFileSync } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, test } from "vitest";
import { writeTinyCheckpoint } from "../generate/tiny-checkpoint.ts";

test("bench/serve", { timeout: 240_000 }, () => {
  const folder = mkdtempSync(join(tmpdir(), "cllm-bench-"));
  try {
    const env = { ...process.env, CLLM_MODELS: writeTinyCheckpoint(folder), CLLM_CACHE: folder };
    const small = ["--clients", "8", "--seconds", "0.5", "--prompts", "4", "--max-new-tokens", "8", "--threads", "1"];
    const few = ["--decoder", "jacobi", "--pairs", "1", "--throughput", "2", "--requests", "8", "--fuzz", "40"];
    const script = join(import.meta.dirname, "../../scripts/bench.mjs");
    const output = execFileSync(process.execPath, [script, "serve", ...small, ...few], { env, encoding: "utf8" });
    const figures = JSON.parse(output.trimEnd().split("\n").at(-1)!) as { load: { answers: number } };
    expect(figures).toMatchObject({
      benchmark: "serve",
      load: { lost: 0, different: 0 },
      fuzz: { bodies: 40, failures: 0, hangs: 0 },
      streamedToLibrary: { median: expect.any(Number) },
    });
    expect(figures.load.answers).toBeGreaterThanOrEqual(8);
  } finally {
    rmSync(folder, { recursive: true });
  }
});
