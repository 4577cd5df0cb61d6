/**
 * The PyTorch package beside `cllm train`: the same losses on the same packs, in one process and in two, and weights that load
 * here. Runs where Python has PyTorch and the rest: `CLLM_PYTHON` names one, else `python3` is asked.
 */
import { spawnSync } from "node:child_process";
import { readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { beforeAll, describe, expect, test } from "vitest";
import { openCheckpoint } from "../../src/checkpoint/open.ts";
import { withAdapter } from "../../src/checkpoint/peft/adapter.ts";
import { readDraftAdapter } from "../../src/checkpoint/peft/draft.ts";
import { load } from "../../src/generate/load.ts";
import { createEngine } from "../../src/runtime/engine.ts";
import { builtCommand } from "../cli/command.ts";

const python = process.env["CLLM_PYTHON"] ?? "python3";
const WANTED = "torch, transformers, peft, accelerate, pyarrow";
const isThere = spawnSync(python, ["-c", `import ${WANTED}`]).status === 0;
const hint = isThere ? "" : ` (skipped: ${python} has not all of ${WANTED}; CLLM_PYTHON names another one)`;

/** float32 sums in another order, over 20 steps of an optimizer that divides by small numbers. Measured: below 3e-6. */
const TOLERANCE = 1e-4;
const packages = join(import.meta.dirname, "../../integrations/pytorch");
const { scratch, model, run } = builtCommand();
const steps = ["--steps", "20", "--warmup-steps", "4", "--held-out", "0", "--sequence-length", "256"];
const stored = ["--objective", "consistency", "--points", "stored", "--block-size", "8"];
const OBJECTIVES: Readonly<Record<string, readonly string[]>> = {
  ar: ["--objective", "ar", "--batch", "2"],
  "stored points": [...stored, "--batch", "3", "--points-per-example", "3"],
  "local, with a divergence": [...stored, "--consistency", "local", "--loss", "kl", "--label-smoothing", "0.1"],
  "fresh points": ["--objective", "consistency", "--block-size", "8", "--leading-points", "1", "--row-decay", "0.9"],
  "an adapter": [...stored, "--lora-rank", "4", "--batch", "2"],
  "lossless, an adapter": ["--objective", "consistency", "--lossless", "--block-size", "8", "--lora-rank", "4"],
};

const folderOf = (name: string, whose: string): string => join(scratch, `${name.replaceAll(/\W+/g, "-")}-${whose}`);

function lossesOf(folder: string): readonly number[] {
  const lines = readFileSync(join(folder, "log.jsonl"), "utf8").trim().split("\n");
  const records = lines.map((line) => JSON.parse(line) as { type: string; loss: number });
  return records.filter(({ type }) => type === "step").map(({ loss }) => loss);
}

const largest = (ours: readonly number[], theirs: readonly number[]): number =>
  Math.max(...ours.map((loss, i) => Math.abs(loss - theirs[i]!) / Math.abs(loss)));

function trainInPython(flags: readonly string[], out: string, before: readonly string[] = []): void {
  const args = [...before, "-m", "cllm_torch", "--model", model, "--trajectories", "t.parquet", "--out", out];
  const env = { ...process.env, PYTHONPATH: packages, OMP_NUM_THREADS: "1", CUDA_VISIBLE_DEVICES: "" };
  const { status, stderr } = spawnSync(python, [...args, ...flags, ...steps], { cwd: scratch, env, encoding: "utf8" });
  if (status !== 0) throw new Error(stderr.slice(-3000));
}

describe.skipIf(!isThere)(`training with PyTorch${hint}`, () => {
  beforeAll(() => {
    const prompts = Array.from({ length: 24 }, (_, i) =>
      JSON.stringify({ prompt: `the ${i} owls and the river by ${i * 7}` }),
    );
    writeFileSync(join(scratch, "p.jsonl"), prompts.join("\n"));
    const few = [
      "--raw",
      "--no-clean",
      "--max-new-tokens",
      "48",
      "--block-size",
      "8",
      "--threads",
      "1",
      "--precision",
      "fp32",
    ];
    expect(run("collect", "--data", "p.jsonl", ...few, "--out", "t.parquet").status).toBe(0);
  });

  test.each(Object.entries(OBJECTIVES))(
    "%s: the losses of 20 steps are ours",
    (name, flags) => {
      const ours = folderOf(name, "ours");
      const { status, stderr } = run(
        "train",
        "--trajectories",
        "t.parquet",
        "--out",
        ours,
        "--threads",
        "1",
        ...flags,
        ...steps,
      );
      expect({ status, stderr }).toMatchObject({ status: 0 });
      trainInPython(flags, folderOf(name, "theirs"));
      const [one, other] = [lossesOf(ours), lossesOf(folderOf(name, "theirs"))];
      expect([one.length, other.length]).toEqual([20, 20]);
      expect(largest(one, other)).toBeLessThan(TOLERANCE);
    },
    120_000,
  );

  test("two processes have the losses of one, and the weights load", async () => {
    const flags = OBJECTIVES["stored points"]!;
    const two = folderOf("two processes", "theirs");
    trainInPython(flags, two, ["-m", "torch.distributed.run", "--nproc-per-node", "2"]);
    const one = folderOf("stored points", "theirs");
    expect(largest(lossesOf(one), lossesOf(two))).toBeLessThan(1e-5);
    const prompt = { prompt: "the owls", maxNewTokens: 8 };
    await using trained = await load(join(two, "final"), { precision: "fp32" });
    expect((await trained.generate(prompt)).tokens.length).toBeGreaterThan(0);
    await using adapted = await load(model, {
      precision: "fp32",
      adapter: join(folderOf("an adapter", "theirs"), "final"),
    });
    expect((await adapted.generate(prompt)).tokens.length).toBeGreaterThan(0);
    const draftAdapter = join(folderOf("lossless, an adapter", "theirs"), "final");
    await using plain = await load(model, { precision: "int8" });
    await using drafted = await load(model, { precision: "int8", draftAdapter });
    expect((await drafted.generate(prompt)).tokens).toEqual((await plain.generate(prompt)).tokens);
  }, 120_000);

  test("PEFT loads a draft adapter as plain LoRA, with the factors that draft rows run", async () => {
    const folder = join(folderOf("lossless, an adapter", "ours"), "final");
    const checkpoint = await openCheckpoint(model);
    const { config } = checkpoint;
    const { drafts, ...plain } = await readDraftAdapter(folder, checkpoint.weights);
    expect(drafts).toBe(true); // as which it is never merged outside of this test
    const ids = Array.from({ length: 12 }, (_, i) => (7 * i + 3) % config.vocabSize);
    await using engine = await createEngine(config, withAdapter(checkpoint.weights, plain), {
      ...{ precision: "fp32", threads: 1 },
    });
    await using session = engine.session();
    const ours = await session.logits(Int32Array.from(ids));
    await checkpoint.close();
    const script = `
import json, sys, torch
from peft import PeftModel
from transformers import AutoModelForCausalLM
base = AutoModelForCausalLM.from_pretrained(sys.argv[1], torch_dtype=torch.float32)
adapted = PeftModel.from_pretrained(base, sys.argv[2]).eval()
with torch.no_grad():
    print(json.dumps(adapted(torch.tensor([json.loads(sys.argv[3])])).logits.flatten().tolist()))
`;
    const args = ["-c", script, model, folder, JSON.stringify(ids)];
    const { status, stdout, stderr } = spawnSync(python, args, { encoding: "utf8", maxBuffer: 1e8 });
    expect({ status, stderr: status === 0 ? "" : stderr }).toEqual({ status: 0, stderr: "" });
    const theirs = JSON.parse(stdout.trim().split("\n").at(-1)!) as number[];
    expect(theirs.length).toBe(ours.length);
    for (const [i, logit] of theirs.entries()) expect(Math.abs(logit - ours[i]!)).toBeLessThan(1e-3);
  }, 120_000);

  test("a run that was stopped goes on from its checkpoint to the same losses", () => {
    const flags = [...OBJECTIVES["stored points"]!, "--checkpoint-every", "8"];
    const out = folderOf("stopped", "theirs");
    trainInPython(flags, out);
    expect(lossesOf(out).length).toBe(20); // with the checkpoint of step 16 still there
    rmSync(join(out, "final"), { recursive: true });
    trainInPython(flags, out);
    expect(largest(lossesOf(folderOf("stored points", "theirs")), lossesOf(out))).toBeLessThan(1e-5);
  }, 120_000);

  test("a shard, a changed file and a wrong setting are one line that says what to do", () => {
    const few = ["--raw", "--no-clean", "--max-new-tokens", "8", "--threads", "1", "--precision", "fp32"];
    expect(run("collect", "--data", "p.jsonl", ...few, "--out", "s.parquet", "--shard", "1/2").status).toBe(0);
    const bytes = readFileSync(join(scratch, "t.parquet"));
    bytes[100]! ^= 1;
    writeFileSync(join(scratch, "changed.parquet"), bytes);
    const told = (file: string, ...more: string[]) => {
      const args = ["-m", "cllm_torch", "--model", model, "--trajectories", file, "--out", "bad", ...more];
      const result = spawnSync(python, args, {
        cwd: scratch,
        env: { ...process.env, PYTHONPATH: packages },
        encoding: "utf8",
      });
      return [result.status, result.stderr.trim().split("\n").at(-1)];
    };
    expect(told("s-00001-of-00002.parquet")).toEqual([1, expect.stringContaining("join all of them with cllm merge")]);
    expect(told("changed.parquet")).toEqual([1, expect.stringContaining("was changed or cut since")]);
    expect(told("t.parquet", "--points", "old")).toEqual([
      1,
      expect.stringContaining("points must be one of on-policy, stored"),
    ]);
  }, 180_000);
});
