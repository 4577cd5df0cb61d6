import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { sampled } from "../../src/decode/choice.ts";
import { gumbel, noiseAt, noiseBits, sample, sampleAmong } from "../../src/decode/gumbel.ts";
import { type SamplingOptions, survivors } from "../../src/decode/sampling.ts";
import { hash } from "../../src/hash.ts";
import { scriptedSession } from "../../src/runtime/scripted.ts";
import { autoregressive, contenders, models, requests, write } from "./arbitrary.ts";

const logit = fc.oneof(
  { weight: 6, arbitrary: fc.float({ min: -12, max: 12, noNaN: true }) },
  { weight: 2, arbitrary: fc.integer({ min: -2, max: 2 }) }, // ties
  { weight: 1, arbitrary: fc.constant(Number.NEGATIVE_INFINITY) },
);
const rows = fc.array(logit, { minLength: 1, maxLength: 60 }).map((values) => Float32Array.from(values));
const temperatures = fc.constantFrom(1e-6, 0.1, 0.7, 1, 1.5, 100);
const filters = fc.record({
  topK: fc.oneof(fc.constant(0), fc.integer({ min: 1, max: 70 })),
  topP: fc.oneof(fc.constant(1), fc.constant(0), fc.double({ min: 0, max: 1, noNaN: true })),
  minP: fc.oneof(fc.constant(0), fc.constant(1), fc.double({ min: 0, max: 1, noNaN: true })),
});
const options: fc.Arbitrary<SamplingOptions> = fc
  .tuple(filters, fc.constantFrom(0, 0.3, 0.8, 2), fc.oneof(fc.nat(), fc.maxSafeInteger()))
  .map(([kept, temperature, seed]) => ({ ...kept, temperature, seed }));

