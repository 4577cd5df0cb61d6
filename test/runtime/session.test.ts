/**
 * What decoding relies on, on random models in every precision: rows of a chain keep their bits however the sequence is cut
 * into passes, side rows see the cached sequence and their ancestors, and nothing leaves a trace that should not.
 */
import fc from "fast-check";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { ModelConfig } from "../../src/model/config.ts";
import { PRECISIONS, type Precision } from "../../src/model/precision.ts";
import type { Weights } from "../../src/model/weights.ts";
import { buildGraph } from "../../src/runtime/build-graph.ts";
import { cpu } from "../../src/runtime/devices/cpu.ts";
import type { Device } from "../../src/runtime/devices/device.ts";
import { web } from "../../src/runtime/devices/web.ts";
import { createEngine, type Engine } from "../../src/runtime/engine.ts";
import { openSession } from "../../src/runtime/onnx-session.ts";
import { single } from "../../src/runtime/pass-runner.ts";
import type { Session, TokenIds } from "../../src/runtime/session.ts";
import { BASE, gaussian, inBlocks, randomIds, randomWeights } from "../model/random-model.ts";

const ZERO_ID = 7;
const MODELS: Readonly<Record<string, ModelConfig>> = {
  llama: { ...BASE, contextLength: 700 },
  mistral: { ...BASE, family: "mistral", contextLength: 700, slidingWindow: 20, tiedHead: false, kvHeads: 4 },
  qwen3: { ...BASE, family: "qwen3", contextLength: 700, queryKeyNorm: true, kvHeads: 1, hiddenSize: 64 },
  // Heads that are too large for sums of one piece, and layers with and without a window.
  gemma3: {
    ...{ ...BASE, family: "gemma3_text", contextLength: 700, headSize: 256, heads: 2, kvHeads: 1, queryKeyNorm: true },
    ...{ normPlace: "both", normsAddOne: true, activation: "gelu", embeddingScale: 5, attentionScale: 0.1 },
    ...{ slidingWindow: 20, slidingLayers: [true, false], slidingRopeTheta: 700 },
  },
};
/** What keeps its bits: every precision, and int8 as it is in models whose matrices are large. */
const KINDS: readonly { kind: string; precision: Precision; wholeWeights?: number; device?: Device }[] = [
  ...PRECISIONS.map((precision) => ({ kind: precision, precision })),
  ...PRECISIONS.map((precision) => ({
    kind: `${precision} with plain attention`,
    precision,
    device: web,
  })),
  { kind: "int8 as in large models", precision: "int8", wholeWeights: 0 },
  { kind: "stored", precision: "stored" },
  { kind: "stored as in large models", precision: "stored", wholeWeights: 0 },
];
const settings = Object.keys(MODELS).flatMap((model) =>
  KINDS.filter(({ precision }) => model !== "gemma3" || precision === "fp32").flatMap((kind) =>
    [1, 2].map((threads) => ({ model, threads, ...kind })),
  ),
);

/** The sizes of the passes that a sequence is cut into. */
const cuts = fc.oneof(
  fc.integer({ min: 1, max: 40 }).map((size) => Array.from({ length: Math.ceil(100 / size) }, () => size)),
  fc.array(fc.integer({ min: 1, max: 40 }), { minLength: 1, maxLength: 30 }),
);
const counts = fc.integer({ min: 1, max: 100 });

/** A forest of up to 24 rows, most of them following the one before. */
const forests: fc.Arbitrary<Int32Array> = fc
  .integer({ min: 1, max: 24 })
  .chain((rows) =>
    fc
      .tuple(
        ...Array.from({ length: rows }, (_, i) =>
          fc.oneof(
            { weight: 3, arbitrary: fc.constant(i - 1) },
            { weight: 1, arbitrary: fc.integer({ min: -1, max: i - 1 }) },
          ),
        ),
      )
      .map((parents) => Int32Array.from(parents)),
  );

/** Logits of `tokens` in passes of `sizes`, the last of which repeats for what is left. */
async function inPasses(session: Session, tokens: TokenIds, sizes: readonly number[]): Promise<Float32Array> {
  const width = session.vocabSize;
  const all = new Float32Array(tokens.length * width);
  for (let at = 0, i = 0; at < tokens.length; i++) {
    const part = tokens.subarray(at, at + (sizes[i] ?? sizes.at(-1)!));
    all.set(await session.logits(part), at * width);
    at += part.length;
  }
  return all;
}

