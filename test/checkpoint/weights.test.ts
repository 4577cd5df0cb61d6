/** Laws of `Weights`: reading back, reading in parts, and saying what is wrong; the same for both formats. */
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import fc from "fast-check";
import { afterAll, describe, expect, test } from "vitest";
import { describeCheckpoint } from "../../src/checkpoint/checkpoint.ts";
import { CODECS } from "../../src/checkpoint/codecs.ts";
import { readSafetensorsHeader } from "../../src/checkpoint/huggingface/safetensors.ts";
import { writeSafetensors } from "../../src/checkpoint/huggingface/write-safetensors.ts";
import type { Checkpoint } from "../../src/checkpoint/open.ts";
import { openCheckpoint } from "../../src/checkpoint/open.ts";
import { openEntries } from "../../src/checkpoint/open-entries.ts";
import { entriesOf, storedWeights } from "../../src/checkpoint/stored-weights.ts";
import { openBinaryFile } from "../../src/files/binary-file.ts";
import type { ModelConfig } from "../../src/model/config.ts";
import type { Tensor } from "./files.ts";
import {
  encodeSafetensors,
  ggufBytes,
  ggufMetadata,
  ggufTensors,
  randomFrom,
  TINY,
  temporaryFolder,
  tinyTensors,
  writeHuggingFace,
} from "./files.ts";

const folder = temporaryFolder();
afterAll(folder.remove);

const shapes = fc.array(fc.integer({ min: 1, max: 5 }), { maxLength: 3 });
const tensorMaps: fc.Arbitrary<Map<string, Tensor>> = fc
  .uniqueArray(fc.tuple(fc.string({ minLength: 1, maxLength: 9 }), shapes, fc.nat()), { selector: ([name]) => name })
  .map((entries) => new Map(entries.map(([name, shape, seed]) => [name, randomTensor(shape, seed)])))
  .filter((tensors) => !tensors.has("__metadata__"));

function randomTensor(shape: readonly number[], seed: number): Tensor {
  const random = randomFrom(seed);
  const length = shape.reduce((product, size) => product * size, 1);
  return { shape, values: Float32Array.from({ length }, () => random() - 0.5) };
}

test("safetensors: what is written is read, whole and in rows", async () => {
  const path = join(folder.path, "round-trip.safetensors");
  await fc.assert(
    fc.asyncProperty(tensorMaps, fc.nat(), async (tensors, seed) => {
      await writeSafetensors(
        path,
        Array.from(tensors, ([name, { shape, values: data }]) => ({ name, shape, data })),
      );
      const file = await openBinaryFile(path);
      const weights = storedWeights(await readSafetensorsHeader(file), file.close);
      expect([...weights.names()].sort()).toEqual([...tensors.keys()].sort());
      for (const [name, { shape, values }] of tensors) {
        expect(weights.shape(name)).toEqual(shape);
        expect(await weights.read(name)).toEqual(values);
        const rows = shape[0] ?? 1;
        const from = seed % (rows + 1);
        const columns = values.length / rows;
        expect(await weights.read(name, from)).toEqual(values.slice(from * columns));
        expect(await weights.read(name, 0, from)).toEqual(values.slice(0, from * columns));
      }
      await weights.close();
    }),
    { numRuns: 60 },
  );
});

async function openTiny(config: ModelConfig, format: "gguf" | "safetensors", seed: number): Promise<Checkpoint> {
  const tensors = tinyTensors(config, seed);
  if (format === "safetensors") {
    writeHuggingFace(folder.path, config, tensors);
    return openCheckpoint(folder.path);
  }
  const path = join(folder.path, "tiny.gguf");
  writeFileSync(path, ggufBytes({ metadata: ggufMetadata(config), tensors: ggufTensors(config, tensors) }));
  return openCheckpoint(path);
}

const variants: Record<string, ModelConfig> = {
  "llama, own head": TINY,
  "llama, tied head, one key head": { ...TINY, tiedHead: true, kvHeads: 1 },
  "llama with biases": { ...TINY, attentionBias: true, outputBias: true },
  "qwen2 (biases)": { ...TINY, family: "qwen2", attentionBias: true, tiedHead: true },
  "qwen3 (norms)": { ...TINY, family: "qwen3", queryKeyNorm: true, headSize: 16 },
};

