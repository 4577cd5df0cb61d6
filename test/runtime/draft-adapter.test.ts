/**
 * Draft rows on random models with random adapters, in every precision: rows that verify keep the bits of the model without the adapter,
 * draft rows have the numbers of the merged model behind the base's cache, and a model and its adapters share one copy of the weights.
 */
import { mkdtemp, readdir, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import fc from "fast-check";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { ModelConfig } from "../../src/model/config.ts";
import { type DraftAdapter, requireBounded } from "../../src/model/draft-adapter.ts";
import { addLowRank, isLoraTarget, LORA_TARGETS, type LowRank } from "../../src/model/lora.ts";
import { PRECISIONS } from "../../src/model/precision.ts";
import { expectedTensors } from "../../src/model/tensors.ts";
import type { Weights } from "../../src/model/weights.ts";
import { buildGraph } from "../../src/runtime/build-graph.ts";
import { cpu } from "../../src/runtime/devices/cpu.ts";
import { createEngine, type Engine } from "../../src/runtime/engine.ts";
import { openSession } from "../../src/runtime/onnx-session.ts";
import { single } from "../../src/runtime/pass-runner.ts";
import { draftForest, type Forest, type Session } from "../../src/runtime/session.ts";
import { BASE, gaussian, randomIds, randomWeights } from "../model/random-model.ts";

const ZERO_ID = 7;
const MODELS: Readonly<Record<string, ModelConfig>> = {
  llama: { ...BASE, contextLength: 300, attentionBias: true },
  mistral: { ...BASE, family: "mistral", contextLength: 300, slidingWindow: 20, tiedHead: false, kvHeads: 4 },
  qwen3: { ...BASE, family: "qwen3", contextLength: 300, queryKeyNorm: true, kvHeads: 1, hiddenSize: 64 },
};
const KINDS = [
  ...PRECISIONS.map((precision) => ({ kind: precision as string, precision })),
  { kind: "int8 as in large models", precision: "int8" as const, wholeWeights: 0 },
];
const settings = Object.keys(MODELS).flatMap((model) => KINDS.map((kind) => ({ model, ...kind })));

/** An adapter of random factors on some of the matrices, each of a rank of its own. */
function randomAdapter(config: ModelConfig, seed: number, size = 1): DraftAdapter {
  const random = gaussian(seed);
  const adapter = new Map<string, LowRank>();
  for (const [name, [outputs = 0, inputs = 0]] of expectedTensors(config)) {
    if (!isLoraTarget(name, { targets: LORA_TARGETS }) || random() < -0.7) continue;
    const rank = 1 + Math.floor(Math.abs(random()) * 3);
    const numbers = (count: number, deviation: number) =>
      Float32Array.from({ length: count }, () => deviation * random());
    const [a, b] = [numbers(rank * inputs, 1 / Math.sqrt(inputs)), numbers(outputs * rank, size)];
    adapter.set(name.replace(/\.weight$/, ""), { rank, scale: 0.5, a, b, inputs });
  }
  return adapter;
}

const withDrafts = (trunk: number, drafts: number): Forest => draftForest(trunk, trunk + drafts);

function expectSameBits(actual: Float32Array, expected: Float32Array): void {
  expect(actual.length).toBe(expected.length);
  for (const [i, value] of actual.entries())
    if (!Object.is(value, expected[i])) expect.fail(`${i}: ${value} is not ${expected[i]}`);
}

describe.each(settings)("$model in $kind", ({ model, kind: _, ...options }) => {
  const config = MODELS[model]!;
  const width = config.vocabSize;
  const ids = randomIds(120, width, 3);
  let plain: Engine;
  let drafting: Engine;
  let whole: Float32Array;
  beforeAll(async () => {
    const weights = randomWeights(config, { zeroIds: [ZERO_ID] });
    plain = await createEngine(config, weights, { ...options, threads: 2 });
    const draft = randomAdapter(config, 11, 30); // far from zero: what leaks shows
    drafting = await createEngine(config, weights, { ...options, threads: 2, draft });
    await using session = plain.session();
    whole = await session.logits(ids.subarray(0, 100));
  });
  afterAll(async () => {
    await plain.dispose();
    await drafting.dispose();
  });

  test("rows that verify have the bits of the plain model, with draft rows beside them and without", async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.integer({ min: 1, max: 40 }),
        fc.array(fc.tuple(fc.integer({ min: 1, max: 9 }), fc.nat(20), fc.nat(8)), { minLength: 1, maxLength: 5 }),
        async (prefix, passes) => {
          await using session = drafting.session();
          expect(session.drafter).toBe(true);
          expectSameBits((await session.logits(ids.subarray(0, prefix))).slice(), whole.slice(0, prefix * width));
          let at = prefix;
          for (const [trunk, drafts, wrong] of passes) {
            const tokens = randomIds(trunk + drafts, width, at);
            tokens[trunk] = ZERO_ID;
            tokens.set(ids.subarray(at, at + trunk));
            const logits = await session.logits(tokens.subarray(0, trunk + drafts), withDrafts(trunk, drafts));
            expectSameBits(logits.slice(0, trunk * width), whole.slice(at * width, (at + trunk) * width));
            expect(session.length).toBe(at + trunk);
            const kept = Math.max(1, trunk - wrong);
            session.truncate(at + kept);
            at += kept;
            if (at + 40 > 100) break;
          }
          expectSameBits(await session.logits(ids.subarray(at, 100)), whole.slice(at * width));
        },
      ),
      { numRuns: 12 },
    );
  });

  test("candidates are the likeliest tokens of each row, with their logits, and there are none without draft rows", async () => {
    await using session = drafting.session();
    await session.forward(ids.subarray(0, 20));
    expect(session.candidates?.(0).length).toBe(0);
    const tokens = ids.subarray(20, 27);
    const forest = withDrafts(3, 4);
    const next = await session.forward(tokens, forest);
    const candidates = session.candidates!(0);
    const slack = options.precision === "fp32" ? 1e-6 : 1;
    expect(candidates.length).toBe(7);
    expect(session.candidates!(5)).toEqual(candidates.slice(5));
    session.truncate(20);
    const logits = await session.logits(tokens, forest);
    expect(session.candidates?.(0).length).toBe(0);
    for (const [row, found] of candidates.entries()) {
      const ofRow = logits.subarray(row * width, (row + 1) * width);
      const likeliest = [...ofRow.keys()].sort((a, b) => ofRow[b]! - ofRow[a]! || a - b).slice(0, 4);
      expect([...found.ids].sort()).toEqual(likeliest.sort());
      expect(found.ids[0]).toBe(next[row]);
      expect([...found.logits]).toEqual([...found.logits].sort((a, b) => b - a));
      // In low precisions they are computed again, from better weights than all the others.
      for (const [i, id] of found.ids.entries()) expect(Math.abs(found.logits[i]! - ofRow[id]!)).toBeLessThan(slack);
    }
  });

  test("draft rows differ from what the plain model says in their place", async () => {
    await using session = drafting.session();
    await session.logits(ids.subarray(0, 20));
    const tokens = Int32Array.of(ids[20]!, ids[21]!, ids[21]!);
    const logits = await session.logits(tokens, withDrafts(2, 1));
    const [verified, drafted] = [logits.slice(width, 2 * width), logits.slice(2 * width)];
    expect(Math.max(...verified.map((value, i) => Math.abs(value - drafted[i]!)))).toBeGreaterThan(0.05);
  });
});

