/** Statistics against published examples, exact arithmetic and what they promise: intervals that hold what they should. */
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { bootstrap, mcNemarExact, pairedDifference, pairedRatio, wilsonInterval } from "../../src/eval/statistics.ts";
import { hash } from "../../src/hash.ts";

const share = fc.nat(300).chain((total) => fc.tuple(fc.nat(total), fc.constant(total)));

describe("Wilson's interval", () => {
  // Newcombe, "Two-sided confidence intervals for the single proportion", Statistics in Medicine 17 (1998), table I
  test.each([
    [81, 263, 0.2553, 0.3662],
    [15, 148, 0.0624, 0.1605],
    [0, 20, 0, 0.1611],
    [1, 29, 0.0061, 0.1718],
  ])("of %i in %i is %f to %f", (right, total, low, high) => {
    const interval = wilsonInterval(right, total);
    expect(interval.low).toBeCloseTo(low, 4);
    expect(interval.high).toBeCloseTo(high, 4);
  });

  test("holds the share, stays within 0 and 1, and is the mirror of the opposite's", () => {
    fc.assert(
      fc.property(share, ([right, total]) => {
        const { low, high } = wilsonInterval(right, total);
        if (total > 0) expect(low).toBeLessThanOrEqual(right / total);
        if (total > 0) expect(high).toBeGreaterThanOrEqual(right / total);
        expect(low).toBeGreaterThanOrEqual(0);
        expect(high).toBeLessThanOrEqual(1);
        const opposite = wilsonInterval(total - right, total);
        expect(opposite.low).toBeCloseTo(1 - high, 12);
      }),
    );
  });

  test("ends where the score test rejects: 1.96 standard errors of the bound from the share", () => {
    fc.assert(
      fc.property(share, ([right, total]) => {
        fc.pre(right > 0 && right < total);
        const { low, high } = wilsonInterval(right, total);
        for (const bound of [low, high]) {
          const score = Math.abs(right / total - bound) / Math.sqrt((bound * (1 - bound)) / total);
          expect(score).toBeCloseTo(1.959964, 5);
        }
      }),
    );
  });

  test.each([
    [3, 2],
    [-1, 2],
    [0.5, 1],
    [Number.NaN, 1],
  ])("of %d in %d is an error", (right, total) => {
    expect(() => wilsonInterval(right, total)).toThrow(/is no share/);
  });
});

describe("McNemar's exact test", () => {
  /** The same in whole numbers. */
  function plainTwin(one: number, other: number): number {
    const total = BigInt(one + other);
    let [term, tail] = [1n, 0n];
    for (let k = 0n; k <= BigInt(Math.min(one, other)); k++) {
      tail += term;
      term = (term * (total - k)) / (k + 1n);
    }
    const scaled = (2n * tail * 10n ** 18n) / 2n ** total;
    return Math.min(1, Number(scaled) / 1e18);
  }

  test("of 6 against 16 is 0.053 (Fagerland, Lydersen and Laake, BMC Medical Research Methodology 13, 2013)", () => {
    expect(mcNemarExact(6, 16)).toBeCloseTo(0.0525, 4);
  });

  test("of none is certain, of 5 against 0 is 2 in 32", () => {
    expect(mcNemarExact(0, 0)).toBe(1);
    expect(mcNemarExact(5, 0)).toBeCloseTo(2 / 32, 12);
  });

  test("is what whole numbers give, whichever side is first", () => {
    fc.assert(
      fc.property(fc.nat(400), fc.nat(400), (one, other) => {
        expect(mcNemarExact(one, other)).toBeCloseTo(plainTwin(one, other), 9);
        expect(mcNemarExact(other, one)).toBe(mcNemarExact(one, other));
      }),
    );
    expect(mcNemarExact(5_000, 5_000)).toBe(1);
    expect(mcNemarExact(0, 5_000)).toBe(0); // less than doubles hold
  });

  test("of what is no count is an error", () => {
    expect(() => mcNemarExact(1.5, 2)).toThrow(/must be counts/);
    expect(() => mcNemarExact(-1, 2)).toThrow(/must be counts/);
  });
});

