import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { Acceptance } from "../../src/decode/acceptance.ts";
import { CARRY, SHARE, START } from "../../src/decode/accounts.ts";
import { AutoMemory, auto } from "../../src/decode/auto.ts";
import { costModel } from "../../src/decode/cost.ts";
import { jacobi } from "../../src/decode/jacobi.ts";
import { promptLookup } from "../../src/decode/prompt-lookup.ts";
import { settledBy } from "../../src/decode/transcript.ts";
import type { Decoder } from "../../src/decode/types.ts";
import { hash } from "../../src/hash.ts";
import {
  chaoticModel,
  consistentModel,
  ngramModel,
  type ScriptedModel,
  type ScriptedSession,
  scriptedSession,
} from "../../src/runtime/scripted.ts";
import { costs, models, requests } from "./arbitrary.ts";

/** Milliseconds as measured on machines: nearly flat, and steep. */
const FLAT = new Map([
  [2, 12.9],
  [4, 13.9],
  [8, 16.5],
  [16, 20.2],
  [32, 30],
]);
const STEEP = new Map([
  [2, 9],
  [4, 15],
  [8, 22],
  [16, 31],
  [32, 55],
]);

/** Simulated time of the decode passes in passes of one token, and the tokens they wrote. */
async function simulate(
  model: ScriptedModel,
  decode: Decoder,
  measured: ReadonlyMap<number, number>,
  seed: number,
  maxNewTokens = 128,
) {
  const cost = costModel(measured);
  const prompt = Int32Array.from({ length: 40 }, (_, i) => hash(seed, i) % model.vocabSize);
  let time = 0;
  let tokens = 0;
  const rows: number[] = [];
  for await (const iteration of decode(scriptedSession(model), prompt, { maxNewTokens })) {
    if (iteration.prefill) continue;
    time += cost(iteration.rows) / cost(1);
    tokens += iteration.accepted.length;
    rows.push(iteration.rows);
  }
  return { time, tokens, rows };
}

const withAuto =
  (measured: ReadonlyMap<number, number>, memory: AutoMemory): Decoder =>
  (session, prompt, options) =>
    auto(session, prompt, { ...options, costs: measured, memory, clock: () => 0 }); // heads, where there are some, take no time