const PACKED: ModelConfig = { ...MODELS["llama"]!, attentionBias: false, packedProjections: true };

/** Weights with the adapter merged in. */
function merged(weights: Weights, adapter: DraftAdapter): Weights {
  return {
    ...weights,
    async read(name, from = 0, to) {
      const values = await weights.read(name, from, to);
      const factors = adapter.get(name.replace(/\.weight$/, ""));
      if (factors !== undefined) addLowRank(values, factors, from);
      return values;
    },
  };
}

test.each([
  ...PRECISIONS.map((precision) => ["llama", precision, MODELS["llama"]!] as const),
  ["packed projections", "fp32" as const, PACKED] as const,
])(
  "draft rows of %s in %s have the numbers of the merged model behind the base's cache",
  async (_, precision, config) => {
    const [weights, adapter] = [randomWeights(config), randomAdapter(config, 5)];
    const products = await cpu.plan(precision, { wholeWeights: 0 });
    const program = async (of: Weights) => {
      const { encoded } = await buildGraph({ config, device: "cpu", products }, of);
      return cpu.compile(encoded, { threads: 1 });
    };
    const programs = { plain: await program(weights), drafting: await program(merged(weights, adapter)) };
    await using engine = await createEngine(config, weights, {
      precision,
      wholeWeights: 0,
      threads: 1,
      draft: adapter,
    });
    try {
      const place = { rows: cpu.rows, caches: await cpu.caches(config, products), drafter: true };
      await fc.assert(
        fc.asyncProperty(
          fc.integer({ min: 1, max: 40 }),
          fc.integer({ min: 1, max: 12 }),
          fc.nat(),
          async (prefix, drafts, seed) => {
            await using reference = openSession(single(programs), config, place); // passes with draft rows run the merged model
            await using session = engine.session();
            const ids = randomIds(prefix + 1 + drafts, config.vocabSize, seed);
            // What is compared follows the cache directly, where only rows of the base are.
            const forest = {
              ...withDrafts(1, drafts),
              parents: Int32Array.from({ length: 1 + drafts }, (_, i) => (i <= 1 ? -1 : i - 1)),
            };
            const run = async (on: Session): Promise<Float32Array> => {
              await on.forward(ids.subarray(0, prefix));
              return (await on.logits(ids.subarray(prefix), forest)).slice(config.vocabSize);
            };
            const [found, expected] = [await run(session), await run(reference)];
            const largest = Math.max(...expected.map(Math.abs));
            // In low precision the factors are quantized with the weights when they are merged, and not otherwise.
            const tolerance = { fp32: 1e-4, int8: 0.1, int4: 0.6 }[precision] * largest;
            for (const [i, value] of expected.entries()) expect(Math.abs(found[i]! - value)).toBeLessThan(tolerance);
          },
        ),
        { numRuns: 10 },
      );
    } finally {
      await programs.plain.release();
      await programs.drafting.release();
    }
  },
);