function trunkOf(parents: Int32Array): number {
  const end = parents.findIndex((parent, i) => parent !== i - 1);
  return end < 0 ? parents.length : end;
}

/** Equal bit for bit; says where it is not instead of printing thousands of numbers. */
function expectSameBits(actual: Float32Array, expected: Float32Array, width: number): void {
  expect(actual.length).toBe(expected.length);
  const a = new Uint32Array(actual.buffer, actual.byteOffset, actual.length);
  const b = new Uint32Array(expected.buffer, expected.byteOffset, expected.length);
  const at = a.findIndex((bits, i) => bits !== b[i]);
  if (at >= 0) expect.fail(`row ${Math.floor(at / width)}: ${actual[at]} is not ${expected[at]}`);
}

describe.each(settings)("$model in $kind with $threads threads", ({ model, kind: _, ...options }) => {
  const config = MODELS[model]!;
  const width = config.vocabSize;
  const ids = randomIds(config.contextLength, width, 3);
  let engine: Engine;
  let whole: Float32Array; // logits of the first 100 ids in one pass
  beforeAll(async () => {
    engine = await createEngine(config, inBlocks(randomWeights(config, { zeroIds: [ZERO_ID] })), options);
    await using session = engine.session();
    whole = await session.logits(ids.subarray(0, 100));
  });
  afterAll(() => engine.dispose());

  test("rows of a chain keep their bits in every way of cutting it", async () => {
    await fc.assert(
      fc.asyncProperty(counts, cuts, async (count, sizes) => {
        await using session = engine.session();
        const logits = await inPasses(session, ids.subarray(0, count), sizes);
        expect(session.length).toBe(count);
        expectSameBits(logits, whole.subarray(0, count * width), width);
      }),
      { numRuns: 15 },
    );
  });

  test("and so do next tokens, and the last ones of a prefill", async () => {
    await using one = engine.session();
    const next = await one.forward(ids.subarray(0, 100));
    await fc.assert(
      fc.asyncProperty(counts, cuts, fc.integer({ min: 1, max: 40 }), async (count, sizes, wanted) => {
        await using session = engine.session();
        const first = Math.min(sizes[0]!, count);
        const rows = Math.min(wanted, first);
        expect(await session.prefill!(ids.subarray(0, first), rows)).toEqual(next.slice(first - rows, first));
        expect(session.length).toBe(first);
        for (let at = first, i = 1; at < count; i++) {
          const part = ids.subarray(at, Math.min(at + (sizes[i] ?? sizes.at(-1)!), count));
          expect(await session.forward(part)).toEqual(next.slice(at, at + part.length));
          at += part.length;
        }
      }),
      { numRuns: 10 },
    );
  });

  test("rows of a trunk keep their bits, and only the trunk stays", async () => {
    await fc.assert(
      fc.asyncProperty(counts, forests, fc.nat(), async (count, parents, seed) => {
        await using session = engine.session();
        const cached = Math.min(count, 70);
        await session.logits(ids.subarray(0, cached));
        const trunk = trunkOf(parents);
        const tokens = randomIds(parents.length, width, seed);
        tokens.set(ids.subarray(cached, cached + trunk));
        const logits = await session.logits(tokens, { parents });
        expect(session.length).toBe(cached + trunk);
        expectSameBits(
          logits.subarray(0, trunk * width),
          whole.subarray(cached * width, (cached + trunk) * width),
          width,
        );
        const after = cached + trunk;
        expectSameBits(await session.logits(ids.subarray(after, 100)), whole.subarray(after * width), width);
      }),
      { numRuns: 15 },
    );
  });

  test("what is truncated was never there", async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(fc.tuple(counts, fc.nat(), fc.nat()), { maxLength: 5 }), async (steps) => {
        await using session = engine.session();
        for (const [count, seed, keep] of steps) {
          await session.forward(randomIds(count, width, seed));
          session.truncate(keep % (session.length + 1));
        }
        session.truncate(0);
        expectSameBits(await session.logits(ids.subarray(0, 100)), whole, width);
        session.truncate(50);
        await session.forward(randomIds(30, width, 4));
        session.truncate(50);
        expectSameBits(await session.logits(ids.subarray(50, 100)), whole.subarray(50 * width), width);
      }),
      { numRuns: 5 },
    );
  });

  test("a beginning that is copied from another sequence has the bits of one that was run", async () => {
    await fc.assert(
      fc.asyncProperty(counts, counts, cuts, fc.nat(99), fc.boolean(), async (run, count, sizes, seed, passing) => {
        const copied = Math.min(run, count, 99);
        await using donor = engine.session();
        await using session = engine.session();
        await inPasses(donor, ids.subarray(0, run), sizes);
        await session.forward(randomIds(1 + 4 * seed, width, seed)); // what it held before, perhaps in larger buffers
        const pass = passing ? donor.forward(randomIds(30, width, 5)) : null;
        session.copyFrom!(donor, copied);
        expect(session.length).toBe(copied);
        await pass;
        donor.truncate(0);
        await donor.forward(randomIds(40, width, 6)); // the copy is the session's own
        expectSameBits(await session.logits(ids.subarray(copied, 100)), whole.subarray(copied * width), width);
      }),
      { numRuns: 8 },
    );
  });

  test("a zero vector among the rows has finite logits and leaves the others as they are", async () => {
    await using session = engine.session();
    const logits = await session.logits(Int32Array.of(ZERO_ID, ZERO_ID, 1, ZERO_ID, 2));
    expect(logits.every(Number.isFinite)).toBe(true);
    session.truncate(0);
    expectSameBits(await inPasses(session, Int32Array.of(ZERO_ID, ZERO_ID, 1, ZERO_ID, 2), [1, 3, 1]), logits, width);
  });
});

