/**
 * Writing checkpoints: what is written opens as what was meant, of every family, in every format, and nothing is left of
 * what fails.
 */
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import fc from "fast-check";
import { afterAll, beforeEach, describe, expect, test } from "vitest";
import { writeGguf } from "../../src/checkpoint/gguf/write.ts";
import { writeHuggingFace } from "../../src/checkpoint/huggingface/write.ts";
import { writeSafetensors } from "../../src/checkpoint/huggingface/write-safetensors.ts";
import { openCheckpoint } from "../../src/checkpoint/open.ts";
import { namedScaling, ropeDivisors } from "../../src/checkpoint/rope-divisors.ts";
import type { TokenizerSource } from "../../src/checkpoint/tokenizer-source.ts";
import type { ModelConfig } from "../../src/model/config.ts";
import { FAMILY_NAMES, familyOf } from "../../src/model/families/index.ts";
import { ropeFrequencies } from "../../src/model/rope.ts";
import { expectedTensors } from "../../src/model/tensors.ts";
import type { Weights } from "../../src/model/weights.ts";
import { toGgufTokenizer } from "../../src/text/to-gguf.ts";
import { toHuggingFaceTokenizer } from "../../src/text/to-huggingface.ts";
import { createTokenizer } from "../../src/text/tokenizer.ts";
import { tinyTokenizerSource } from "../generate/tiny-checkpoint.ts";
import { BASE, configs, randomWeights } from "../model/random-model.ts";
import { temporaryFolder } from "./files.ts";

const root = temporaryFolder();
afterAll(root.remove);
let count = 0;
let folder = "";
beforeEach(() => {
  folder = join(root.path, String(count++));
  mkdirSync(folder);
});

const { source: tokenizer, vocabSize } = tinyTokenizerSource();
const ids = { bosTokenId: vocabSize - 3, eosTokenIds: [vocabSize - 1] };
/** Every family, with embeddings that have no token at the end. */
const models: fc.Arbitrary<ModelConfig> = fc
  .tuple(fc.constantFrom(...FAMILY_NAMES).chain(configs), fc.constantFrom(0, 5), fc.boolean())
  .map(([config, more, several]) => {
    const eosTokenIds = several ? [vocabSize - 1, vocabSize - 3] : [vocabSize - 1];
    const drafts = more > 0 ? { draftTokenId: vocabSize - 2, ...(several && { leadingDraft: true }) } : {};
    return { ...config, ...ids, eosTokenIds, ...drafts, vocabSize: vocabSize + more };
  });
const TEXTS = ["and the thing in\n\nthe  ring", " <|im_start|>user\nnaïve 日本<|im_end|>", ""];

function idsOf(source: TokenizerSource, config: ModelConfig): number[][] {
  const made = createTokenizer(source, config.vocabSize);
  return TEXTS.flatMap((text) => [[...made.encode(text)], [...made.encode(text, { addSpecialTokens: false })]]);
}

async function expectSameTensors(
  config: ModelConfig,
  written: Weights,
  meant: Weights,
  digits?: number,
): Promise<void> {
  for (const [name] of expectedTensors(config)) {
    const [back, values] = [await written.read(name), await meant.read(name)];
    const added = config.normsAddOne && name.endsWith("norm.weight"); // GGUF files hold 1 + weight, which rounds
    if (digits === undefined && !added) expect(back, name).toEqual(values);
    else for (const [i, value] of values.entries()) expect(back[i], name).toBeCloseTo(value, digits ?? 6);
  }
}