test("sequences that run together have the bits of those alone, with draft rows in some of them", async () => {
  const config = MODELS["llama"]!;
  const [weights, draft] = [randomWeights(config), randomAdapter(config, 9, 10)];
  await using alone = await createEngine(config, weights, { precision: "int8", threads: 1, draft });
  await using several = await createEngine(config, weights, { precision: "int8", threads: 1, draft, slots: 3 });
  const run = async (session: Session, seed: number): Promise<Float32Array[]> => {
    const ids = randomIds(40, config.vocabSize, seed);
    const said = [await session.logits(ids.subarray(0, 1 + seed))];
    for (const [trunk, drafts] of [
      [3, seed],
      [1, 4],
      [5, 0],
    ] as const) {
      const logits = await session.logits(ids.subarray(20, 20 + trunk + drafts), withDrafts(trunk, drafts));
      said.push(logits.slice(0, trunk * config.vocabSize));
      session.truncate(session.length - 1);
    }
    return said;
  };
  const expected = [];
  for (const seed of [0, 3, 7]) {
    await using session = alone.session();
    expected.push(await run(session, seed));
  }
  const sessions = [0, 3, 7].map((seed) => ({ seed, session: several.session() }));
  const found = await Promise.all(sessions.map(({ seed, session }) => run(session, seed)));
  for (const [i, logits] of found.flat().entries()) expectSameBits(logits, expected.flat()[i]!);
  for (const { session } of sessions) await session.dispose();
});

test.each(PRECISIONS)(
  "a prepared model in %s and its draft adapters have the same constants in the same files",
  async (precision) => {
    const folder = await mkdtemp(join(tmpdir(), "cllm-draft-"));
    try {
      const config = MODELS["llama"]!;
      const weights = randomWeights(config);
      const prepared = { folder, identity: "same", name: "same", source: null, limitBytes: 1e9 };
      const [one, other] = [randomAdapter(config, 1), randomAdapter(config, 2)];
      const ids = randomIds(30, config.vocabSize, 1);
      const files = async (): Promise<string[]> =>
        (await readdir(folder, { recursive: true })).filter((name) => /\.(bin|onnx)$/.test(name));
      const logitsOf = async (draft: DraftAdapter | null, cached: boolean): Promise<Float32Array> => {
        await using engine = await createEngine(config, weights, {
          precision,
          threads: 1,
          draft,
          ...(cached && { prepared }),
        });
        await using session = engine.session();
        await session.forward(ids.subarray(0, 20));
        const logits = await session.logits(ids.subarray(20, 28), draft === null ? undefined : withDrafts(4, 4));
        return logits.slice();
      };
      const width = config.vocabSize;
      const base = await logitsOf(null, true);
      const constants = (await files()).filter((name) => name.endsWith(".bin"));
      for (const draft of [one, other, one]) {
        const found = await logitsOf(draft, true);
        expectSameBits(found.slice(0, 4 * width), base.slice(0, 4 * width));
        expectSameBits(found, await logitsOf(draft, false));
      }
      const after = await files();
      expect(after.filter((name) => name.endsWith(".bin"))).toEqual(constants);
      expect(after.filter((name) => name.endsWith(".onnx")).length).toBe(3); // the base's, and one for each adapter
    } finally {
      await rm(folder, { recursive: true, force: true });
    }
  },
);

test("sessions without an adapter refuse draft rows, and with one a forest that begins with them", async () => {
  await using plain = await createEngine(BASE, randomWeights(BASE), { precision: "fp32", threads: 1 });
  await using session = plain.session();
  await session.forward(Int32Array.of(1, 2));
  await expect(session.forward(Int32Array.of(1, 2), withDrafts(1, 1))).rejects.toMatchObject({
    code: "bad-input",
    message: expect.stringContaining("draft adapter"),
  });
  await using drafting = await createEngine(BASE, randomWeights(BASE), {
    precision: "fp32",
    threads: 1,
    draft: randomAdapter(BASE, 1),
  });
  await using with_ = drafting.session();
  await with_.forward(Int32Array.of(1, 2));
  for (const draftsFrom of [0, -1, 3, 0.5]) {
    const forest = { parents: Int32Array.of(-1, 0), draftsFrom };
    await expect(with_.forward(Int32Array.of(1, 2), forest)).rejects.toMatchObject({ code: "bad-input" });
  }
});

test("factors that could add numbers without bound are refused", () => {
  const module = (value: number): DraftAdapter =>
    new Map([
      [
        "model.layers.0.mlp.up_proj",
        { rank: 1, scale: 1, a: Float32Array.of(1, value), b: Float32Array.of(1, -value), inputs: 2 },
      ],
    ]);
  requireBounded("mine", module(900));
  for (const value of [1e20, Number.NaN, Number.POSITIVE_INFINITY, 2000]) {
    expect(() => requireBounded("mine", module(value))).toThrow(/mine.*mlp\.up_proj/);
  }
});
