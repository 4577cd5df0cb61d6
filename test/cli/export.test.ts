/** `cllm export` on a tiny real checkpoint: every form of a model, an adapter merged in or not, says the same. */
import { existsSync, mkdtempSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { openCheckpoint } from "../../src/checkpoint/open.ts";
import { adapterOf, writeAdapter } from "../../src/checkpoint/peft/adapter.ts";
import { readAdapter } from "../../src/checkpoint/peft/read-adapter.ts";
import { exportModel } from "../../src/cli/commands/export.ts";
import { runProgram } from "../../src/cli/program.ts";
import { createTerminal } from "../../src/cli/terminal.ts";
import { load } from "../../src/generate/load.ts";
import { loraTensors } from "../../src/model/lora.ts";
import { writeTinyCheckpoint } from "../generate/tiny-checkpoint.ts";
import { gaussian } from "../model/random-model.ts";

const scratch = mkdtempSync(join(tmpdir(), "cllm-export-"));
const tiny = writeTinyCheckpoint(join(scratch, "tiny"));
const lora = join(scratch, "lora");
afterAll(() => rmSync(scratch, { recursive: true, force: true }));

beforeAll(async () => {
  const { config, close } = await openCheckpoint(tiny);
  await close();
  const random = gaussian(5);
  const settings = { rank: 3, alpha: 6, targets: ["q_proj", "up_proj"] as const };
  const tensors = Array.from(loraTensors(config, settings), ([name, shape]) => ({
    name,
    shape,
    data: Float32Array.from({ length: shape[0]! * shape[1]! }, () => 0.3 * random()),
  }));
  await writeAdapter(lora, await adapterOf({ name: "lora", baseModel: "tiny", rank: 3, alpha: 6 }, tensors));
});

const defaults = { precision: "int8", threads: 1, quiet: true, verbose: false, color: false, dtype: "f32" } as const;

/** Runs the command and gives back what it writes. */
async function run(settings: Record<string, unknown>): Promise<string> {
  let written = "";
  const terminal = createTerminal({ json: true, quiet: true, color: false }, new AbortController().signal);
  const all = { ...defaults, json: true, overwrite: false, offline: true, model: tiny, ...settings };
  const write = (text: string): void => {
    written += text;
  };
  await exportModel.run(all, { ...terminal, write });
  return written;
}

async function tokensOf(path: string, adapter?: string): Promise<number[]> {
  await using model = await load(path, { precision: "fp32", threads: 1, adapter, cacheDir: scratch });
  const { tokens } = await model.generate({ prompt: "the and the", decoder: "ar", maxNewTokens: 24, ignoreEos: true });
  return [...tokens];
}

describe("a model and its exports", () => {
  test("say the same, through every format and back", async () => {
    const expected = await tokensOf(tiny);
    const report = JSON.parse(await run({ to: join(scratch, "hf") }));
    expect(report).toMatchObject({ path: join(scratch, "hf"), format: "huggingface", dtype: "f32", model: "tiny" });
    expect(report.bytes).toBeGreaterThan(100_000);
    await run({ to: join(scratch, "m.gguf"), model: join(scratch, "hf") });
    await run({ to: join(scratch, "back"), model: join(scratch, "m.gguf"), format: "huggingface" });
    for (const name of ["hf", "m.gguf", "back"]) expect(await tokensOf(join(scratch, name)), name).toEqual(expected);
  });

  test("with an adapter are what the model with the adapter is", async () => {
    const expected = await tokensOf(tiny, lora);
    expect(expected).not.toEqual(await tokensOf(tiny));
    await run({ to: join(scratch, "merged"), adapter: lora });
    await run({ to: join(scratch, "merged.gguf"), adapter: lora });
    await run({ to: join(scratch, "lora-again"), adapter: lora, format: "adapter" });
    await run({ to: join(scratch, "lora-named"), adapter: lora, format: "adapter", baseModel: "owner/base" });
    expect((await readAdapter(join(scratch, "lora-again"))).baseModel).toBe("tiny");
    expect((await readAdapter(join(scratch, "lora-named"))).baseModel).toBe("owner/base");
    expect(await tokensOf(join(scratch, "merged"))).toEqual(expected);
    expect(await tokensOf(join(scratch, "merged.gguf"))).toEqual(expected);
    expect(await tokensOf(tiny, join(scratch, "lora-again"))).toEqual(expected);
  });

  test("ONNX comes in a folder of its own", async () => {
    await run({ to: join(scratch, "onnx"), format: "onnx", dtype: "int8" });
    expect(readdirSync(join(scratch, "onnx"))).toEqual(expect.arrayContaining(["model.onnx", "model.onnx_data"]));
  });
});

describe("what cannot be is one error before any work", () => {
  test.each<[settings: Record<string, unknown>, code: string, message: RegExp]>([
    [{ to: tiny }, "usage", /exists/],
    [{ to: scratch, overwrite: true }, "usage", /holds no config\.json/],
    [{ to: join(scratch, "new"), dtype: "q8_0" }, "usage", /q8_0 is one of gguf/],
    [{ to: join(scratch, "new"), format: "adapter" }, "usage", /--adapter/],
    [{ to: join(scratch, "new"), baseModel: "owner/base" }, "usage", /--base-model is for --format adapter/],
    [{ to: join(scratch, "new"), adapter: join(scratch, "none") }, "not-found", /adapter_config\.json/],
    [{ to: join(scratch, "new"), model: join(scratch, "none.gguf") }, "not-found", /none\.gguf/],
  ])("%j", async (settings, code, message) => {
    await expect(run(settings)).rejects.toMatchObject({ code, message: expect.stringMatching(message) });
    expect(existsSync(join(scratch, "new"))).toBe(false);
  });

  test("an adapter for another base names both", async () => {
    const other = writeTinyCheckpoint(join(scratch, "other"));
    const tensors = [
      { name: "model.layers.0.self_attn.q_proj.lora_A.weight", shape: [2, 7], data: new Float32Array(14) },
      { name: "model.layers.0.self_attn.q_proj.lora_B.weight", shape: [9, 2], data: new Float32Array(18) },
    ];
    const stranger = join(scratch, "stranger");
    await writeAdapter(stranger, await adapterOf({ name: "s", baseModel: "big/model", rank: 2, alpha: 2 }, tensors));
    await expect(load(other, { adapter: stranger })).rejects.toMatchObject({ code: "bad-weights" });
    await expect(load(other, { adapter: stranger })).rejects.toThrow(/another model.*\[9,7\].*big\/model/);
  });

  test("its flags are checked as those of every command", async () => {
    const signal = new AbortController().signal;
    expect(await runProgram(["export", "--to", "x", "--dtype", "f64", "--json"], [exportModel], "0", signal)).toBe(2);
  });
});