describe("seeded sampling", () => {
  test("makes every decoder write what seeded autoregressive sampling writes", async () => {
    await fc.assert(
      fc.asyncProperty(contenders, models, requests, options, async (contender, model, { prompt, options }, how) => {
        const session = scriptedSession(model);
        const expected = await write(autoregressive, session, prompt, options, { over: sampled(session, how) });
        session.truncate(0);
        const actual = await write(contender, session, prompt, options, { over: sampled(session, how) });
        expect(actual.tokens).toEqual(expected.tokens);
      }),
      { numRuns: 500 },
    );
  });

  test("chooses a token by seed, position and context, whatever pass it is chosen in", async () => {
    await fc.assert(
      fc.asyncProperty(models, requests, options, fc.nat(), async (model, { prompt }, how, at) => {
        const whole = sampled(scriptedSession(model), how);
        const next = await whole.forward(prompt);
        const parts = sampled(scriptedSession(model), how);
        const split = at % prompt.length;
        const before = split > 0 ? await parts.forward(prompt.subarray(0, split)) : new Int32Array(0);
        expect([...before, ...(await parts.forward(prompt.subarray(split)))]).toEqual([...next]);

        const alone = sampled(scriptedSession(model), how);
        const last = alone.prefill
          ? alone.prefill(prompt, 1).then((all) => all.at(-1))
          : alone.forward(prompt).then((all) => all.at(-1));
        expect(await last).toBe(next.at(-1));
        expect(alone.length).toBe(prompt.length);
      }),
    );
  });

  test("gives side rows the noise of their position", async () => {
    await fc.assert(
      fc.asyncProperty(models, options, async (model, how) => {
        const session = sampled(scriptedSession({ ...model, sideError: 0 }), how);
        const prompt = Int32Array.of(0, 1);
        await session.forward(prompt);
        // 1 -> 0 -> 1 as the trunk, and 1 -> 1 -> 0 beside it
        const next = await session.forward(Int32Array.of(1, 0, 1, 1, 0), { parents: Int32Array.of(-1, 0, 1, 0, 3) });
        session.truncate(2);
        expect([...(await session.forward(Int32Array.of(1, 1, 0)))]).toEqual([next[0], next[3], next[4]]);
      }),
    );
  });

  test("skipping tokens early never changes the sample", () => {
    fc.assert(
      fc.property(rows, temperatures, fc.nat(), fc.nat(), (row, temperature, seed, position) => {
        const noise = noiseAt(seed, position);
        let best = 0;
        const highest = Math.max(...row);
        fc.pre(highest > Number.NEGATIVE_INFINITY);
        const value = (id: number) => (row[id]! - highest) * (1 / temperature) + gumbel(noiseBits(noise, id));
        for (let id = 1; id < row.length; id++) if (value(id) > value(best)) best = id;
        expect(sample(row, 1 / temperature, noise)).toBe(best);
        expect(sampleAmong(Int32Array.from(row.keys()).reverse(), row, 1 / temperature, noise)).toBe(best);
      }),
      { numRuns: 2000 },
    );
  });

  test("no two tokens of a position tie", () => {
    fc.assert(
      fc.property(fc.nat(), fc.nat(), (seed, position) => {
        const noise = noiseAt(seed, position);
        expect(new Set(Array.from({ length: 5000 }, (_, id) => noiseBits(noise, id * 31))).size).toBe(5000);
      }),
      { numRuns: 20 },
    );
  });

  test("survives logits and temperatures at the ends of the number line", async () => {
    const noise = noiseAt(1, 1);
    const inf = Number.POSITIVE_INFINITY;
    expect(sample(Float32Array.of(1, inf, inf), 1, noise)).toBe(1);
    expect(sample(new Float32Array(3).fill(-inf), 1, noise)).toBe(0);
    expect([...survivors(Float32Array.of(1, inf, inf), 1, { topK: 2, topP: 0.5, minP: 0.5 })]).toEqual([1]);
    expect([...survivors(new Float32Array(3).fill(-inf), 1, { topK: 2, topP: 0.5, minP: 0.5 })]).toEqual([0]);
    for (const temperature of [Number.MIN_VALUE, 1e-300])
      for (const filter of [{}, { topK: 3, topP: 0.99, minP: 0.01 }]) {
        const session = sampled(
          scriptedSession({ vocabSize: 4, logits: () => Float32Array.of(3e38, -3e38, 3.1e38, 0) }),
          { temperature, ...filter },
        );
        await expect(session.forward(Int32Array.of(0, 0))).resolves.toEqual(Int32Array.of(2, 2));
      }
  });

  test("filters keep what their definitions keep", () => {
    fc.assert(
      fc.property(rows, temperatures, filters, (row, temperature, { topK, topP, minP }) => {
        fc.pre(row.some((value) => value > Number.NEGATIVE_INFINITY));
        const highest = Math.max(...row);
        const scale = 1 / temperature;
        const weight = (id: number) => Math.exp(-((highest - row[id]!) * scale));
        const total = (ids: number[]) => ids.reduce((sum, id) => sum + weight(id), 0);
        let kept = [...row.keys()].sort((x, y) => row[y]! - row[x]! || x - y);
        if (topK > 0 && topK < row.length) kept = kept.slice(0, topK);
        if (topP < 1) {
          const mass = topP * (topK > 0 && topK < row.length ? total(kept) : total([...row.keys()]));
          let n = 1;
          while (n < kept.length && total(kept.slice(0, n)) < mass) n++;
          kept = kept.slice(0, n);
        }
        if (minP > 0) kept = kept.filter((id) => (highest - row[id]!) * scale <= -Math.log(minP));
        expect(survivors(row, scale, { topK, topP, minP }).sort()).toEqual(Int32Array.from(kept).sort());
      }),
      { numRuns: 2000 },
    );
  });

  test("temperature 0, topK 1 and topP 0 are greedy", async () => {
    const cases: SamplingOptions[] = [
      {},
      { temperature: 0, topK: 5, seed: 3 },
      { temperature: 2, topK: 1 },
      { temperature: 2, topP: 0 },
    ];
    await fc.assert(
      fc.asyncProperty(models, requests, fc.constantFrom(...cases), async (model, { prompt, options }, how) => {
        const session = scriptedSession(model);
        const expected = await write(autoregressive, session, prompt, options);
        session.truncate(0);
        const actual = await write(autoregressive, session, prompt, options, { over: sampled(session, how) });
        expect(actual.tokens).toEqual(expected.tokens);
      }),
    );
  });

  test("follows the softmax of the logits over the temperature", () => {
    const row = Float32Array.from({ length: 40 }, (_, id) => 4 * Math.sin(id * id));
    for (const temperature of [0.5, 1, 2]) {
      const weights = [...row].map((value) => Math.exp(value / temperature));
      const total = weights.reduce((sum, weight) => sum + weight, 0);
      for (const [name, noise] of Object.entries({
        "over positions": (i: number) => noiseAt(7, i),
        "over seeds": (i: number) => noiseAt(i, 11),
      })) {
        const counts = new Array<number>(row.length).fill(0);
        const draws = 20_000;
        for (let i = 0; i < draws; i++) counts[sample(row, 1 / temperature, noise(i))]!++;
        expect(
          chiSquare(
            counts,
            weights.map((weight) => (draws * weight) / total),
          ),
          name,
        ).toBeLessThan(90); // 39 degrees of freedom: 1 in 200,000
      }
    }
  });

  test("noise is uniform, and independent between positions and between tokens", () => {
    const draws = 40_000;
    const pairs = {
      tokens: (i: number) => [noiseBits(noiseAt(1, i), 5), noiseBits(noiseAt(1, i), 6)] as const,
      positions: (i: number) => [noiseBits(noiseAt(1, i), 5), noiseBits(noiseAt(1, i + 1), 5)] as const,
      seeds: (i: number) => [noiseBits(noiseAt(i, 3), 5), noiseBits(noiseAt(i + 1, 3), 5)] as const,
      ids: (i: number) => [noiseBits(noiseAt(2, 9), i), noiseBits(noiseAt(2, 9), i + 1)] as const,
      "the shifted ids of the next position": (i: number) =>
        [noiseBits(noiseAt(2, 9), i + 1), noiseBits(noiseAt(2, 10), i)] as const,
    };
    for (const [name, pair] of Object.entries(pairs)) {
      const counts = new Array<number>(256).fill(0);
      for (let i = 0; i < draws; i++) {
        const [x, y] = pair(i);
        counts[(x >>> 28) * 16 + (y >>> 28)]!++; // 16 by 16 cells of the leading bits
      }
      expect(
        chiSquare(
          counts,
          counts.map(() => draws / 256),
        ),
        name,
      ).toBeLessThan(370); // 255 degrees: 1 in 200,000
    }
  });

  test("refuses options that mean nothing", () => {
    const session = scriptedSession({ vocabSize: 4, next: () => 1 });
    const wrong: [SamplingOptions, RegExp][] = [
      [{ temperature: -1 }, /temperature is -1/],
      [{ temperature: Number.NaN }, /temperature is NaN/],
      [{ temperature: Number.POSITIVE_INFINITY }, /temperature is Infinity/],
      [{ topK: -1 }, /topK is -1/],
      [{ topK: 1.5 }, /topK is 1.5/],
      [{ topP: 1.1 }, /topP is 1.1/],
      [{ minP: Number.NaN }, /minP is NaN/],
      [{ seed: 0.5 }, /seed is 0.5/],
    ];
    for (const [options, message] of wrong)
      expect(() => sampled(session, options)).toThrow(
        expect.objectContaining({ code: "usage", message: expect.stringMatching(message) }),
      );
  });
});

test("hash tells numbers apart that differ beyond 32 bits, in sign or in order", () => {
  const values = [hash(1, 2), hash(2, 1), hash(1, 2 + 2 ** 40), hash(1, -2), hash(1), hash(0, 1, 2), hash(1, 2, 0)];
  expect(new Set(values).size).toBe(values.length);
});

function chiSquare(counts: number[], expected: number[]): number {
  return counts.reduce((sum, count, i) => sum + (count - expected[i]!) ** 2 / expected[i]!, 0);
}