describe("auto", () => {
  test("never loses more than its accounts allow, whatever the model, the costs and the requests", async () => {
    await fc.assert(
      fc.asyncProperty(
        models,
        costs,
        fc.array(requests, { minLength: 1, maxLength: 4 }),
        async (model, measured, several) => {
          const cost = costModel(measured);
          const memory = new AutoMemory();
          let lost = 0; // in passes of one token, all requests together
          for (const { prompt, options } of several) {
            let lostHere = 0;
            for await (const { rows, accepted, prefill } of auto(scriptedSession(model), prompt, {
              maxNewTokens: options.maxNewTokens,
              costs: measured,
              memory,
            }))
              if (!prefill) lostHere += cost(rows) / cost(1) - accepted.length * (1 + SHARE);
            expect(lostHere).toBeLessThanOrEqual(CARRY + 1e-9);
            lost += lostHere;
          }
          expect(lost).toBeLessThanOrEqual(START + 1e-9);
        },
      ),
      { numRuns: 300 },
    );
  });

  test("is at most 3 % slower than autoregressive decoding where nothing is accepted", async () => {
    for (const measured of [FLAT, STEEP])
      for (let seed = 0; seed < 3; seed++) {
        const memory = new AutoMemory();
        const model = chaoticModel(30_000, seed);
        const first = await simulate(model, withAuto(measured, memory), measured, seed);
        expect(first.time).toBeLessThanOrEqual(1.03 * first.tokens);
        let time = 0;
        let tokens = 0;
        for (let i = 1; i <= 8; i++) {
          const later = await simulate(model, withAuto(measured, memory), measured, 100 * i + seed);
          time += later.time;
          tokens += later.tokens;
        }
        expect(time).toBeLessThanOrEqual(1.012 * tokens); // it experiments less and less
      }
  });

  test.each([
    ["a consistent model", consistentModel(1000, 1)],
    ["a CLLM-like model", consistentModel(1000, 0.9)],
    ["a half-trained CLLM", consistentModel(1000, 0.6)],
    ["a barely consistent model", consistentModel(1000, 0.3)],
    ["text in circles", ngramModel(200, 1)],
    ["text that repeats itself", ngramModel(100, 0.9)],
    ["text that hardly repeats itself", ngramModel(10, 0.5)],
  ])("on %s it comes within 15 percent of the best fixed decoder", async (_, model) => {
    for (const measured of [FLAT, STEEP]) {
      const memory = new AutoMemory();
      await simulate(model, withAuto(measured, memory), measured, 99); // warm-up
      const speed = async (decode: Decoder) => {
        let time = 0;
        let tokens = 0;
        for (let seed = 0; seed < 4; seed++) {
          const run = await simulate(model, decode, measured, seed);
          time += run.time;
          tokens += run.tokens;
        }
        return tokens / time;
      };
      const fixed: number[] = [];
      for (const blockSize of [2, 4, 8, 16, 32])
        for (const decoder of [jacobi, promptLookup])
          fixed.push(await speed((session, prompt, options) => decoder(session, prompt, { ...options, blockSize })));
      expect(await speed(withAuto(measured, memory))).toBeGreaterThanOrEqual(0.85 * Math.max(1, ...fixed));
    }
  });

  test("stays with a width where others promise hardly more, and comes close to the best fixed one", async () => {
    for (const measured of [FLAT, STEEP])
      for (const consistency of [0.5, 0.6, 0.7]) {
        const model = consistentModel(1000, consistency);
        const memory = new AutoMemory();
        await simulate(model, withAuto(measured, memory), measured, 99, 512); // it gets to know the model
        let [time, tokens, changes, passes] = [0, 0, 0, 0];
        const fixed = new Map<number, number>(); // time by block size
        for (let seed = 0; seed < 4; seed++) {
          const run = await simulate(model, withAuto(measured, memory), measured, seed, 256);
          time += run.time;
          tokens += run.tokens;
          passes += run.rows.length;
          changes += run.rows.filter((rows, i) => i > 0 && rows !== run.rows[i - 1]).length;
          for (const blockSize of [2, 4, 6, 8, 10, 12, 16]) {
            const decode: Decoder = (session, prompt, options) => jacobi(session, prompt, { ...options, blockSize });
            const other = await simulate(model, decode, measured, seed, 256);
            fixed.set(blockSize, (fixed.get(blockSize) ?? 0) + other.time / other.tokens);
          }
        }
        const best = 4 / Math.min(...fixed.values()); // tokens in the time of one pass
        expect(tokens / time).toBeGreaterThan(0.93 * best);
        expect(changes / passes).toBeLessThan(0.2);
      }
  });

  test("learns what passes take only where no other text is written", async () => {
    const taught = async (alone: boolean): Promise<number> => {
      const memory = new AutoMemory();
      let now = 0;
      const clock = (): number => {
        now += 20; // each time that it is looked at
        return now;
      };
      const options = { maxNewTokens: 40, costs: FLAT, memory, clock, alone: () => alone };
      for await (const _ of auto(scriptedSession(consistentModel(1000, 0.5)), Int32Array.of(1, 2), options));
      return memory.pace.corrected(costModel(FLAT))(1);
    };
    expect(await taught(true)).toBeGreaterThan(20);
    expect(await taught(false)).toBe(12.9);
  });

  test("widens within a few passes on a consistent model, and at once on the next request", async () => {
    const memory = new AutoMemory();
    const model = consistentModel(1000, 0.95);
    const first = await simulate(model, withAuto(FLAT, memory), FLAT, 1);
    expect(Math.max(...first.rows.slice(0, 5))).toBeGreaterThanOrEqual(16);
    const second = await simulate(model, withAuto(FLAT, memory), FLAT, 2);
    expect(second.rows[0]).toBeGreaterThanOrEqual(16);
  });

  test("finds out by experiment what no narrow window shows", async () => {
    // A consistent model that is lost after a wrong guess in any pass shorter than WIDE: any answer there is legitimate.
    const lost = (model: ScriptedModel, draftToken: number | undefined): ScriptedSession => {
      const session = scriptedSession(model);
      return {
        ...session,
        draftToken,
        get length() {
          return session.length;
        },
        get cached() {
          return session.cached;
        },
        async forward(tokens) {
          const next = await session.forward(tokens);
          return tokens.length < 4 ? next.fill(0, settledBy(tokens, next)) : next;
        },
      };
    };
    const model = consistentModel(1000, 0.95);
    const widest = async (draftToken: number | undefined, within: number): Promise<number> => {
      const rows: number[] = [];
      const options = { costs: FLAT, maxNewTokens: 400 };
      for await (const iteration of auto(lost(model, draftToken), Int32Array.of(1, 2), options))
        rows.push(iteration.rows);
      return Math.max(...rows.slice(0, within));
    };
    expect(await widest(0, 12)).toBeGreaterThanOrEqual(16);
    // A model that does not say that it was trained for this is tried later.
    expect(await widest(undefined, 12)).toBeLessThan(4);
    expect(await widest(undefined, 200)).toBeGreaterThanOrEqual(16);
  });

  test("does not let one request lose what another gained", async () => {
    const memory = new AutoMemory();
    for (let seed = 0; seed < 5; seed++) await simulate(consistentModel(1000, 1), withAuto(FLAT, memory), FLAT, seed);
    const { time, tokens } = await simulate(chaoticModel(1000), withAuto(FLAT, memory), FLAT, 9);
    expect(time - tokens * (1 + SHARE)).toBeLessThanOrEqual(CARRY);
    expect(time).toBeGreaterThan(tokens); // it was misled
  });

  test("stays narrow where a longer pass costs as much as the tokens it could bring", async () => {
    const linear = new Map([
      [1, 10],
      [2, 20],
      [4, 40],
      [32, 320],
    ]);
    for (const model of [consistentModel(1000, 1), ngramModel(100, 1), chaoticModel(1000)]) {
      const { time, tokens } = await simulate(model, withAuto(linear, new AutoMemory()), linear, 3);
      expect(time).toBeLessThanOrEqual(1.03 * tokens);
    }
  });

  test("is a pure function of the request, the costs and its memory", async () => {
    await fc.assert(
      fc.asyncProperty(models, costs, fc.nat(), async (model, measured, seed) => {
        const wide = { ...model, contextLength: 128 };
        const run = async () => {
          const memory = new AutoMemory();
          return [
            await simulate(wide, withAuto(measured, memory), measured, seed, 60),
            await simulate(wide, withAuto(measured, memory), measured, seed + 1, 60),
          ];
        };
        expect(await run()).toEqual(await run());
      }),
      { numRuns: 30 },
    );
  });

  test("needs costs", async () => {
    const run = auto(scriptedSession(chaoticModel(9)), Int32Array.of(1), { maxNewTokens: 1, costs: new Map() });
    await expect(run.next()).rejects.toMatchObject({ code: "usage", message: expect.stringContaining("no costs") });
  });
});

