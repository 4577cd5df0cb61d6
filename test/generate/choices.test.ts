/** What a request chooses: its decoder with options of its own, its sampling and its seed. */
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import type { ModelSampling } from "../../src/checkpoint/checkpoint.ts";
import { readSampling } from "../../src/checkpoint/huggingface/sampling.ts";
import { jacobi } from "../../src/decode/jacobi.ts";
import type { Decoder } from "../../src/decode/types.ts";
import { chooseSampling } from "../../src/generate/sampling.ts";
import type { GenerateOptions, NamedDecoder } from "../../src/generate/types.ts";
import { scriptedLanguageModel } from "./scripted-language-model.ts";

const limits = { prompt: "the and the and the", maxNewTokens: 30, ignoreEos: true };
const named: fc.Arbitrary<NamedDecoder> = fc.oneof(
  fc.record({ name: fc.constant("auto" as const), blockSize: fc.integer({ min: 1, max: 32 }) }),
  fc.constant({ name: "ar" as const }),
  fc.record({ name: fc.constant("jacobi" as const), form: fc.constantFrom("window" as const, "block" as const) }),
  fc.record({ name: fc.constant("lookahead" as const), window: fc.integer({ min: 1, max: 9 }), ngram: fc.constant(4) }),
  fc.record({ name: fc.constant("prompt-lookup" as const), maxNgram: fc.integer({ min: 1, max: 5 }) }),
  fc.record({
    name: fc.constant("multiblock" as const),
    blocks: fc.integer({ min: 1, max: 4 }),
    ratio: fc.constant(0.5),
  }),
);

describe("a decoder", () => {
  test("with options of its own writes the same text", async () => {
    const plain = await scriptedLanguageModel().generate({ ...limits, decoder: "ar" });
    await fc.assert(
      fc.asyncProperty(named, async (decoder) => {
        expect((await scriptedLanguageModel().generate({ ...limits, decoder })).tokens).toEqual(plain.tokens);
      }),
      { numRuns: 40 },
    );
  });

  test("gets its options: a pass has as many rows as they say", async () => {
    const rows = async (decoder: GenerateOptions["decoder"], more: Partial<GenerateOptions> = {}): Promise<number> => {
      let most = 0;
      for await (const { pass } of scriptedLanguageModel().stream({ ...limits, ...more, decoder }))
        if (pass !== undefined && !pass.prefill) most = Math.max(most, pass.rows);
      return most;
    };
    expect(await rows({ name: "jacobi", blockSize: 7 })).toBe(7);
    expect(await rows({ name: "jacobi" }, { blockSize: 5 })).toBe(5);
    expect(await rows({ name: "jacobi", blockSize: 7 }, { blockSize: 5 })).toBe(7);
    expect(await rows({ name: "lookahead", window: 9, ngram: 4 })).toBeGreaterThan(
      await rows({ name: "lookahead", window: 2, ngram: 2 }),
    );
  });

  test("of one's own is run, sampled as any other, and ends at the request's limits whatever it does", async () => {
    let calls = 0;
    const own: Decoder = async function* (session, prompt, options) {
      calls++;
      yield* jacobi(session, prompt, { ...options, maxNewTokens: options.maxNewTokens + 20, stopIds: new Set() });
    };
    const wanted = { ...limits, temperature: 0.8, seed: 4 };
    const plain = await scriptedLanguageModel().generate({ ...wanted, decoder: "ar" });
    const model = scriptedLanguageModel();
    expect((await model.generate({ ...wanted, decoder: own })).tokens).toEqual(plain.tokens);
    const stopIds = [plain.tokens[9]!];
    const stopped = await scriptedLanguageModel().generate({ ...wanted, stopIds, decoder: "ar" });
    const other = await model.generate({ ...wanted, stopIds, decoder: own });
    expect([other.tokens, other.stopReason]).toEqual([stopped.tokens, stopIds[0]]);
    expect(calls).toBe(2);
    const again = await model.generate({ ...wanted, prompt: `${wanted.prompt} and`, decoder: "ar" }); // on its sequence
    const fresh = await scriptedLanguageModel().generate({ ...wanted, prompt: `${wanted.prompt} and`, decoder: "ar" });
    expect(again.tokens).toEqual(fresh.tokens);
  });

  test("that leaves other tokens in the cache than it says harms no later request", async () => {
    const liar: Decoder = async function* (session, prompt) {
      session.truncate(0);
      await session.forward(Int32Array.from(prompt, () => 5));
      yield { accepted: Int32Array.of(1), prefill: true, trunk: prompt.length, rows: prompt.length };
    };
    const model = scriptedLanguageModel();
    await model.generate({ ...limits, decoder: liar });
    const fresh = await scriptedLanguageModel().generate(limits);
    expect((await model.generate(limits)).tokens).toEqual(fresh.tokens);
  });

  test.each<[unknown, RegExp]>([
    [{ name: "lookahead", widow: 3 }, /decoder lookahead takes no decoder.widow; did you mean decoder.window/],
    [{ name: "jacobi", window: 3 }, /decoder jacobi takes no decoder.window/],
    [{ name: "jacobi", blockSize: 0 }, /decoder.blockSize must be at least 1, not 0/],
    [{ name: "jacobi", draft: 3 }, /decoder.draft must be a function that opens a draft/],
    [{ name: "jacobian" }, /decoder must be one of auto, .*, an object .* or a decoder, not/],
    [{}, /decoder must be one of/],
    [7, /decoder must be one of/],
  ])("%j is refused", async (decoder, message) => {
    const model = scriptedLanguageModel();
    const work = model.generate({ ...limits, decoder: decoder as "ar" });
    await expect(work).rejects.toMatchObject({ code: "usage", message: expect.stringMatching(message) });
    expect(model.opened.length).toBe(0);
  });
});

