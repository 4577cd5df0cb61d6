/**
 * Random models, requests and decoders for the laws of decoding, and a reader that checks the laws of every iteration
 * while it collects the text.
 */
import fc from "fast-check";
import { expect } from "vitest";
import { ar } from "../../src/decode/ar.ts";
import { auto } from "../../src/decode/auto.ts";
import { constant, type DraftPolicy, fromLookup, fromPrompt, given, repeatLast } from "../../src/decode/drafts.ts";
import { jacobi } from "../../src/decode/jacobi.ts";
import { KnownNgrams } from "../../src/decode/known-ngrams.ts";
import { lookahead } from "../../src/decode/lookahead.ts";
import { medusa } from "../../src/decode/medusa.ts";
import { multiblock } from "../../src/decode/multiblock.ts";
import { NgramCounts } from "../../src/decode/ngram-counts.ts";
import { fromPrediction } from "../../src/decode/prediction.ts";
import { promptLookup } from "../../src/decode/prompt-lookup.ts";
import { fromSession } from "../../src/decode/session-draft.ts";
import { speculative } from "../../src/decode/speculative.ts";
import { fromSuffixes } from "../../src/decode/suffix-draft.ts";
import { countAnswer, knownAnswers, SuffixMemory, type SuffixView } from "../../src/decode/suffix-memory.ts";
import type { DecodeOptions, Decoder, Iteration } from "../../src/decode/types.ts";
import { hash } from "../../src/hash.ts";
import {
  chaoticModel,
  consistentModel,
  ngramModel,
  type ScriptedModel,
  type ScriptedSession,
  scriptedSession,
} from "../../src/runtime/scripted.ts";
import type { Session, TokenIds } from "../../src/runtime/session.ts";

/** A decoder with its own options bound, and a name that shows them in a counterexample. */
export interface Contender {
  readonly name: string;
  readonly decode: Decoder;
}

/** Heads whose candidates have what the model writes among them, more or less often, at a place that varies. */
export const withHeads = (
  model: ScriptedModel,
  { count, top, right, seed }: { count: number; top: number; right: number; seed: number },
): ScriptedModel => ({
  ...model,
  heads: {
    count,
    guess(context: TokenIds) {
      const next = (ids: TokenIds): number => ("next" in model ? model.next(ids) : 0);
      const text = [...context, next(context)];
      return Array.from({ length: count }, (_, head) => {
        const token = next(Int32Array.from(text));
        text.push(token);
        const ids = Int32Array.from(
          { length: top },
          (_, rank) => hash(seed, head, rank, text.length) % model.vocabSize,
        );
        if (hash(seed, head, text.length, 7) % 5 < right) ids[hash(seed, text.length, head) % top] = token;
        return ids;
      });
    },
  },
});

/** Second choices, of which `right` in five are what the model writes behind the same tokens. */
const secondsOf =
  ({ vocabSize, ...model }: ScriptedModel, right: number, seed: number) =>
  (context: TokenIds): number => {
    const drawn = hash(seed, context.length, context.at(-1) ?? 0);
    return drawn % 5 < right && "next" in model ? model.next(context) : drawn % vocabSize;
  };

export const models: fc.Arbitrary<ScriptedModel> = fc
  .record({
    vocabSize: fc.integer({ min: 2, max: 40 }),
    kind: fc.constantFrom(ngramModel, consistentModel, (vocabSize: number, _: number, seed: number) =>
      chaoticModel(vocabSize, seed),
    ),
    degree: fc.constantFrom(0, 0.5, 0.8, 0.95, 1),
    seed: fc.nat(),
    sideError: fc.constantFrom(0, 0.2, 1),
    slack: fc.integer({ min: 0, max: 40 }),
    leadingDraft: fc.boolean(),
    heads: fc.record({ count: fc.integer({ min: 1, max: 5 }), top: fc.integer({ min: 1, max: 6 }), right: fc.nat(4) }),
    drafter: fc.option(fc.record({ like: fc.boolean(), degree: fc.constantFrom(0, 0.5, 0.9, 1), seed: fc.nat() })),
    seconds: fc.option(fc.nat(5)), // how often of five times they are what the model writes
  })
  .map(({ vocabSize, kind, degree, seed, slack, drafter, seconds, heads, ...how }) => ({
    ...withHeads(kind(vocabSize, degree, seed), { ...heads, seed }),
    ...(seconds !== null && { second: secondsOf(kind(vocabSize, degree, seed), seconds, seed) }),
    ...(drafter && { draft: consistentModel(vocabSize, drafter.degree, drafter.like ? seed : drafter.seed).next }),
    ...how,
    contextLength: 64 + slack, // requests below take 64 tokens at most
  }));

/** Those without a draft adapter whose first pass carries no guesses. */
export const plainModels: fc.Arbitrary<ScriptedModel> = models.map(({ draft: _, ...model }) => ({
  ...model,
  leadingDraft: false,
}));

