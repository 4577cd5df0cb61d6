/** A rotation keeps lengths and angles, and spreads what sticks out. */
import fc from "fast-check";
import { expect, test } from "vitest";
import { Rotation, segmentOf } from "../../src/model/rotation.ts";
import { gaussian } from "./random-model.ts";

const sizes = fc.integer({ min: 2, max: 11 }).map((power) => 2 ** power);
const dot = (a: Float32Array, b: Float32Array): number => a.reduce((sum, value, i) => sum + value * b[i]!, 0);

function vectors(count: number, size: number, seed: number): Float32Array {
  const random = gaussian(seed);
  return Float32Array.from({ length: count * size }, random);
}

test("norms and inner products are kept", () => {
  fc.assert(
    fc.property(sizes, fc.nat(), (size, seed) => {
      const [a, b] = [vectors(1, size, seed), vectors(1, size, seed + 1)];
      const both = new Float32Array(2 * size);
      both.set(a);
      both.set(b, size);
      new Rotation(size).apply(both);
      const [ra, rb] = [both.subarray(0, size), both.subarray(size)];
      const scale = Math.sqrt(dot(a, a) * dot(b, b));
      expect(Math.abs(dot(ra, rb) - dot(a, b))).toBeLessThan(1e-5 * scale);
      expect(dot(ra, ra) / dot(a, a)).toBeCloseTo(1, 5);
      expect(dot(rb, rb) / dot(b, b)).toBeCloseTo(1, 5);
    }),
  );
});

test("rows are rotated alike and alone, the same way in every rotation of the size", () => {
  fc.assert(
    fc.property(sizes, fc.integer({ min: 1, max: 5 }), fc.nat(), (size, rows, seed) => {
      const together = vectors(rows, size, seed);
      const apart = Array.from({ length: rows }, (_, r) => together.slice(r * size, (r + 1) * size));
      new Rotation(size).apply(together);
      for (const [r, row] of apart.entries()) {
        new Rotation(size).apply(row);
        expect(row).toEqual(together.slice(r * size, (r + 1) * size));
      }
    }),
  );
});

test("one channel that sticks out is spread evenly over all", () => {
  fc.assert(
    fc.property(sizes, fc.nat(), (size, channel) => {
      const x = new Float32Array(size);
      x[channel % size] = 1;
      new Rotation(size).apply(x);
      for (const value of x) expect(Math.abs(value) * Math.sqrt(size)).toBeCloseTo(1, 5);
    }),
  );
});

test("sizes that are no power of two, or less than a vector, are refused", () => {
  fc.assert(
    fc.property(fc.integer({ min: -8, max: 3000 }), (size) => {
      if (size >= 4 && Number.isInteger(Math.log2(size))) expect(new Rotation(size).size).toBe(size);
      else expect(() => new Rotation(size)).toThrow(RangeError);
    }),
  );
});

test("channels are rotated in the widest segments that divide them, and not at all where these are shorter than a vector", () => {
  expect([576, 1536, 4, 12, 6, 7, 2, 1].map(segmentOf)).toEqual([64, 128, 4, 4, 1, 1, 1, 1]);
});
