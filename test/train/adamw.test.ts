/** AdamW in WebAssembly against its plain twin, bit for bit, and against the paper in double precision. */
import fc from "fast-check";
import { expect, test } from "vitest";
import { hash } from "../../src/hash.ts";
import { ADAMW, type AdamWStep, adamWConstants, adamWStep } from "../../src/train/adamw.ts";
import { CHUNK } from "../../src/train/adamw-kernel.ts";

interface State {
  weights: Float32Array;
  gradient: Float32Array;
  first: Float32Array;
  second: Float32Array;
}

function randomState(length: number, seed: number): State {
  const numbers = (which: number, size: number): Float32Array =>
    Float32Array.from({ length }, (_, i) => ((hash(seed, which, i) / 2 ** 32) * 2 - 1) * size);
  return {
    weights: numbers(1, 1),
    gradient: numbers(2, 3),
    first: numbers(3, 0.1),
    second: numbers(4, 0.1).map(Math.abs),
  };
}

/** The same operations, one number at a time. */
function plainStep({ weights, gradient, first, second }: State, step: AdamWStep): void {
  const f = Math.fround;
  const { scale, b1, c1, b2, c2, rate, epsilon, keep } = adamWConstants(step);
  for (let i = 0; i < weights.length; i++) {
    const g = f(gradient[i]! * scale);
    first[i] = f(f(b1 * first[i]!) + f(c1 * g));
    second[i] = f(f(b2 * second[i]!) + f(c2 * f(g * g)));
    const change = f(f(rate * first[i]!) / f(f(Math.sqrt(second[i]!)) + epsilon));
    weights[i] = f(f(weights[i]! * keep) - change);
  }
}

const steps = fc.record({
  step: fc.integer({ min: 1, max: 5000 }),
  learningRate: fc.double({ min: 1e-6, max: 1, noNaN: true }),
  weightDecay: fc.double({ min: 0, max: 0.5, noNaN: true }),
  scale: fc.double({ min: 1e-3, max: 2, noNaN: true }),
});
const lengths = fc.oneof(fc.integer({ min: 0, max: 40 }), fc.constantFrom(CHUNK - 1, CHUNK, CHUNK + 1, 2 * CHUNK + 7));

test("has the bits of its plain twin, for every length", () => {
  fc.assert(
    fc.property(lengths, fc.nat(), steps, (length, seed, step) => {
      const [fast, plain] = [randomState(length, seed), randomState(length, seed)];
      adamWStep(fast.weights, fast.gradient, fast.first, fast.second, step);
      plainStep(plain, step);
      for (const key of ["weights", "first", "second"] as const) {
        const bits = (array: Float32Array) => new Int32Array(array.buffer);
        const at = bits(fast[key]).findIndex((value, i) => value !== bits(plain[key])[i]);
        if (at >= 0) expect.fail(`${key}[${at}]: ${fast[key][at]} is not ${plain[key][at]}`);
      }
    }),
    { numRuns: 60 },
  );
});

test("is the paper's algorithm, to rounding", () => {
  fc.assert(
    fc.property(fc.nat(), steps, (seed, step) => {
      const { beta1, beta2, epsilon } = ADAMW;
      const state = randomState(9, seed);
      const expected = Array.from(state.weights, (w, i) => {
        const g = state.gradient[i]! * step.scale;
        const m = (beta1 * state.first[i]! + (1 - beta1) * g) / (1 - beta1 ** step.step);
        const v = (beta2 * state.second[i]! + (1 - beta2) * g * g) / (1 - beta2 ** step.step);
        const adam = m / (Math.sqrt(v) + epsilon);
        return {
          value: w - step.learningRate * (adam + step.weightDecay * w),
          size: 1 + Math.abs(step.learningRate * adam),
        };
      });
      adamWStep(state.weights, state.gradient, state.first, state.second, step);
      for (const [i, { value, size }] of expected.entries()) {
        expect(Math.abs(state.weights[i]! - value) / size).toBeLessThan(1e-4);
      }
    }),
  );
});