/** A prompt for any of `models`, and limits. */
export const requests: fc.Arbitrary<{ prompt: TokenIds; options: DecodeOptions }> = fc
  .record({
    prompt: fc.array(fc.constantFrom(0, 1), { minLength: 1, maxLength: 24 }),
    maxNewTokens: fc.integer({ min: 1, max: 40 }),
    stopIds: fc.option(fc.array(fc.nat(39), { maxLength: 2 }), { nil: undefined, freq: 2 }),
  })
  .map(({ prompt, maxNewTokens, stopIds }) => ({
    prompt: Int32Array.from(prompt),
    options: { maxNewTokens, ...(stopIds && { stopIds: new Set(stopIds) }) },
  }));

/** Tokens that all `models` have. */
const someTokens = (maxLength: number): fc.Arbitrary<TokenIds> =>
  fc.array(fc.nat(1), { maxLength }).map((tokens) => Int32Array.from(tokens));

const someAnswers = fc.array(fc.tuple(someTokens(20), someTokens(60)), { maxLength: 6 });

/** A memory, perhaps so small that it forgets, with answers in it and counts beside it, right or wrong. */
export const memories: fc.Arbitrary<SuffixView> = fc
  .tuple(fc.constantFrom(0, 0.0001, 0.002, 1), someAnswers, fc.option(someAnswers))
  .map(([megabytes, answers, before]) => {
    const counts = new NgramCounts(1e6);
    for (const [prompt, answer] of before ?? []) countAnswer(counts, prompt, answer);
    const known = new KnownNgrams(counts.table());
    if (megabytes === 0) return knownAnswers(known);
    const memory = new SuffixMemory(megabytes, known).scoped();
    for (const [prompt, answer] of answers) memory.add(prompt, answer);
    return memory;
  });

const rules: fc.Arbitrary<DraftPolicy> = fc.oneof(
  someTokens(50).map((tokens) => fromPrediction(tokens)),
  fc
    .tuple(fc.option(memories), fc.integer({ min: 1, max: 4 }))
    .map(([memory, perMatch]) => fromSuffixes(memory, { perMatch })),
  fc.nat().map((seed) => fromPrompt(seed)),
  fc.constant(repeatLast),
  fc.nat(1).map((token) => constant(token)),
  fc.integer({ min: 1, max: 4 }).map((n) => fromLookup(n)),
  fc.array(fc.nat(1), { maxLength: 50 }).map((tokens) => given(Int32Array.from(tokens))),
  fc.nat().map((seed) => fromSession(() => scriptedSession({ ...ngramModel(2, 0.9, seed), contextLength: 40 }))),
);

/** A draft that takes its time, and may know fewer guesses than it is asked for, or give more. */
const slow = (policy: DraftPolicy, lengths: readonly number[]): DraftPolicy => {
  return async (prompt, signal) => {
    await null;
    const draft = await policy(prompt, signal);
    let calls = 0;
    return {
      async guess(text, guesses, { count, ...options }) {
        const length = Math.max(0, count + (lengths[calls++ % lengths.length] ?? 0));
        const all = await draft.guess(text, guesses, { ...options, count: length });
        await new Promise<void>((resolve) => (calls % 4 === 0 ? setImmediate(resolve) : resolve()));
        return all;
      },
      [Symbol.asyncDispose]: () => draft[Symbol.asyncDispose](),
    };
  };
};

export const drafts: fc.Arbitrary<DraftPolicy> = fc.oneof(
  rules,
  fc
    .tuple(rules, fc.array(fc.integer({ min: -20, max: 3 }), { maxLength: 4 }))
    .map(([rule, lengths]) => slow(rule, lengths)),
);

/** Costs of a pass: some points, not even monotone. */
export const costs: fc.Arbitrary<ReadonlyMap<number, number>> = fc
  .array(fc.tuple(fc.constantFrom(1, 2, 3, 4, 8, 16, 32), fc.double({ min: 0.1, max: 3, noNaN: true })), {
    minLength: 1,
    maxLength: 5,
  })
  .map((points) => new Map(points));

const blockSizes = fc.integer({ min: 1, max: 20 });

const described = <Options extends object>(
  name: string,
  decoder: Decoder<DecodeOptions & Options>,
  options: fc.Arbitrary<Options>,
): fc.Arbitrary<Contender> =>
  options.map((own) => ({
    name: `${name} ${JSON.stringify(own, (_, value) => (value instanceof Map ? [...value] : value))}`,
    decode: (session, prompt, rest) => decoder(session, prompt, { ...own, ...rest }),
  }));