const ways = [
  ...PRECISIONS.map((precision) => ({ precision, device: cpu })),
  { precision: "fp32" as const, device: web },
];

describe.each(ways)("in $precision on $device.name", ({ precision, device }) => {
  const engineOf = (config: ModelConfig): Promise<Engine> =>
    createEngine(config, randomWeights(config), { precision, threads: 2, device });

  test("side rows have the logits of their own path alone, but for rounding", async () => {
    const config = MODELS["llama"]!;
    await using engine = await engineOf(config);
    await fc.assert(
      fc.asyncProperty(fc.integer({ min: 1, max: 40 }), forests, fc.nat(), async (cached, parents, seed) => {
        const tokens = randomIds(parents.length, config.vocabSize, seed);
        const context = randomIds(cached, config.vocabSize, seed + 1);
        await using session = engine.session();
        await session.forward(context);
        const logits = await session.logits(tokens, { parents });
        await using alone = engine.session();
        await alone.forward(context);
        for (let row = trunkOf(parents); row < parents.length; row++) {
          const path: number[] = [];
          for (let at = row; at >= 0; at = parents[at]!) path.unshift(tokens[at]!);
          const expected = (await alone.logits(Int32Array.from(path))).slice(-config.vocabSize);
          alone.truncate(cached);
          const actual = logits.subarray(row * config.vocabSize, (row + 1) * config.vocabSize);
          const largest = Math.max(...expected.map(Math.abs));
          // A last bit can move a rounding to eight bits by a step, which is as much as low precision is off by anyway.
          const tolerance = (precision === "fp32" ? 1e-4 : 0.05) * largest;
          for (const [i, value] of expected.entries()) expect(Math.abs(actual[i]! - value)).toBeLessThan(tolerance);
        }
      }),
      { numRuns: 15 },
    );
  });

  const long = {
    ...MODELS,
    "llama with heads of 64": { ...BASE, contextLength: 700, headSize: 64, heads: 4, kvHeads: 2 },
    "llama with wide heads": { ...BASE, contextLength: 700, headSize: 128, heads: 2, kvHeads: 1 },
  };
  test.each(Object.entries(long))("%s goes on past 256 tokens, where cache and passes are cut", async (_, config) => {
    await using engine = await engineOf(config);
    const ids = randomIds(650, config.vocabSize, 5);
    await using one = engine.session();
    const expected = await one.logits(ids); // three chunks, the cache grown twice
    for (const sizes of [[200, 100, 1, 1, 3, 200], [31], [256, 1, 255, 2], [255, 258]]) {
      await using session = engine.session();
      expectSameBits(await inPasses(session, ids, sizes), expected, config.vocabSize);
    }
    const next = await (async () => {
      await using session = engine.session();
      return await session.forward(ids);
    })();
    for (const count of [255, 256, 257, 258, 512, 513, 650]) {
      await using session = engine.session();
      expect(await session.prefill!(ids.subarray(0, count), 1)).toEqual(next.slice(count - 1, count));
      expect(session.length).toBe(count);
      session.truncate(0);
      for (const rows of [2, 16, 255]) {
        expect(await session.prefill!(ids.subarray(0, count), rows)).toEqual(next.slice(count - rows, count)); // in two chunks
        session.truncate(0);
      }
      await session.prefill!(ids.subarray(0, count), 1);
      if (count < ids.length) expect((await session.forward(ids.subarray(count, count + 1)))[0]).toBe(next[count]);
    }
  });

  test("prefill decides near ties as every other pass does", async () => {
    const config = { ...BASE, tiedHead: false };
    const weights = randomWeights(config);
    const random = gaussian(9);
    const head = await weights.read("lm_head.weight", 0, 1);
    const alike: Weights = {
      ...weights, // a vocabulary whose logits differ in their last bits
      read: async (name, from, to) =>
        name === "lm_head.weight"
          ? Float32Array.from(
              { length: config.vocabSize * config.hiddenSize },
              (_, i) => head[i % config.hiddenSize]! * (1 + 1e-7 * random()),
            )
          : await weights.read(name, from, to),
    };
    await using engine = await createEngine(config, alike, { precision, threads: 1, device });
    await using session = engine.session();
    const ids = randomIds(90, config.vocabSize, 10);
    const next = await session.forward(ids);
    if (precision === "fp32") expect(new Set(next).size).toBeGreaterThan(5);
    for (let count = 1; count <= ids.length; count++) {
      session.truncate(0);
      const rows = Math.min(count, 1 + (count % 17));
      expect(await session.prefill!(ids.subarray(0, count), rows)).toEqual(next.slice(count - rows, count));
    }
  });

  test("the context can be filled to its last token, also by a pass of one", async () => {
    for (const contextLength of [1, 2, 48, 300]) {
      const config = { ...BASE, contextLength };
      await using engine = await engineOf(config);
      const ids = randomIds(contextLength, config.vocabSize, 6);
      await using one = engine.session();
      const expected = await one.logits(ids);
      expect(expected.every(Number.isFinite)).toBe(true);
      await using session = engine.session();
      if (contextLength > 1) await session.forward(ids.subarray(0, -1));
      const last = await session.logits(ids.subarray(-1));
      expectSameBits(last, expected.slice(-config.vocabSize), config.vocabSize);
      expect(session.length).toBe(contextLength);
      await expect(session.forward(ids.subarray(-1))).rejects.toMatchObject({ code: "context-overflow" });
    }
  });

  test("the next token is the one of the largest logit, wherever there is no near tie", async () => {
    const config = MODELS["llama"]!;
    await using engine = await engineOf(config);
    const ids = randomIds(200, config.vocabSize, 8);
    await using session = engine.session();
    const next = await session.forward(ids);
    session.truncate(0);
    const logits = await session.logits(ids);
    for (const [i, id] of next.entries()) {
      const row = logits.subarray(i * config.vocabSize, (i + 1) * config.vocabSize);
      const largest = Math.max(...row);
      if (precision === "fp32") expect(id).toBe(row.indexOf(largest));
      else expect(row[id]! / largest).toBeGreaterThan(0.9); // the rough logits and the exact ranking differ a little
    }
  });
});

