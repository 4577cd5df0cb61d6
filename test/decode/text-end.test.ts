/** The end of a text: nothing is run behind it once the guesses foresee it, and `auto` learns how long texts are. */
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { Acceptance } from "../../src/decode/acceptance.ts";
import { AutoMemory, auto } from "../../src/decode/auto.ts";
import { costModel } from "../../src/decode/cost.ts";
import { jacobi } from "../../src/decode/jacobi.ts";
import { promptLookup } from "../../src/decode/prompt-lookup.ts";
import { TextLengths } from "../../src/decode/text-lengths.ts";
import type { Decoder, Iteration } from "../../src/decode/types.ts";
import { WindowOutlook } from "../../src/decode/window-outlook.ts";
import { hash } from "../../src/hash.ts";
import { type ScriptedModel, scriptedSession } from "../../src/runtime/scripted.ts";
import type { Session, TokenIds } from "../../src/runtime/session.ts";
import { greedy, plainModels } from "./arbitrary.ts";

const STOP = 0;
/** Milliseconds of passes as in a page: a token more costs a fifth of a pass of one. */
const COSTS = new Map([1, 2, 4, 8, 16, 32].map((rows) => [rows, 1 + 0.2 * Math.max(0, rows - 2)]));
const price = costModel(COSTS);

const withAuto =
  (memory: AutoMemory): Decoder =>
  (session, prompt, options) =>
    auto(session, prompt, { ...options, costs: COSTS, memory, clock: () => 0 });

/** A model that does not mind wrong guesses, whose text for a prompt of one token ends after `length` tokens. */
const ending = (length: number): ScriptedModel => ({
  vocabSize: 5000,
  next: (context) => (context.length >= length ? STOP : 1 + (hash(context.length, context[0]!) % 4999)),
});

async function run(model: ScriptedModel, decode: Decoder, seed: number): Promise<Iteration[]> {
  const options = { maxNewTokens: 96, stopIds: new Set([STOP]) };
  const all: Iteration[] = [];
  for await (const iteration of decode(scriptedSession(model), Int32Array.of(1 + seed), options)) all.push(iteration);
  return all;
}

describe("behind a stop id that the guesses foresee", () => {
  test("no decoder of a chain runs a row", async () => {
    const decoders: readonly Decoder[] = [
      jacobi,
      (session, prompt, options) => jacobi(session, prompt, { ...options, form: "block" }),
      promptLookup,
      withAuto(new AutoMemory()),
    ];
    const stops = fc.array(fc.nat(39), { minLength: 1, maxLength: 3 });
    await fc.assert(
      fc.asyncProperty(plainModels, stops, fc.nat(), async (model, ids, seed) => {
        const stopIds = new Set(ids);
        const prompt = Int32Array.of(seed % model.vocabSize, 1 % model.vocabSize);
        const expected = await greedy(model, prompt, { maxNewTokens: 40, stopIds });
        for (const decode of decoders) {
          const session = scriptedSession(model);
          const passes: TokenIds[] = [];
          const spied: Session = {
            ...session,
            get length() {
              return session.length;
            },
            forward: (tokens, forest) => {
              passes.push(tokens.slice());
              return session.forward(tokens, forest);
            },
          };
          const written: number[] = [];
          for await (const { accepted } of decode(spied, prompt, { maxNewTokens: 40, stopIds }))
            written.push(...accepted);
          expect(written).toEqual(expected);
          for (const tokens of passes.slice(1)) expect(tokens.subarray(1).some((id) => stopIds.has(id))).toBe(false);
        }
      }),
    );
  });

  test("a window has as many rows as there are tokens to settle", async () => {
    for (let length = 3; length < 40; length++) {
      const passes = await run(ending(length), jacobi, length);
      const last = passes.at(-1)!;
      if (last.accepted.length > 1) expect(last.rows).toBe(last.accepted.length);
    }
  });
});

describe("lengths of earlier texts", () => {
  test("say what is left, from the shortest to the longest, and the latest count", () => {
    const lengths = new TextLengths();
    expect(lengths.beyond(0)).toEqual([]);
    for (const length of [9, 4, 20]) lengths.observe(length);
    expect(lengths.beyond(0)).toEqual([4, 9, 20]);
    expect(lengths.beyond(4)).toEqual([9, 20]);
    expect(lengths.beyond(20)).toEqual([]);
    for (let i = 0; i < 32; i++) lengths.observe(7);
    expect(new Set(lengths.beyond(0))).toEqual(new Set([7]));
  });

  test("are looked at in an even choice where there are many", () => {
    fc.assert(
      fc.property(fc.array(fc.integer({ min: 1, max: 500 }), { minLength: 1, maxLength: 60 }), (all) => {
        const lengths = new TextLengths();
        for (const length of all) lengths.observe(length);
        const chosen = lengths.beyond(0);
        const kept = all.slice(-32);
        expect(chosen).toEqual([...chosen].sort((a, b) => a - b));
        expect(chosen.length).toBe(Math.min(8, kept.length));
        for (const length of chosen) expect(kept).toContain(length);
      }),
    );
  });
});

describe("what windows promise until the end", () => {
  const loss = Float64Array.from({ length: 33 }, (_, m) => price(m) / price(1) - 1);
  const sure = new Acceptance(1);
  for (let i = 0; i < 2000; i++) sure.observe(i % 32, true);

  test("is one pass where the guesses foresee it", () => {
    const outlook = new WindowOutlook(loss);
    outlook.look(sure, 32, 1, 9, [10]);
    expect(outlook.promise(10)).toBeCloseTo(10 / (1 + loss[10]!), 1);
    expect(outlook.promise(32)).toBeCloseTo(outlook.promise(10), 6);
  });

  test("is best, with fresh guesses, for a window that holds the text", () => {
    const outlook = new WindowOutlook(loss);
    outlook.look(sure, 32, 1, 0, [14, 15, 16]);
    const promises = Array.from({ length: 30 }, (_, i) => outlook.promise(i + 2));
    const best = 2 + promises.indexOf(Math.max(...promises));
    expect(best).toBeGreaterThanOrEqual(14);
    expect(best).toBeLessThanOrEqual(17);
  });

  test("nothing is known without a text", () => {
    const outlook = new WindowOutlook(loss);
    outlook.look(sure, 32, 1, 0, []);
    expect(outlook.sees).toBe(false);
  });
});

test("on short texts auto comes close to the best fixed window once it knows how long they are", async () => {
  for (const [shortest, longest] of [
    [6, 8],
    [10, 24],
    [18, 20],
  ] as const) {
    const speed = async (decode: Decoder, warmUp: number): Promise<number> => {
      let [tokens, time] = [0, 0];
      for (let seed = 0; seed < 60; seed++) {
        const length = 1 + shortest + (hash(seed) % (longest - shortest + 1));
        for (const { accepted, rows, prefill } of await run(ending(length), decode, seed)) {
          if (prefill || seed < warmUp) continue;
          tokens += accepted.length;
          time += price(rows);
        }
      }
      return tokens / time;
    };
    const fixed: number[] = [];
    for (const blockSize of [4, 8, 12, 16, 20, 24])
      fixed.push(await speed((session, prompt, options) => jacobi(session, prompt, { ...options, blockSize }), 20));
    expect(await speed(withAuto(new AutoMemory()), 20)).toBeGreaterThan(0.93 * Math.max(...fixed));
  }
});