describe("a Hugging Face directory", () => {
  test("opens as the configuration, tensors and tokenizer that were written", async () => {
    await fc.assert(
      fc.asyncProperty(models, fc.nat(), async (config, seed) => {
        const to = join(folder, String(count++));
        const weights = randomWeights(config, { seed });
        await writeHuggingFace(to, { config, weights, tokenizer, card: "# A model", files: { "more.txt": "more" } });
        const opened = await openCheckpoint(to);
        expect(opened.config).toEqual(config);
        await expectSameTensors(config, opened.weights, weights);
        expect(idsOf(opened.tokenizer, config)).toEqual(idsOf(tokenizer, config));
        expect(opened.tokenizer.chatTemplate).toBe(tokenizer.chatTemplate);
        expect(readFileSync(join(to, "README.md"), "utf8")).toBe("# A model");
        expect(readFileSync(join(to, "more.txt"), "utf8")).toBe("more");
        await opened.close();
      }),
      { numRuns: 15 },
    );
  });

  test.each(["F16", "BF16"] as const)("in %s has half the bytes and nearly the numbers", async (dtype) => {
    const config = { ...BASE, ...ids, vocabSize };
    const weights = randomWeights(config);
    const to = join(folder, dtype);
    await writeHuggingFace(to, { config, weights, tokenizer }, { dtype });
    const opened = await openCheckpoint(to);
    expect(opened.weights.byteLength * 2).toBe(weights.byteLength);
    expect(opened.weights.dtype("model.norm.weight")).toBe(dtype);
    await expectSameTensors(config, opened.weights, weights, dtype === "F16" ? 2 : 1);
    await opened.close();
  });

  test("takes no other's place unless it is told to, and then only a model's", async () => {
    const config = { ...BASE, ...ids, vocabSize };
    const content = (seed: number) => ({ config, weights: randomWeights(config, { seed }), tokenizer });
    const to = join(folder, "model");
    await writeHuggingFace(`${to}/`, content(1));
    const before = readFileSync(join(to, "model.safetensors"));
    await expect(writeHuggingFace(to, content(2))).rejects.toMatchObject({ code: "usage" });
    expect(readFileSync(join(to, "model.safetensors"))).toEqual(before);
    await writeHuggingFace(to, content(2), { overwrite: true });
    expect(readFileSync(join(to, "model.safetensors"))).not.toEqual(before);
    const other = join(folder, "other");
    mkdirSync(other);
    await writeHuggingFace(other, content(1)); // empty: nothing is lost
    const precious = join(folder, "precious");
    mkdirSync(precious);
    writeFileSync(join(precious, "thesis.tex"), "");
    await expect(writeHuggingFace(precious, content(1), { overwrite: true })).rejects.toMatchObject({ code: "usage" });
    expect(readdirSync(folder).sort()).toEqual(["model", "other", "precious"]);
    expect(readdirSync(precious)).toEqual(["thesis.tex"]);
  });

  test("that cannot be finished leaves nothing, and what was there stays", async () => {
    const config = { ...BASE, ...ids, vocabSize };
    const good = { config, weights: randomWeights(config), tokenizer };
    const to = join(folder, "model");
    await writeHuggingFace(to, good);
    const damaged = { ...good, weights: failingAfter(good.weights, 4) };
    await expect(writeHuggingFace(to, damaged, { overwrite: true })).rejects.toMatchObject({ code: "disk" });
    await expect(writeHuggingFace(join(folder, "new"), damaged)).rejects.toMatchObject({ code: "disk" });
    const signal = AbortSignal.abort();
    await expect(writeHuggingFace(join(folder, "new"), good, { signal })).rejects.toMatchObject({ code: "aborted" });
    expect(readdirSync(folder)).toEqual(["model"]);
    const opened = await openCheckpoint(to);
    await expectSameTensors(config, opened.weights, good.weights);
    await opened.close();
  });

  test("a configuration without words there is refused by name, before anything is written", async () => {
    const odd = { ...BASE, ...ids, vocabSize, attentionBias: true }; // Llama's class has biases in all or none
    const content = { config: odd, weights: randomWeights(odd), tokenizer };
    await expect(writeHuggingFace(join(folder, "x"), content)).rejects.toThrow(/outputBias/);
    const divisors = Array.from({ length: 8 }, (_, j) => 1 + j * j);
    const stretched: ModelConfig = { ...BASE, ...ids, vocabSize, ropeScaling: { type: "divisors", divisors } };
    const other = { config: stretched, weights: randomWeights(stretched), tokenizer };
    await expect(writeHuggingFace(join(folder, "x"), other)).rejects.toMatchObject({ code: "unsupported" });
    expect(readdirSync(folder)).toEqual([]);
  });
});