test("forests wider than a device's passes are cut into several, to the same trunk and nearly the same branches", async () => {
  const products = await cpu.plan("fp32", { wholeWeights: 0 });
  const { encoded } = await buildGraph({ config: BASE, device: "cpu", products }, randomWeights(BASE));
  const program = await cpu.compile(encoded, { threads: 1 });
  try {
    const caches = await cpu.caches(BASE, products);
    await fc.assert(
      fc.asyncProperty(forests, fc.integer({ min: 2, max: 9 }), fc.nat(), async (parents, most, seed) => {
        const rows = { most, head: 2, padded: () => most + (most % 2) };
        await using narrow = openSession(single({ plain: program, drafting: null }), BASE, { rows, caches });
        await using wide = openSession(single({ plain: program, drafting: null }), BASE);
        const prompt = randomIds(11, BASE.vocabSize, seed);
        const tokens = randomIds(parents.length, BASE.vocabSize, seed + 1);
        for (const session of [narrow, wide]) await session.forward(prompt);
        const [cut, whole] = [await narrow.logits(tokens, { parents }), await wide.logits(tokens, { parents })];
        const settled = trunkOf(parents) * BASE.vocabSize;
        expectSameBits(cut.subarray(0, settled), whole.subarray(0, settled), BASE.vocabSize);
        const apart = Math.max(...cut.map((value, i) => Math.abs(value - whole[i]!)));
        expect(apart).toBeLessThan(1e-4); // sums over places in another order
        expect(narrow.length).toBe(wide.length);
        expect(await narrow.forward(prompt)).toEqual(await wide.forward(prompt));
      }),
      { numRuns: 20 },
    );
  } finally {
    await program.release();
  }
});