describe("the cost model", () => {
  const points = fc.uniqueArray(
    fc.tuple(fc.integer({ min: 1, max: 64 }), fc.double({ min: 0.01, max: 1000, noNaN: true })),
    {
      minLength: 1,
      maxLength: 8,
      selector: ([tokens]) => tokens,
    },
  );

  test("never falls, and costs as much over the measured points as they do", () => {
    fc.assert(
      fc.property(points, (measured) => {
        const cost = costModel(new Map(measured));
        for (let m = 1; m < 100; m++) expect(cost(m + 1)).toBeGreaterThanOrEqual(cost(m) * (1 - 1e-12));
        const sum = (values: readonly number[]) => values.reduce((total, value) => total + value, 0);
        const whole = sum(measured.map(([, ms]) => ms));
        expect(sum(measured.map(([tokens]) => cost(tokens))) / whole).toBeCloseTo(1, 9);
      }),
    );
  });

  test("is not lifted as a whole by one point that is far too high", () => {
    const cost = costModel(new Map([1, 2, 3, 4, 5, 6, 7, 8].map((m) => [m, m === 2 ? 50 : 10 + m])));
    expect(cost(1)).toBe(11);
    for (const m of [2, 3, 4, 5, 6, 7, 8]) expect(cost(m)).toBeCloseTo((50 + 13 + 14 + 15 + 16 + 17 + 18) / 7);
  });

  test("goes through points that rise, is straight between them, flat before them and goes on behind them", () => {
    const cost = costModel(
      new Map([
        [8, 16],
        [2, 10],
        [4, 12],
      ]),
    );
    expect([1, 2, 3, 4, 6, 8, 12].map(cost)).toEqual([10, 10, 11, 12, 14, 16, 20]);
    expect([1, 5, 99].map(costModel(new Map([[5, 7]])))).toEqual([7, 7, 7]);
  });

  test("refuses costs that cannot be", () => {
    for (const point of [
      [0, 1],
      [1.5, 1],
      [2, 0],
      [2, Number.NaN],
      [2, Number.POSITIVE_INFINITY],
    ] as const)
      expect(() => costModel(new Map([[...point]]))).toThrow(expect.objectContaining({ code: "usage" }));
  });
});