/** Weights whose reading fails after some tensors, as writing does on a full disk. */
function failingAfter(weights: Weights, tensors: number): Weights {
  let left = tensors;
  return {
    ...weights,
    read: (name, from, to) => {
      if (left-- > 0) return weights.read(name, from, to);
      throw Object.assign(new Error("ENOSPC: no space left on device"), { code: "ENOSPC" });
    },
  };
}

describe("a GGUF file", () => {
  test("opens as the configuration, tensors and tokenizer that were written, or is refused", async () => {
    await fc.assert(
      fc.asyncProperty(models, fc.nat(), async (config, seed) => {
        const path = join(folder, `${count++}.gguf`);
        const weights = randomWeights(config, { seed });
        const content = { name: "tiny", config, weights, tokenizer: toGgufTokenizer(tokenizer, config.vocabSize) };
        if (familyOf(config).gguf.missing(config) !== null) {
          await expect(writeGguf(path, content)).rejects.toMatchObject({ code: "unsupported" });
          expect(existsSync(path)).toBe(false);
          return;
        }
        await writeGguf(path, content);
        const opened = await openCheckpoint(path);
        expect(comparable(opened.config)).toEqual(comparable(config));
        const frequencies = [...ropeFrequencies(config)].map((f) => expect.closeTo(f, 6));
        expect([...ropeFrequencies(opened.config)]).toEqual(frequencies);
        await expectSameTensors(config, opened.weights, weights);
        expect(idsOf(opened.tokenizer, config)).toEqual(idsOf(tokenizer, config));
        expect(opened.tokenizer.chatTemplate).toBe(tokenizer.chatTemplate);
        await opened.close();
      }),
      { numRuns: 15 },
    );
  });

  /** Without what GGUF says in other words, and in single precision. */
  function comparable({ ropeScaling, eosTokenIds, ...config }: ModelConfig): object {
    const family = config.family === "mistral" ? "llama" : config.family;
    const ends = new Set([...eosTokenIds, ...ids.eosTokenIds, ids.bosTokenId]); // <|endoftext|> and <|im_end|> by name
    const single = { normEpsilon: Math.fround(config.normEpsilon), ropeTheta: Math.fround(config.ropeTheta) };
    const all = Array<boolean>(config.layers).fill(true);
    const { slidingLayers = all, rotatedLayers = all, slidingWindow } = config;
    const layers = { rotatedLayers, slidingLayers: slidingWindow === null ? all : slidingLayers };
    const scales = Object.fromEntries(
      (["embeddingScale", "attentionScale", "residualScale", "logitScale", "attentionCap", "logitCap"] as const).map(
        (key) => [
          key,
          Math.fround(config[key] ?? (key === "attentionScale" ? config.headSize ** -0.5 : 1)).toPrecision(6),
        ],
      ),
    );
    return { ...config, family, ...single, ...layers, ...scales, ends: [...ends].sort() };
  }

  test("in Q8_0 keeps vectors exact, and matrices of odd widths in F16", async () => {
    const config = { ...BASE, ...ids, vocabSize, hiddenSize: 64, intermediateSize: 56 };
    const weights = randomWeights(config);
    const path = join(folder, "q8.gguf");
    const content = { name: "tiny", config, weights, tokenizer: toGgufTokenizer(tokenizer, vocabSize) };
    await writeGguf(path, content, { dtype: "Q8_0" });
    const opened = await openCheckpoint(path);
    expect(opened.weights.dtype("model.layers.0.self_attn.q_proj.weight")).toBe("Q8_0");
    expect(opened.weights.dtype("model.layers.0.mlp.down_proj.weight")).toBe("F16"); // rows of 56
    expect(await opened.weights.read("model.norm.weight")).toEqual(await weights.read("model.norm.weight"));
    await expectSameTensors(config, opened.weights, weights, 1);
    expect(opened.weights.blocks?.("model.layers.0.mlp.down_proj.weight")).toBeNull();
    for (const part of ["q_proj", "v_proj", "o_proj"]) {
      // the file interleaves the rows of queries
      const name = `model.layers.1.self_attn.${part}.weight`;
      const { scales, offsets } = await opened.weights.blocks!(name)!.parameters();
      const codes = (await opened.weights.read(name)).map((value, i) => (value - offsets[i >> 5]!) / scales[i >> 5]!);
      expect(scales).toHaveLength(codes.length / 32);
      for (const code of codes) expect(Math.abs(code - Math.round(code))).toBeLessThan(1e-3);
      expect([Math.min(...codes), Math.max(...codes)].map(Math.round)).toEqual([1, 255]);
    }
    await opened.close();
  });

  test("takes no other's place unless it is told to, and leaves nothing of what fails", async () => {
    const config = { ...BASE, ...ids, vocabSize };
    const weights = randomWeights(config);
    const content = { name: "tiny", config, weights, tokenizer: toGgufTokenizer(tokenizer, vocabSize) };
    const path = join(folder, "m.gguf");
    await writeGguf(path, content);
    await expect(writeGguf(path, content)).rejects.toMatchObject({ code: "usage" });
    const bytes = readFileSync(path);
    const failing = { ...content, weights: failingAfter(weights, 4) };
    await expect(writeGguf(path, failing, { overwrite: true })).rejects.toMatchObject({ code: "disk" });
    expect(readFileSync(path)).toEqual(bytes);
    expect(readdirSync(folder)).toEqual(["m.gguf"]);
  });
});