describe("a seed", () => {
  test("is drawn where none is given, said, and writes the same again; a greedy choice has none", async () => {
    const model = scriptedLanguageModel();
    const wanted = { ...limits, temperature: 1 };
    const drawn = await Promise.all(Array.from({ length: 5 }, () => model.generate(wanted)));
    expect(new Set(drawn.map(({ text }) => text)).size).toBeGreaterThan(1);
    for (const { seed, text } of drawn)
      expect(await model.generate({ ...wanted, seed: seed! })).toMatchObject({ text, seed });
    expect((await model.generate(limits)).seed).toBeNull();
    expect((await model.generate({ ...limits, seed: 3 })).seed).toBeNull();
  });
});

describe("the model's own sampling", () => {
  const own: ModelSampling = { temperature: 0.6, topK: 20, topP: 0.95, minP: 0.1, ignored: [] };

  test("holds where it is asked for and nothing else is given", () => {
    expect(chooseSampling({ seed: 5 }, own)).toEqual({ temperature: 0, topK: 0, topP: 1, minP: 0, seed: null });
    const { ignored: _, ...plain } = own;
    expect(chooseSampling({ modelSampling: true, seed: 5 }, own)).toEqual({ ...plain, seed: 5 });
    const some = chooseSampling({ modelSampling: true, topK: 3, seed: 5 }, own);
    expect(some).toEqual({ ...plain, topK: 3, seed: 5 });
    expect(chooseSampling({ modelSampling: true, temperature: 0 }, own).seed).toBeNull();
    expect(chooseSampling({ modelSampling: true }, null)).toMatchObject({ temperature: 0, seed: null });
  });

  test("is said by the model, and used by its generations", async () => {
    const model = scriptedLanguageModel({ sampling: own });
    expect(model.sampling).toEqual(own);
    const { seed, text } = await model.generate({ ...limits, modelSampling: true });
    const { ignored: _, ...plain } = own;
    expect((await model.generate({ ...limits, ...plain, seed: seed! })).text).toBe(text);
  });

  test.each<[Record<string, unknown> | null, ModelSampling | null]>([
    [null, null],
    [{ eos_token_id: 2 }, null],
    [{ do_sample: false, temperature: 0.7 }, null],
    [{ temperature: 0 }, null],
    [{ do_sample: true }, { temperature: 1, topK: 50, topP: 1, minP: 0, ignored: [] }],
    [
      { do_sample: true, temperature: 0.6, top_k: 20, top_p: 0.95, repetition_penalty: 1 },
      { temperature: 0.6, topK: 20, topP: 0.95, minP: 0, ignored: [] },
    ],
    [
      { temperature: 0.7, top_k: 0, min_p: 0.1, repetition_penalty: 1.05 },
      { temperature: 0.7, topK: 0, topP: 1, minP: 0.1, ignored: ["repetition_penalty"] },
    ],
    [
      { temperature: "hot", top_p: 7, top_k: 4 },
      { temperature: 1, topK: 4, topP: 1, minP: 0, ignored: [] },
    ],
  ])("of generation_config.json %j", (generation, expected) => {
    expect(readSampling(generation)).toEqual(expected);
  });
});
