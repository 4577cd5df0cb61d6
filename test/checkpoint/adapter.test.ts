/** Adapters: merging equals dense addition, directories come back as they were written, and strangers are refused. */
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import fc from "fast-check";
import { afterAll, beforeEach, describe, expect, test } from "vitest";
import { adapterOf, withAdapter, writeAdapter } from "../../src/checkpoint/peft/adapter.ts";
import { readAdapter } from "../../src/checkpoint/peft/read-adapter.ts";
import type { Adapter } from "../../src/checkpoint/peft/types.ts";
import { LORA_TARGETS, type LoraTarget, loraTensors } from "../../src/model/lora.ts";
import type { NamedTensor } from "../../src/model/memory-weights.ts";
import { BASE, gaussian, randomWeights } from "../model/random-model.ts";
import { encodeSafetensors, type Tensor, temporaryFolder } from "./files.ts";

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
    message: expect.stringMatching(/lm_head.*one matrix.*target_modules/),
  };
  expect(() => withAdapter(tied, adapter)).toThrow(expect.objectContaining(failure));
  expect(withAdapter(randomWeights({ ...BASE, tiedHead: false }), adapter).has("lm_head.weight")).toBe(true);
});

describe("an embedding or a head that PEFT stores whole", () => {
  const untied = { ...BASE, tiedHead: false };
  const size = [BASE.vocabSize, BASE.hiddenSize];
  const matrix = (seed: number): Float32Array => {
    const random = gaussian(seed);
    return Float32Array.from({ length: BASE.vocabSize * BASE.hiddenSize }, random);
  };
  const save = (tensors: Record<string, Float32Array>, config: object = {}): string => {
    const pairs = randomTensors(2, ["q_proj"], 1).map(
      ({ name, shape, data }) => [`base_model.model.${name}`, { shape, values: Float32Array.from(data) }] as const,
    );
    const whole = Object.entries(tensors).map(([name, values]) => {
      const shape = name.includes("lora_A")
        ? [2, BASE.hiddenSize]
        : name.includes("lora_B")
          ? [BASE.vocabSize, 2]
          : size;
      return [`base_model.model.${name}.weight`, { shape, values }] as const;
    });
    writeFileSync(
      join(folder, "adapter_config.json"),
      JSON.stringify({ peft_type: "LORA", r: 2, lora_alpha: 2, ...config }),
    );
    writeFileSync(
      join(folder, "adapter_model.safetensors"),
      encodeSafetensors(new Map<string, Tensor>([...pairs, ...whole])),
    );
    return folder;
  };

  test("takes the place of the base's, with the adapter on it, whole and in rows", async () => {
    const [a, b] = [matrix(3).slice(0, 2 * BASE.hiddenSize), matrix(4).slice(0, 2 * BASE.vocabSize)];
    const tensors = {
      "lm_head.base_layer": matrix(1),
      "model.embed_tokens": matrix(2),
      "lm_head.lora_A": a,
      "lm_head.lora_B": b,
    };
    const adapter = await readAdapter(save(tensors, { modules_to_save: ["embed_tokens"] }));
    const weights = withAdapter(randomWeights(untied), adapter);
    expect(await weights.read("model.embed_tokens.weight")).toEqual(matrix(2));
    const head = matrix(1);
    for (let row = 0; row < BASE.vocabSize; row++) {
      for (let j = 0; j < BASE.hiddenSize; j++) {
        const low = b[row * 2]! * a[j]! + b[row * 2 + 1]! * a[BASE.hiddenSize + j]!;
        head[row * BASE.hiddenSize + j] = head[row * BASE.hiddenSize + j]! + low;
      }
    }
    const read = await weights.read("lm_head.weight");
    expect(read).toEqual(head);
    expect(await weights.read("lm_head.weight", 1, 3)).toEqual(read.slice(BASE.hiddenSize, 3 * BASE.hiddenSize));

    const to = join(folder, "again");
    await writeAdapter(to, adapter);
    const again = withAdapter(randomWeights(untied), await readAdapter(to));
    for (const name of again.names()) expect(await again.read(name)).toEqual(await weights.read(name));
  });

  test("of another size is refused by name", async () => {
    const adapter = await readAdapter(save({ lm_head: matrix(1) }));
    const bigger = randomWeights({ ...untied, vocabSize: BASE.vocabSize + 1 });
    expect(() => withAdapter(bigger, adapter)).toThrow(/another model: its lm_head is/);
  });

  test("where both are one matrix is taken where they agree, and refused where they part", async () => {
    const tied = randomWeights({ ...BASE, tiedHead: true });
    const both = await readAdapter(save({ lm_head: matrix(1), "model.embed_tokens": matrix(1) }));
    expect(await withAdapter(tied, both).read("model.embed_tokens.weight")).toEqual(matrix(1));
    const apart: Record<string, Float32Array>[] = [
      { lm_head: matrix(1), "model.embed_tokens": matrix(2) },
      { lm_head: matrix(1) },
      { "model.embed_tokens": matrix(1) },
      {
        "lm_head.base_layer": matrix(1),
        "lm_head.lora_A": new Float32Array(2 * BASE.hiddenSize),
        "lm_head.lora_B": new Float32Array(2 * BASE.vocabSize),
      },
    ];
    for (const tensors of apart) {
      const adapter = await readAdapter(save(tensors));
      const failure = { code: "unsupported", message: expect.stringContaining("one matrix in this model") };
      expect(() => withAdapter(tied, adapter)).toThrow(expect.objectContaining(failure));
    }
  });
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
    [{ modules_to_save: ["lm_head", "score"] }, "unsupported", /modules_to_save/],
    [{ use_qalora: true }, "unsupported", /use_qalora/],
    [{ lora_bias: true }, "unsupported", /lora_bias/],
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

  test("settings that say how training began, or that PEFT ignores for these matrices, ask for nothing", async () => {
    const more = { eva_config: { rho: 2 }, loftq_config: { loftq_bits: 4 }, fan_in_fan_out: true, modules_to_save: [] };
    const nulls = { base_model_name_or_path: null, use_rslora: null, lora_bias: false, target_parameters: null };
    expect((await readAdapter(save({ ...plain, ...more, ...nulls }))).modules.size).toBe(1);
    writeFileSync(
      join(folder, "adapter_config.json"),
      JSON.stringify({ ...plain, lora_dropout: 0 }).replace("0}", "NaN}"),
    );
    expect((await readAdapter(folder)).modules.size).toBe(1);
  });

  test.each([
    ["half of a pair", { [`${module}.lora_A.weight`]: A }, "bad-weights"],
    ["DoRA's magnitudes", { ...good, [`${module}.lora_magnitude_vector`]: A }, "unsupported"],
    ["an embedding's", { "base_model.model.model.embed_tokens.lora_embedding_A": A }, "unsupported"],
    [
      "an embedding's beside a copy of it",
      {
        ...good,
        "base_model.model.model.embed_tokens.base_layer.weight": A,
        "base_model.model.model.embed_tokens.lora_embedding_A": A,
      },
      "unsupported",
    ],
    ["a copy of another matrix", { ...good, "base_model.model.model.norm.weight": A }, "unsupported"],
    ["a copy alone", { "base_model.model.lm_head.weight": A }, "bad-weights"],
    ["a stranger's names", { "transformer.h.0.lora_A.weight": A }, "unsupported"],
    ["nothing", {}, "bad-weights"],
  ] as const)("tensors: %s", async (_, tensors, code) => {
    await expect(readAdapter(save(plain, tensors as Record<string, typeof A>))).rejects.toMatchObject({ code });
  });

  test("a folder that is none", async () => {
    await expect(readAdapter(folder)).rejects.toMatchObject({ code: "not-found" });
  });
});