describe("the acceptance of drafts", () => {
  const observations = fc.array(fc.tuple(fc.nat(9), fc.boolean()), { maxLength: 60 });

  test("expects between one token and all of them, and never less from a longer pass", () => {
    fc.assert(
      fc.property(observations, fc.double({ min: 0, max: 1, noNaN: true }), (seen, prior) => {
        const record = new Acceptance(0.9);
        for (const [depth, right] of seen) record.observe(depth, right);
        const drafts = new Float64Array(41);
        const window = new Float64Array(41);
        record.expect(drafts, 40, prior);
        record.expectWindow(window, 40, prior);
        for (const expected of [drafts, window])
          for (let m = 1; m <= 40; m++) {
            expect(expected[m]).toBeGreaterThanOrEqual(1);
            expect(expected[m]).toBeLessThanOrEqual(m);
            if (m > 1) expect(expected[m]).toBeGreaterThanOrEqual(expected[m - 1]!);
          }
        for (let m = 1; m <= 40; m++) {
          // A window of m settles k where m - k refined guesses settle k.
          const guesses = m - window[m]!;
          const low = Math.floor(guesses);
          const between = drafts[low + 1]! + (guesses - low) * (drafts[Math.min(low + 2, 40)]! - drafts[low + 1]!);
          expect(window[m]).toBeCloseTo(between, 9);
        }
      }),
    );
  });

  test("learns the rate of each depth, the latest observations counting most", () => {
    const record = new Acceptance(0.98);
    for (let i = 0; i < 1000; i++) record.observe(0, i % 5 !== 0);
    for (let i = 0; i < 1000; i++) record.observe(1, i % 2 === 0);
    const expected = new Float64Array(5);
    record.expect(expected, 4, 0);
    expect(expected[2]! - 1).toBeCloseTo(0.8, 1);
    expect((expected[3]! - expected[2]!) / 0.8).toBeCloseTo(0.5, 1);
    expect(record.rate(2, 0.5)).toBe(0.5); // never reached: as good as the depth before
    for (let i = 0; i < 200; i++) record.observe(0, false);
    expect(record.rate(0, 0)).toBeLessThan(0.05);
  });

  test("foresees what Jacobi windows settle on a consistent model", async () => {
    const record = new Acceptance(0.9);
    for (let depth = 0; depth < 31; depth++) for (let i = 0; i < 60; i++) record.observe(depth, true);
    const expected = new Float64Array(33);
    record.expectWindow(expected, 32, 1);
    for (const blockSize of [2, 5, 16, 32]) {
      const decode: Decoder = (session, prompt, options) => jacobi(session, prompt, { ...options, blockSize });
      const { tokens, rows } = await simulate(consistentModel(5000), decode, FLAT, 1, 20 * (blockSize + 1) + 1);
      expect(expected[blockSize]).toBeCloseTo(tokens / rows.length, 1);
    }
  });
});