describe("the bootstrap", () => {
  const values = fc.array(fc.integer({ min: -50, max: 50 }), { minLength: 1, maxLength: 30 });
  const pairs = values.chain((first) =>
    fc.tuple(
      fc.constant(first),
      fc.array(fc.integer({ min: 1, max: 50 }), { minLength: first.length, maxLength: first.length }),
    ),
  );
  const options = { resamples: 200, seed: 3 };

  test("gives the same for the same seed, and mirrors with the sides", () => {
    fc.assert(
      fc.property(pairs, ([first, second]) => {
        const found = pairedDifference(first, second, options);
        expect(pairedDifference(first, second, options)).toEqual(found);
        expect(found.low).toBeLessThanOrEqual(found.high);
        const mirrored = pairedDifference(second, first, options);
        expect(mirrored.estimate).toBeCloseTo(-found.estimate, 9);
        expect(mirrored.low).toBeCloseTo(-found.high, 9);
        expect(mirrored.high).toBeCloseTo(-found.low, 9);
      }),
      { numRuns: 30 },
    );
    const noisy = Array.from({ length: 50 }, (_, i) => hash(i) / 2 ** 32);
    const zeros = noisy.map(() => 0);
    expect(pairedDifference(noisy, zeros, { seed: 1 })).not.toEqual(pairedDifference(noisy, zeros, { seed: 2 }));
  });

  test("is a point where all questions are the same", () => {
    expect(pairedDifference([3, 3, 3], [1, 1, 1])).toEqual({ estimate: 2, low: 2, high: 2 });
    expect(pairedRatio([6, 6], [2, 2])).toEqual({ estimate: 3, low: 3, high: 3 });
  });

  test("of a mean is as wide as the normal theory has it", () => {
    const n = 400;
    const noise = Array.from({ length: n }, (_, i) => hash(7, i) / 2 ** 32); // uniform: variance 1/12
    const { low, high, estimate } = pairedDifference(
      noise,
      noise.map(() => 0),
      { resamples: 4_000 },
    );
    const width = 2 * 1.96 * Math.sqrt(1 / 12 / n);
    expect((high - low) / width).toBeGreaterThan(0.9);
    expect((high - low) / width).toBeLessThan(1.1);
    expect(estimate).toBeGreaterThan(low);
    expect(estimate).toBeLessThan(high);
  });

  test("holds the truth about 95 times in 100", () => {
    let held = 0;
    const runs = 300;
    for (let run = 0; run < runs; run++) {
      const first = Array.from({ length: 60 }, (_, i) => Number(hash(11, run, i) % 10 < 4)); // right 4 times in 10
      const { low, high } = pairedDifference(
        first,
        first.map(() => 0),
        { seed: run, resamples: 300 },
      );
      held += Number(low <= 0.4 && 0.4 <= high);
    }
    expect(held / runs).toBeGreaterThan(0.9);
    expect(held / runs).toBeLessThan(0.99);
  });

  test("draws every question equally often, each any number of times", () => {
    const counts = new Float64Array(7);
    const resamples = 3_000;
    const repeats = (drawn: Int32Array): number => {
      for (const i of drawn) counts[i]!++;
      return new Set(drawn).size;
    };
    bootstrap(7, repeats, { resamples });
    for (const count of counts) expect(Math.abs(count / resamples - 1)).toBeLessThan(0.06); // 3 standard errors
  });

  test("of pairs that do not fit, or of nothing, is an error", () => {
    expect(() => pairedDifference([1], [1, 2])).toThrow(/1 and 2 values make no pairs/);
    expect(() => pairedRatio([], [])).toThrow(/0 questions/);
  });
});