describe.each(Object.entries(variants))("%s", (_, config) => {
  test("GGUF and safetensors give the same configuration and the same weights, whole and in rows", async () => {
    await fc.assert(
      fc.asyncProperty(fc.nat(), async (seed) => {
        const gguf = await openTiny(config, "gguf", seed);
        const huggingFace = await openTiny(config, "safetensors", seed);
        try {
          const { normEpsilon, ...rest } = gguf.config;
          expect(normEpsilon).toBeCloseTo(config.normEpsilon, 10); // GGUF stores it as float32
          expect({ ...rest, normEpsilon: config.normEpsilon }).toEqual(config);
          expect(huggingFace.config).toEqual(config);
          for (const [name, { shape, values }] of tinyTensors(config, seed)) {
            const columns = values.length / shape[0]!;
            const from = seed % shape[0]!;
            const to = from + 1 + (seed % (shape[0]! - from));
            for (const { weights } of [gguf, huggingFace]) {
              expect(weights.shape(name)).toEqual(shape);
              expect(await weights.read(name)).toEqual(values);
              expect(await weights.read(name, from, to)).toEqual(values.slice(from * columns, to * columns));
            }
          }
        } finally {
          await gguf.close();
          await huggingFace.close();
        }
      }),
      { numRuns: 6 },
    );
  });
});

test("rows of a quantized tensor are those rows of the whole, even where a row is no whole block", async () => {
  const path = join(folder.path, "blocks.bin");
  await fc.assert(
    fc.asyncProperty(
      fc.constantFrom("Q4_1", "Q8_0", "Q4_0", "F16"),
      fc.integer({ min: 1, max: 7 }),
      fc.nat(),
      async (dtype, blocks, seed) => {
        const codec = CODECS.get(dtype)!;
        const random = randomFrom(seed);
        const bytes = Uint8Array.from({ length: blocks * codec.blockBytes * 8 }, () => random() * 0x38); // finite halves
        writeFileSync(path, bytes);
        const file = await openBinaryFile(path);
        const elements = blocks * 8 * codec.blockSize;
        const shape = [elements / 8, 8];
        const tensor = { name: "t", shape, dtype, codec, file, offset: 0, byteLength: bytes.length };
        const weights = storedWeights([tensor], file.close);
        const whole = await weights.read("t");
        const from = seed % shape[0]!;
        const to = from + (seed % (shape[0]! - from + 1));
        expect(await weights.read("t", from, to)).toEqual(whole.slice(from * 8, to * 8));
        await weights.close();
      },
    ),
    { numRuns: 60 },
  );
});

test("F16 and BF16 safetensors are read as float32", async () => {
  const tensors = tinyTensors(TINY);
  writeHuggingFace(folder.path, TINY, tensors);
  const upper = (values: Float32Array): [string, Uint8Array] => {
    const halves = new Uint16Array(values.buffer).filter((_, i) => i % 2 === 1);
    return ["BF16", new Uint8Array(halves.buffer)];
  };
  writeFileSync(join(folder.path, "model.safetensors"), encodeSafetensors(tensors, upper));
  const { weights, ...checkpoint } = await openCheckpoint(folder.path);
  for (const [name, { values }] of tensors) {
    expect(weights.dtype(name)).toBe("BF16");
    const expected = values.slice();
    new Uint16Array(expected.buffer).forEach((_, i, halves) => {
      if (i % 2 === 0) halves[i] = 0;
    });
    expect(await weights.read(name)).toEqual(expected);
  }
  await checkpoint.close();
});

