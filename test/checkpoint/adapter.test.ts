/** Adapters: merging equals dense addition, directories come back as they were written, and strangers are refused. */
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import fc from "fast-check";
import { afterAll, beforeEach, describe, expect, test } from "vitest";
import { adapterOf, readAdapter, withAdapter, writeAdapter } from "../../src/checkpoint/peft/adapter.ts";
import type { Adapter } from "../../src/checkpoint/peft/types.ts";
import { LORA_TARGETS, type LoraTarget, loraTensors } from "../../src/model/lora.ts";
import type { NamedTensor } from "../../src/model/memory-weights.ts";
import { BASE, gaussian, randomWeights } from "../model/random-model.ts";
import { encodeSafetensors, temporaryFolder } from "./files.ts";

const root = temporaryFolder();
afterAll(root.remove);
let count = 0;
let folder = "";
beforeEach(() => {
  folder = join(root.path, String(count++));
  mkdirSync(folder);
});

function randomTensors(rank: number, targets: readonly LoraTarget[], seed: number): NamedTensor[] {
  const random = gaussian(seed);
  return Array.from(loraTensors(BASE, { rank, alpha: 1, targets }), ([name, shape]) => {
    const length = shape.reduce((product, size) => product * size, 1);
    return { name, shape, data: Float32Array.from({ length }, random) };
  });
}

const adapters: fc.Arbitrary<{ adapter: Promise<Adapter>; tensors: NamedTensor[]; scale: number }> = fc
  .record({
    rank: fc.integer({ min: 1, max: 6 }),
    alpha: fc.constantFrom(1, 16, 0.5),
    rankStabilized: fc.boolean(),
    targets: fc.subarray([...LORA_TARGETS], { minLength: 1 }),
    seed: fc.nat(),
  })
  .map(({ rank, alpha, rankStabilized, targets, seed }) => {
    const tensors = randomTensors(rank, targets, seed);
    const adapter = adapterOf({ name: "tiny", baseModel: "some/base", rank, alpha, rankStabilized }, tensors);
    return { adapter, tensors, scale: rankStabilized ? alpha / Math.sqrt(rank) : alpha / rank };
  });

test("merging adds scale · B A to what it belongs to, and to nothing else, whole and in rows", async () => {
  const weights = randomWeights(BASE);
  await fc.assert(
    fc.asyncProperty(adapters, fc.nat(), async ({ adapter, tensors, scale }, row) => {
      const merged = withAdapter(weights, await adapter);
      const find = (name: string): NamedTensor | undefined => tensors.find((tensor) => tensor.name === name);
      for (const name of weights.names()) {
        const plain = await weights.read(name);
        const module = name.replace(/\.weight$/, "");
        const [a, b] = [find(`${module}.lora_A.weight`), find(`${module}.lora_B.weight`)];
        const [rows = 1, columns = 1] = weights.shape(name);
        const whole = await merged.read(name);
        if (a && b) {
          const rank = a.shape[0]!;
          for (let i = 0; i < plain.length; i++) {
            let sum = 0;
            for (let k = 0; k < rank; k++) {
              sum += b.data[Math.floor(i / columns) * rank + k]! * a.data[k * columns + (i % columns)]!;
            }
            plain[i] = plain[i]! + scale * sum; // rounded once, as merging does
          }
        }
        expect(whole, name).toEqual(plain);
        const from = row % rows;
        expect(await merged.read(name, from), name).toEqual(whole.slice(from * (whole.length / rows)));
      }
    }),
    { numRuns: 10 },
  );
});

test("a directory comes back as the adapter that was written", async () => {
  await fc.assert(
    fc.asyncProperty(adapters, adapters, async (first, second) => {
      // Two adapters in one: modules of their own ranks and alphas.
      const [one, two] = [await first.adapter, await second.adapter];
      const modules = new Map([...one.modules, ...two.modules]);
      for (const [name, module] of modules) {
        const root = one.rankStabilized ? Math.sqrt(module.rank) : module.rank;
        modules.set(name, { ...module, scale: module.alpha / root });
      }
      const to = join(folder, String(count++));
      await writeAdapter(to, { ...one, modules });
      const back = await readAdapter(to);
      expect(back.baseModel).toBe("some/base");
      expect(back.rankStabilized).toBe(one.rankStabilized);
      expect(new Map([...back.modules].sort())).toEqual(new Map([...modules].sort()));
    }),
    { numRuns: 15 },
  );
});

test("is written in PEFT's words", async () => {
  const adapter = await adapterOf(
    { name: "tiny", baseModel: "b", rank: 4, alpha: 8 },
    randomTensors(4, ["q_proj", "down_proj"], 1),
  );
  await writeAdapter(join(folder, "a"), adapter, { card: "# Card" });
  expect(readdirSync(join(folder, "a")).sort()).toEqual([
    "README.md",
    "adapter_config.json",
    "adapter_model.safetensors",
  ]);
  expect(JSON.parse(readFileSync(join(folder, "a", "adapter_config.json"), "utf8"))).toMatchObject({
    peft_type: "LORA",
    task_type: "CAUSAL_LM",
    base_model_name_or_path: "b",
    r: 4,
    lora_alpha: 8,
    target_modules: ["q_proj", "down_proj"],
    rank_pattern: {},
    bias: "none",
  });
  const header = readFileSync(join(folder, "a", "adapter_model.safetensors")).toString("latin1");
  expect(header).toContain('"base_model.model.model.layers.0.self_attn.q_proj.lora_A.weight"');
  await expect(writeAdapter(join(folder, "a"), adapter)).rejects.toMatchObject({ code: "usage" });
  await writeAdapter(join(folder, "a"), adapter, { overwrite: true, dtype: "BF16" });
  expect(readdirSync(folder)).toEqual(["a"]);
});

