/** Merging an adapter against its plain twin, bit for bit. */
import fc from "fast-check";
import { expect, test } from "vitest";
import { addLowRank, type LowRank } from "../../src/model/lora.ts";
import { gaussian } from "./random-model.ts";

/** The same sums, one number at a time. */
function plainly(values: Float32Array, { rank, scale, a, b, inputs }: LowRank, from: number): void {
  for (let i = 0; i < values.length; i++) {
    const [row, column] = [from + Math.floor(i / inputs), i % inputs];
    let sum = 0;
    for (let k = 0; k < rank; k++) sum += b[row * rank + k]! * a[k * inputs + column]!;
    values[i] = values[i]! + scale * sum;
  }
}

test("has the bits of its plain twin, for rows from any on, and of any size", () => {
  const small = fc.integer({ min: 1, max: 20 });
  fc.assert(
    fc.property(small, small, small, fc.nat({ max: 5 }), fc.nat(), (rows, inputs, rank, from, seed) => {
      const random = gaussian(seed);
      const numbers = (length: number): Float32Array => Float32Array.from({ length }, random);
      const [a, b] = [numbers(rank * inputs), numbers((from + rows) * rank)];
      const merged = numbers(rows * inputs);
      const expected = merged.slice();
      addLowRank(merged, { rank, scale: 0.7, a, b, inputs }, from);
      plainly(expected, { rank, scale: 0.7, a, b, inputs }, from);
      expect(new Int32Array(merged.buffer)).toEqual(new Int32Array(expected.buffer));
    }),
  );
});