test("NaN and infinity are errors that name tensor and index", async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.constantFrom(Number.NaN, Infinity, -Infinity),
      fc.nat(TINY.hiddenSize * TINY.intermediateSize - 1),
      async (value, index) => {
        const tensors = tinyTensors(TINY);
        const name = "model.layers.1.mlp.up_proj.weight";
        tensors.get(name)!.values[index] = value;
        writeHuggingFace(folder.path, TINY, tensors);
        const { weights, close } = await openCheckpoint(folder.path);
        const row = Math.floor(index / TINY.hiddenSize);
        const damaged = {
          code: "bad-weights",
          message: expect.stringMatching(`${name} .* is ${value} at index ${index};`),
        };
        await expect(weights.read(name)).rejects.toMatchObject(damaged);
        await expect(weights.read(name, row, row + 1)).rejects.toMatchObject(damaged);
        expect((await weights.read(name, row + 1)).every(Number.isFinite)).toBe(true);
        await close();
      },
    ),
    { numRuns: 20 },
  );
});

test("unknown names suggest near ones; wrong rows and closed files are errors", async () => {
  const { weights, close } = await openTiny(TINY, "safetensors", 1);
  expect(() => weights.shape("model.layer.0.input_layernorm.weight")).toThrowError(
    expect.objectContaining({
      code: "bad-weights",
      message: expect.stringContaining("model.layers.0.input_layernorm"),
    }),
  );
  for (const [from, to] of [
    [-1, 1],
    [0, 13],
    [3, 2],
    [0.5, 1],
  ] as const) {
    await expect(weights.read("lm_head.weight", from, to)).rejects.toMatchObject({ code: "bad-input" });
  }
  await close();
  await close();
  await expect(weights.read("lm_head.weight")).rejects.toMatchObject({ code: "disposed" });
});

describe("by what another thread is told of tensors", () => {
  test.each(["gguf", "safetensors"] as const)("a %s checkpoint gives the same weights", async (format) => {
    const { weights, close } = await openTiny(TINY, format, 3);
    const again = await openEntries(structuredClone(entriesOf(weights)));
    try {
      expect(again.names()).toEqual(weights.names());
      for (const name of weights.names()) {
        expect(again.dtype(name)).toBe(weights.dtype(name));
        expect(await again.read(name)).toEqual(await weights.read(name));
        const row = Math.floor((weights.shape(name)[0] ?? 1) / 3);
        expect(await again.read(name, row, row + 1)).toEqual(await weights.read(name, row, row + 1));
      }
    } finally {
      await again.close();
      await close();
    }
  });

  test("a file that has another size meanwhile is an error that says so", async () => {
    const { weights, close } = await openTiny(TINY, "safetensors", 3);
    const entries = entriesOf(weights).map((entry) => ({ ...entry, file: { ...entry.file, size: 17 } }));
    await expect(openEntries(entries)).rejects.toMatchObject({
      code: "bad-file",
      message: expect.stringMatching(/had 17 bytes and has \d+: load the model again/),
    });
    await close();
  });
});

test("arrays that are read again may be used again once the reader is done with them, and not before", async () => {
  const { weights, close } = await openTiny(TINY, "gguf", 1);
  const name = "model.layers.0.mlp.down_proj.weight";
  const expected = await weights.read(name);
  weights.recycle?.();
  const [first, second] = [await weights.read(name), await weights.read(name)];
  expect(second).not.toBe(first);
  weights.recycle?.();
  const third = await weights.read(name);
  expect([first, second]).toContain(third);
  expect(third).toEqual(expected);
  await close();
});

test("a file cut short after opening is an error, not a wrong value", async () => {
  const { weights, close } = await openTiny(TINY, "gguf", 1);
  const path = join(folder.path, "tiny.gguf");
  writeFileSync(path, readFileSync(path).subarray(0, 4096));
  await expect(weights.read("lm_head.weight")).rejects.toMatchObject({ code: "bad-file" });
  await close();
});

test("facts count every parameter once and add up", async () => {
  const checkpoint = await openTiny(TINY, "gguf", 1);
  const facts = describeCheckpoint(checkpoint);
  const elements = [...tinyTensors(TINY).values()].reduce((sum, { values }) => sum + values.length, 0);
  expect(facts).toMatchObject({ name: "tiny", format: "gguf", parameters: elements, byteLength: elements * 4 });
  expect(facts.dtypes).toEqual([{ dtype: "F32", tensors: tinyTensors(TINY).size, parameters: elements }]);
  await checkpoint.close();
});
