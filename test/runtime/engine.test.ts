/** Engines and sessions over their lives: what they refuse, what they leave behind, and that decoding on them is exact. */
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { ar } from "../../src/decode/ar.ts";
import type { Decoder } from "../../src/decode/types.ts";
import { Graph } from "../../src/graph/graph.ts";
import type { ModelConfig } from "../../src/model/config.ts";
import { decodeGraph, leadingPlaces } from "../../src/model/decode-graph.ts";
import { FAMILY_NAMES } from "../../src/model/families/index.ts";
import { layeredWeights } from "../../src/model/layered-weights.ts";
import { type HostPrecision, PRECISIONS, type Precision } from "../../src/model/precision.ts";
import { type ProductOptions, productsFor } from "../../src/model/products.ts";
import { createEngine } from "../../src/runtime/engine.ts";
import { defaultThreads } from "../../src/runtime/host.ts";
import { openSession } from "../../src/runtime/onnx-session.ts";
import { compile } from "../../src/runtime/ort.ts";
import { fusedFeeds, single } from "../../src/runtime/pass-runner.ts";
import { bytesSaturate } from "../../src/runtime/saturation.ts";
import type { Session, TokenIds } from "../../src/runtime/session.ts";
import { headless } from "../decode/arbitrary.ts";
import { BASE, configs, randomIds, randomWeights } from "../model/random-model.ts";

const engineOf = (config: ModelConfig, precision = PRECISIONS[0]!, threads = 1) =>
  createEngine(config, randomWeights(config), { precision, threads });

describe("a session refuses, and goes on as if nothing had been asked:", () => {
  const three = Int32Array.of(1, 2, 3);
  const refusals: readonly (readonly [name: string, code: string, ask: (session: Session) => Promise<unknown>])[] = [
    ["no tokens", "bad-input", (s) => s.forward(new Int32Array(0))],
    ["no tokens to prefill", "bad-input", (s) => s.prefill!(new Int32Array(0), 1)],
    ["an id behind the vocabulary", "bad-input", (s) => s.forward(Int32Array.of(1, BASE.vocabSize))],
    ["a negative id", "bad-input", (s) => s.logits(Int32Array.of(-1))],
    ["more tokens than fit", "context-overflow", (s) => s.forward(new Int32Array(BASE.contextLength - 2))],
    ["a prompt that does not fit", "context-overflow", (s) => s.prefill!(new Int32Array(5000), 1)],
    ["too few parents", "bad-input", (s) => s.forward(three, { parents: Int32Array.of(-1, 0) })],
    ["a token that is its own parent", "bad-input", (s) => s.forward(three, { parents: Int32Array.of(-1, 1, 0) })],
    ["a parent that comes later", "bad-input", (s) => s.forward(three, { parents: Int32Array.of(-1, 2, 0) })],
    ["a parent before the sequence", "bad-input", (s) => s.forward(three, { parents: Int32Array.of(-1, -2, 0) })],
    ["to truncate to more than there is", "bad-input", async (s) => s.truncate(4)],
    ["to truncate to less than nothing", "bad-input", async (s) => s.truncate(-1)],
    ["to truncate to a fraction", "bad-input", async (s) => s.truncate(1.5)],
    ["to truncate to no number", "bad-input", async (s) => s.truncate(Number.NaN)],
    ["to copy more than there is", "bad-input", async (s) => s.copyFrom!(s, 4)],
    ["to copy a fraction", "bad-input", async (s) => s.copyFrom!(s, 1.5)],
    [
      "to copy from another model",
      "bad-input",
      async (s) => {
        await using other = await engineOf({ ...BASE });
        await using session = other.session();
        await session.forward(three);
        s.copyFrom!(session, 2);
      },
    ],
  ];
  test.each(refusals)("%s", async (_, code, ask) => {
    await using engine = await engineOf(BASE);
    await using session = engine.session();
    await using untouched = engine.session();
    await session.forward(three);
    await untouched.forward(three);
    await expect(ask(session)).rejects.toMatchObject({ name: "CllmError", code });
    expect(session.length).toBe(3);
    expect(await session.logits(three)).toEqual(await untouched.logits(three));
  });
});

test("branches before any sequence are refused", async () => {
  await using engine = await engineOf(BASE);
  await using session = engine.session();
  const branches = { parents: Int32Array.of(-1, 0, 0) };
  await expect(session.forward(Int32Array.of(1, 2, 3), branches)).rejects.toMatchObject({ code: "bad-input" });
  await session.forward(Int32Array.of(1));
  expect((await session.forward(Int32Array.of(1, 2, 3), branches)).length).toBe(3);
});