describe("an adapter for another base is refused by name", () => {
  test("where the shapes differ, or the modules", async () => {
    const adapter = await adapterOf(
      { name: "mine", baseModel: "big/model", rank: 2, alpha: 2 },
      randomTensors(2, ["v_proj"], 1),
    );
    const wider = randomWeights({ ...BASE, hiddenSize: 64 });
    expect(() => withAdapter(wider, adapter)).toThrow(
      /mine is for another model.*v_proj.*\[32,40\].*\[32,64\].*big\/model/,
    );
    const shallower = randomWeights({ ...BASE, layers: 1 });
    expect(() => withAdapter(shallower, adapter)).toThrow(/no model\.layers\.1\.self_attn\.v_proj\.weight/);
  });
});

test("an adapter of a head that is the embedding is refused with what to do", async () => {
  const tied = randomWeights({ ...BASE, tiedHead: true });
  const [rows, columns] = [BASE.vocabSize, BASE.hiddenSize];
  const tensors = [
    { name: "lm_head.lora_A.weight", shape: [1, columns], data: new Float32Array(columns) },
    { name: "lm_head.lora_B.weight", shape: [rows, 1], data: new Float32Array(rows) },
  ];
  const adapter = await adapterOf({ name: "mine", rank: 1, alpha: 1 }, tensors);
  const failure = {
    code: "unsupported",
    message: expect.stringMatching(/lm_head.*shares with its embedding.*target_modules/),
  };
  expect(() => withAdapter(tied, adapter)).toThrow(expect.objectContaining(failure));
  expect(withAdapter(randomWeights({ ...BASE, tiedHead: false }), adapter).has("lm_head.weight")).toBe(true);
});

describe("what is more than plain LoRA, or damaged, is refused by name", () => {
  const A = { shape: [2, 40], values: new Float32Array(80).fill(0.5) };
  const B = { shape: [32, 2], values: new Float32Array(64).fill(0.5) };
  const module = "base_model.model.model.layers.0.self_attn.v_proj";
  const good = { [`${module}.lora_A.weight`]: A, [`${module}.lora_B.weight`]: B };
  const plain = { peft_type: "LORA", r: 2, lora_alpha: 4 };

  function save(config: object, tensors: Record<string, typeof A> = good): string {
    writeFileSync(join(folder, "adapter_config.json"), JSON.stringify(config));
    writeFileSync(join(folder, "adapter_model.safetensors"), encodeSafetensors(new Map(Object.entries(tensors))));
    return folder;
  }

  test("the plain one is taken, with what PEFT writes beside", async () => {
    const more = { eva_config: null, loftq_config: {}, use_dora: false, task_type: "CAUSAL_LM", lora_dropout: 0.1 };
    const patterns = { alpha_pattern: { "layers.0.self_attn.v_proj": 6 } };
    const { modules } = await readAdapter(save({ ...plain, ...more, ...patterns, target_modules: "all-linear" }));
    expect(modules.get("model.layers.0.self_attn.v_proj")).toMatchObject({ rank: 2, alpha: 6, scale: 3 });
  });

  test.each([
    [{ use_dora: true }, "unsupported", /use_dora/],
    [{ bias: "all" }, "unsupported", /bias all/],
    [{ modules_to_save: ["lm_head"] }, "unsupported", /modules_to_save/],
    [{ fan_in_fan_out: true }, "unsupported", /fan_in_fan_out/],
    [{ trainable_token_indices: [1] }, "unsupported", /trainable_token_indices/],
    [{ init_lora_weights: "pissa" }, "unsupported", /pissa/],
    [{ peft_type: "IA3" }, "unsupported", /IA3/],
    [{ something_new: { on: true } }, "unsupported", /something_new/],
    [{ alpha_pattern: { "(a+)+": 1 } }, "unsupported", /alpha_pattern/],
    [{ r: 0 }, "bad-file", /r:/],
    [{ r: 3 }, "bad-weights", /rank 3/],
  ] as const)("%j", async (change, code, message) => {
    const failure = readAdapter(save({ ...plain, ...change }));
    await expect(failure).rejects.toMatchObject({ code, message: expect.stringMatching(message) });
  });

  test.each([
    ["half of a pair", { [`${module}.lora_A.weight`]: A }, "bad-weights"],
    ["DoRA's magnitudes", { ...good, [`${module}.lora_magnitude_vector`]: A }, "unsupported"],
    ["an embedding's", { "base_model.model.model.embed_tokens.lora_embedding_A": A }, "unsupported"],
    ["a stranger's names", { "transformer.h.0.lora_A.weight": A }, "unsupported"],
    ["nothing", {}, "bad-weights"],
  ] as const)("tensors: %s", async (_, tensors, code) => {
    await expect(readAdapter(save(plain, tensors as Record<string, typeof A>))).rejects.toMatchObject({ code });
  });

  test("a folder that is none", async () => {
    await expect(readAdapter(folder)).rejects.toMatchObject({ code: "not-found" });
  });
});