describe("rotary scaling", () => {
  test("Llama 3's constants come back from the divisors that GGUF stores", () => {
    for (const [factor, original] of [
      [8, 8192],
      [32, 8192],
      [2, 4096],
    ] as const) {
      const constants = { lowFrequencyFactor: 1, highFrequencyFactor: 4, originalContextLength: original };
      const scaling = { type: "llama3" as const, factor, ...constants };
      const config = { ...BASE, headSize: 128, ropeTheta: 500_000, ropeScaling: scaling };
      const stored = Array.from(Float32Array.from(ropeDivisors(config)));
      expect(namedScaling(config, stored)).toEqual({ scaling });
    }
    expect(namedScaling(BASE, new Array(8).fill(1))).toEqual({ scaling: null });
  });
});

describe("a model that goes from one format to the other and back", () => {
  test("is the same model", async () => {
    const config = { ...BASE, ...ids, vocabSize: vocabSize + 3 };
    const weights = randomWeights(config);
    await writeHuggingFace(join(folder, "a"), { config, weights, tokenizer });
    const a = await openCheckpoint(join(folder, "a"));
    const gguf = toGgufTokenizer(a.tokenizer, config.vocabSize);
    await writeGguf(join(folder, "b.gguf"), { name: "b", config: a.config, weights: a.weights, tokenizer: gguf });
    const b = await openCheckpoint(join(folder, "b.gguf"));
    const back = toHuggingFaceTokenizer(b.tokenizer, b.config);
    await writeHuggingFace(join(folder, "c"), { config: b.config, weights: b.weights, tokenizer: back });
    const c = await openCheckpoint(join(folder, "c"));
    expect(c.config).toEqual({ ...b.config, ropeScaling: null });
    await expectSameTensors(config, c.weights, weights);
    expect(idsOf(c.tokenizer, config)).toEqual(idsOf(tokenizer, config));
    for (const checkpoint of [a, b, c]) await checkpoint.close();
  });
});

test("a disk without room is one error before anything is written", async () => {
  const config = { ...BASE, ...ids, vocabSize };
  const shape = [2 ** 40, 2 ** 10]; // a petabyte and more
  const read = (): Promise<Float32Array> => Promise.reject(new Error("nothing should be read"));
  const huge = { names: () => ["a"], shape: () => shape, read };
  await expect(writeSafetensors(join(folder, "a.safetensors"), huge)).rejects.toMatchObject({ code: "disk" });
  await expect(writeSafetensors(join(folder, "a.safetensors"), huge)).rejects.toThrow(/a\.safetensors takes \d+ bytes/);
  const good = { config, weights: failingAfter(randomWeights(config), 3), tokenizer };
  await expect(writeHuggingFace(join(folder, "m"), good)).rejects.toThrow(/m\/model\.safetensors cannot be written/);
  expect(readdirSync(folder)).toEqual([]);
});