test("calls that overlap are refused, and the first goes its way", async () => {
  await using engine = await engineOf(BASE);
  await using session = engine.session();
  await using alone = engine.session();
  const ids = randomIds(10, BASE.vocabSize, 1);
  const first = session.logits(ids);
  await expect(session.forward(ids)).rejects.toMatchObject({ code: "bad-input" });
  await expect(session.prefill!(ids, 1)).rejects.toMatchObject({ code: "bad-input" });
  expect(() => session.truncate(0)).toThrow(expect.objectContaining({ code: "bad-input" }));
  expect(() => session.copyFrom!(alone, 0)).toThrow(expect.objectContaining({ code: "bad-input" }));
  const expected = await alone.logits(ids);
  expect(await first).toEqual(expected);
  expect(session.length).toBe(10);
  expect(await session.logits(ids)).toEqual(await alone.logits(ids));
});

test("sessions of one engine do not disturb each other, even at the same time", async () => {
  await using engine = await engineOf(BASE, "int8", 2);
  const texts = [1, 2, 3, 4].map((seed) => randomIds(20, BASE.vocabSize, seed));
  const one = async (ids: TokenIds) => {
    await using session = engine.session();
    const logits: number[] = [];
    for (let at = 0; at < ids.length; at += 4) logits.push(...(await session.logits(ids.subarray(at, at + 4))));
    return logits;
  };
  const together = await Promise.all(texts.map(one));
  for (const [i, ids] of texts.entries()) expect(await one(ids)).toEqual(together[i]);
});

test("after its disposal a session refuses, and disposing again is nothing", async () => {
  await using engine = await engineOf(BASE);
  const session = engine.session();
  await session.forward(Int32Array.of(1));
  await session.dispose();
  await session.dispose();
  for (const ask of [() => session.forward(Int32Array.of(1)), () => session.logits(Int32Array.of(1))])
    await expect(ask()).rejects.toMatchObject({ code: "disposed" });
  await expect(session.prefill!(Int32Array.of(1), 1)).rejects.toMatchObject({ code: "disposed" });
  await using next = engine.session();
  expect((await next.forward(Int32Array.of(1))).length).toBe(1);
  expect(() => next.copyFrom!(session, 1)).toThrow(expect.objectContaining({ code: "disposed" }));
  expect(() => session.copyFrom!(next, 1)).toThrow(expect.objectContaining({ code: "disposed" }));
});

test("after its disposal an engine refuses, and so do its sessions", async () => {
  const engine = await engineOf(BASE);
  const session = engine.session();
  await session.forward(Int32Array.of(1, 2));
  const running = session.forward(Int32Array.of(3));
  await engine.dispose();
  await engine.dispose();
  await running.catch((error: unknown) => expect(error).toMatchObject({ code: "disposed" }));
  await expect(session.forward(Int32Array.of(3))).rejects.toMatchObject({ code: "disposed" });
  expect(() => engine.session()).toThrow(expect.objectContaining({ code: "disposed" }));
  await session.dispose();
});

test("an aborted load stops with its reason, and progress counts every layer", async () => {
  const controller = new AbortController();
  const stages: [string, number, number][] = [];
  const load = createEngine({ ...BASE, layers: 3 }, randomWeights({ ...BASE, layers: 3 }), {
    precision: "int8",
    signal: controller.signal,
    onProgress(stage, _, done, total) {
      stages.push([stage, done, total]);
      if (done === 1) controller.abort("enough");
    },
  });
  await expect(load).rejects.toMatchObject({ code: "aborted", cause: "enough" });
  expect(stages).toEqual([
    ["quantize", 0, 3],
    ["quantize", 1, 3],
  ]);
  stages.length = 0;
  await using engine = await createEngine(BASE, randomWeights(BASE), {
    precision: "fp32",
    onProgress: (stage, _, done, total) => stages.push([stage, done, total]),
  });
  expect(engine.precision).toBe("fp32");
  expect(stages).toEqual([
    ["quantize", 0, 2],
    ["quantize", 1, 2],
    ["quantize", 2, 2],
    ["compile", 0, 1],
    ["compile", 1, 1],
  ]);
  expect(defaultThreads()).toBeGreaterThanOrEqual(1);
  expect(defaultThreads()).toBeLessThanOrEqual(8);
});

describe("every decoder writes on an engine what greedy decoding writes", () => {
  const tokens = async (decode: Decoder, session: Session, prompt: TokenIds): Promise<number[]> => {
    const all: number[] = [];
    for await (const { accepted } of decode(session, prompt, { maxNewTokens: 40 })) all.push(...accepted);
    return all;
  };
  test.each([
    ...PRECISIONS.map((precision) => ({ name: precision, precision })),
    { name: "int8 as in large models", precision: "int8", wholeWeights: 0 } as const,
  ])("in $name", async ({ name: _, ...options }) => {
    for (const family of FAMILY_NAMES) await writesTheSame(family, options);
  });

  /** A few random models of a family. */
  const writesTheSame = (family: string, options: { precision: Precision; wholeWeights?: number }): Promise<void> =>
    fc.assert(
      fc.asyncProperty(
        fc.tuple(configs(family), fc.nat()),
        fc.array(headless, { minLength: 8, maxLength: 8 }),
        async ([config, seed], decoders) => {
          await using engine = await createEngine(config, randomWeights(config, { seed }), { ...options, threads: 2 });
          const prompt = randomIds(1 + (seed % 40), config.vocabSize, seed);
          await using greedy = engine.session();
          const expected = await tokens(ar, greedy, prompt);
          for (const { decode } of decoders) {
            await using session = engine.session();
            expect(await tokens(decode, session, prompt)).toEqual(expected);
          }
        },
      ),
      { numRuns: options.precision === "int8" ? 2 : 1 },
    );
});

