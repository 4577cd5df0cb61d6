/** Rotary frequencies and tables are those of the papers, with every stretching. */
import fc from "fast-check";
import { expect, test } from "vitest";
import type { RopeScaling } from "../../src/model/config.ts";
import { ropeFrequencies, ropeTables } from "../../src/model/rope.ts";
import { BASE } from "./random-model.ts";

const heads = fc.constantFrom(2, 16, 64, 128);
const thetas = fc.constantFrom(500, 10_000, 500_000, 1e6);
const plain = (headSize: number, ropeTheta: number, ropeScaling: RopeScaling | null = null): number[] => [
  ...ropeFrequencies({ ...BASE, headSize, ropeTheta, ropeScaling }),
];

test("frequencies fall from 1 by equal factors to almost 1 / theta", () => {
  fc.assert(
    fc.property(heads, thetas, (headSize, theta) => {
      const frequencies = plain(headSize, theta);
      expect(frequencies).toHaveLength(headSize / 2);
      for (const [j, f] of frequencies.entries()) expect(f * theta ** ((2 * j) / headSize)).toBeCloseTo(1, 12);
    }),
  );
});

test("linear scaling stretches every wave, divisors each its own", () => {
  fc.assert(
    fc.property(heads, thetas, fc.double({ min: 1, max: 64, noNaN: true }), (headSize, theta, factor) => {
      const unscaled = plain(headSize, theta);
      expect(plain(headSize, theta, { type: "linear", factor })).toEqual(unscaled.map((f) => f / factor));
      const divisors = unscaled.map((_, j) => 1 + (factor * j) / headSize);
      expect(plain(headSize, theta, { type: "divisors", divisors })).toEqual(unscaled.map((f, j) => f / divisors[j]!));
    }),
  );
});

test("Llama 3 keeps short waves, stretches long ones, and goes smoothly from the one to the other", () => {
  const scalings = fc.record({
    type: fc.constant("llama3" as const),
    factor: fc.double({ min: 1.5, max: 32, noNaN: true }),
    lowFrequencyFactor: fc.constantFrom(1, 2),
    highFrequencyFactor: fc.constantFrom(4, 8),
    originalContextLength: fc.constantFrom(32, 2048, 8192),
  });
  fc.assert(
    fc.property(heads, thetas, scalings, (headSize, theta, scaling) => {
      const { factor, lowFrequencyFactor: low, highFrequencyFactor: high, originalContextLength: length } = scaling;
      const unscaled = plain(headSize, theta);
      const scaled = plain(headSize, theta, scaling);
      let kept = 1;
      for (const [j, f] of scaled.entries()) {
        const waves = length / ((2 * Math.PI) / unscaled[j]!); // in the original context
        const share = Math.min(1, Math.max(0, (waves - low) / (high - low))); // 1 keeps, 0 stretches
        expect(f / unscaled[j]!).toBeCloseTo(share + (1 - share) / factor, 12);
        expect(f / unscaled[j]!).toBeLessThanOrEqual(kept + 1e-12);
        kept = f / unscaled[j]!;
      }
    }),
  );
});

test("tables hold the cosine and sine of position times frequency", () => {
  fc.assert(
    fc.property(heads, thetas, fc.integer({ min: 1, max: 300 }), (headSize, theta, positions) => {
      const { cos, sin } = ropeTables({ ...BASE, headSize, ropeTheta: theta }, positions);
      const frequencies = plain(headSize, theta);
      expect([cos.length, sin.length]).toEqual([positions * frequencies.length, positions * frequencies.length]);
      for (let i = 0; i < cos.length; i++) {
        const position = Math.floor(i / frequencies.length);
        const angle = position * frequencies[i % frequencies.length]!;
        const rounding = 1.2e-7 * (angle + 1); // angles are float32
        if (!(Math.abs(cos[i]! - Math.cos(angle)) < rounding)) expect.fail(`cosine ${i}: ${cos[i]}`);
        if (!(Math.abs(sin[i]! - Math.sin(angle)) < rounding)) expect.fail(`sine ${i}: ${sin[i]}`);
      }
    }),
    { numRuns: 30 },
  );
});