export const contenders: fc.Arbitrary<Contender> = fc.oneof(
  described(
    "jacobi",
    jacobi,
    fc.record(
      {
        blockSize: blockSizes,
        form: fc.constantFrom("window" as const, "block" as const),
        draft: drafts,
        draftRows: fc.integer({ min: 0, max: 20 }),
        alternatives: fc.integer({ min: 0, max: 12 }),
      },
      { requiredKeys: ["blockSize", "form", "draft"] },
    ),
  ),
  described(
    "prompt-lookup",
    promptLookup,
    fc.record({ blockSize: blockSizes, maxNgram: fc.integer({ min: 1, max: 4 }) }),
  ),
  described(
    "lookahead",
    lookahead,
    fc.record({
      window: fc.integer({ min: 1, max: 6 }),
      ngram: fc.integer({ min: 2, max: 5 }),
      candidates: fc.integer({ min: 1, max: 4 }),
    }),
  ),
  described(
    "multiblock",
    multiblock,
    fc.record({
      blockSize: fc.integer({ min: 1, max: 12 }),
      blocks: fc.integer({ min: 1, max: 3 }),
      ratio: fc.constantFrom(0.1, 0.5, 0.85, 1),
      poolSize: fc.integer({ min: 0, max: 4 }),
      draft: drafts,
    }),
  ),
  described(
    "medusa",
    medusa,
    fc.record({
      nodes: fc.integer({ min: 1, max: 20 }),
      tree: fc.constantFrom(undefined, [[0], [1], [0, 0], [1, 1], [0, 0, 0]], [[1], [0]], [[2]]),
    }),
  ),
  described("speculative", speculative, fc.record({ blockSize: blockSizes, draft: drafts })),
  described(
    "auto",
    auto,
    fc.record({
      ...{ blockSize: fc.integer({ min: 1, max: 40 }), costs, answers: fc.option(memories, { nil: undefined }) },
      ...{ draft: fc.option(drafts, { nil: undefined }), prediction: fc.option(someTokens(60), { nil: undefined }) },
      clock: fc.integer({ min: 0, max: 3 }).map((ms) => ticking(ms)),
    }),
  ),
);

/** Those that need no heads, for engines that have none. */
export const headless: fc.Arbitrary<Contender> = contenders.filter(({ name }) => !name.startsWith("medusa"));

/** A clock that goes on by so many milliseconds each time that it is read. */
function ticking(ms: number): () => number {
  let now = 0;
  return () => (now += ms);
}

/** Decoders with a draft of one's own. */
export const drafted: fc.Arbitrary<(draft: DraftPolicy) => Contender> = fc
  .tuple(fc.constantFrom("jacobi", "multiblock", "auto", "speculative"), blockSizes, costs)
  .map(([name, blockSize, of]) => (draft) => ({
    name: `${name} ${blockSize}`,
    decode(session, prompt, options) {
      if (name === "jacobi") return jacobi(session, prompt, { ...options, blockSize, draft });
      if (name === "speculative") return speculative(session, prompt, { ...options, blockSize, draft });
      if (name === "multiblock") return multiblock(session, prompt, { ...options, blockSize, draft });
      return auto(session, prompt, { ...options, blockSize, costs: of, draft });
    },
  }));

/** What `contender` writes, checking after every iteration the law of the cache and that it tells the truth. */
export async function write(
  contender: Contender,
  session: ScriptedSession,
  prompt: TokenIds,
  options: DecodeOptions,
  { over = session, atMost = Number.POSITIVE_INFINITY }: { over?: Session; atMost?: number } = {},
): Promise<{ tokens: number[]; iterations: Iteration[] }> {
  const tokens: number[] = [];
  const iterations: Iteration[] = [];
  if (atMost === 0) return { tokens, iterations };
  let ran = session.passes.length;
  for await (const iteration of contender.decode(over, prompt, options)) {
    tokens.push(...iteration.accepted);
    iterations.push(iteration);
    const written = [...prompt, ...tokens];
    expect([...session.cached]).toEqual(written.slice(0, -1));
    expect(iteration.prefill).toBe(iterations.length === 1);
    expect(iteration.accepted.length).toBeGreaterThan(0);
    const { trunk, rows } = iteration;
    const passes = session.passes.slice(ran);
    ran = session.passes.length;
    const all = { trunk: 0, rows: 0 }; // a prompt may have a pass of its own before the one that writes
    for (const pass of passes) {
      all.trunk += pass.trunk;
      all.rows += pass.rows;
    }
    if (over === session) {
      expect({ trunk, rows }).toEqual(all);
      expect(passes.length).toBeLessThanOrEqual(iteration.prefill ? 2 : 1);
    }
    if (over !== session && !iteration.prefill) expect(session.passes.at(-1)!.rows).toBeLessThanOrEqual(rows); // others cannot come true
    if (!iteration.prefill)
      expect(trunk).toBeLessThanOrEqual(options.maxNewTokens - tokens.length + iteration.accepted.length);
    if (iterations.length >= atMost) break;
  }
  return { tokens, iterations };
}

/** The text by definition: one scripted call per token, no decoder involved. */
export async function greedy(
  model: ScriptedModel,
  prompt: TokenIds,
  { maxNewTokens, stopIds }: DecodeOptions,
): Promise<number[]> {
  const session = scriptedSession(model);
  const tokens: number[] = [];
  for (let ids = prompt; tokens.length < maxNewTokens; ids = Int32Array.of(tokens.at(-1)!)) {
    tokens.push((await session.forward(ids)).at(-1)!);
    if (stopIds?.has(tokens.at(-1)!)) break;
  }
  return tokens;
}

export const autoregressive: Contender = { name: "ar", decode: ar };