describe("products of unsigned weights, for processors whose signed ones saturate", () => {
  test("whether they do is found out once", async () => {
    const saturates = await bytesSaturate();
    expect(typeof saturates).toBe("boolean");
    expect(await bytesSaturate()).toBe(saturates);
  });

  test("have the logits of signed ones", async () => {
    const saturating = await bytesSaturate();
    const shared = { precision: "int8", wholeWeights: 0 } as const;
    await sameLogits([
      { ...shared, saturates: true },
      { ...shared, saturates: saturating },
    ]);
  });
});

test("products in pieces have the logits of whole ones, where their sums are exact", async () => {
  const shared = { precision: "int8", saturates: await bytesSaturate(), wholeWeights: 0 } as const;
  await sameLogits([shared, { ...shared, piece: 1 }]);
});

test.each(["int4", "stored"] as const)("products in pieces are as good as whole ones: %s", async (precision) => {
  const shared = { precision, saturates: await bytesSaturate(), wholeWeights: 0 };
  await sameLogits([shared, { ...shared, piece: 1 }], 0.03);
});

/** Two ways to multiply give the same logits in models of all families: bit for bit, or but for such a share of the largest. */
async function sameLogits(
  ways: readonly (Omit<ProductOptions, "tiedHead"> & { readonly precision: HostPrecision })[],
  share = 0,
): Promise<void> {
  const model = fc.constantFrom(...FAMILY_NAMES).chain((family) => fc.tuple(configs(family), fc.nat()));
  await fc.assert(
    fc.asyncProperty(model, async ([config, seed]) => {
      const ids = randomIds(20, config.vocabSize, seed);
      const logits: Float32Array[] = [];
      for (const { precision, ...options } of ways) {
        const products = productsFor(precision, new Graph(), { tiedHead: config.tiedHead, ...options });
        const weights = layeredWeights(config, randomWeights(config, { seed }));
        const program = await compile(await decodeGraph(config, weights, products), { threads: 1 });
        try {
          const programs = { plain: program, drafting: null };
          await using session = openSession(single(programs, fusedFeeds(leadingPlaces(config))), config);
          logits.push(await session.logits(ids));
        } finally {
          await program.release();
        }
      }
      const [one, other] = logits as [Float32Array, Float32Array];
      if (share === 0) expect(one).toEqual(other);
      const largest = one.reduce((most, value) => Math.max(most, Math.abs(value)), 0);
      for (const [i, value] of one.entries()) expect(Math.abs(value - other[i]!)).toBeLessThanOrEqual(share * largest);
    }),
    { numRuns: 8 },
  );
}

describe("no memory is left behind", () => {
  setFlagsFromString("--expose-gc");
  const collect = runInNewContext("gc") as () => void;
  const MIB = 2 ** 20;

  test("by sessions opened and disposed of by the hundred, even while they are held on to", async () => {
    const config = { ...BASE, headSize: 64, kvHeads: 4 }; // caches of 1 MiB
    await using engine = await engineOf(config);
    const ids = randomIds(20, config.vocabSize, 1);
    const held: Session[] = [];
    const cycle = async (count: number): Promise<NodeJS.MemoryUsage> => {
      for (let i = 0; i < count; i++) {
        const session = engine.session();
        await session.prefill!(ids, 1);
        await session.logits(ids);
        await session.dispose();
        held.push(session);
        if (i % 10 === 0) collect();
      }
      collect();
      return process.memoryUsage();
    };
    const before = await cycle(60);
    const after = await cycle(240); // 240 MiB if they stayed
    expect(held).toHaveLength(300);
    expect(after.arrayBuffers - before.arrayBuffers).toBeLessThan(16 * MIB);
    expect(after.rss - before.rss).toBeLessThan(80 * MIB);
  });

  test("by engines", async () => {
    const config = { ...BASE, vocabSize: 40_000, hiddenSize: 64 }; // 10 MiB
    const weights = randomWeights(config);
    const cycle = async (count: number): Promise<number> => {
      for (let i = 0; i < count; i++) {
        const engine = await createEngine(config, weights, { precision: "int8", threads: 1 });
        await using session = engine.session();
        await session.forward(Int32Array.of(1, 2, 3));
        await engine.dispose();
        collect();
      }
      return process.memoryUsage().rss;
    };
    const before = await cycle(5);
    expect((await cycle(15)) - before).toBeLessThan(80 * MIB); // 150 MiB and more if they stayed
  });
});
