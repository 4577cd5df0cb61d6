/** Weights in few bits: laid out as documented, and off by no more than half a step. */
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import type { Matrix } from "../../src/model/matrix.ts";
import { quantizeBlocks, quantizeRows } from "../../src/model/quantize.ts";
import { Rotation } from "../../src/model/rotation.ts";
import { gaussian } from "./random-model.ts";

/** Matrices whose rows differ in size by powers of ten, some of zeros. */
const matrices: fc.Arbitrary<Matrix> = fc
  .tuple(fc.integer({ min: 1, max: 140 }), fc.integer({ min: 1, max: 100 }), fc.nat())
  .map(([rows, columns, seed]) => {
    const random = gaussian(seed);
    const sizes = Array.from({ length: rows }, (_, r) => (r % 7 === 3 ? 0 : 10 ** (3 * random())));
    const data = Float32Array.from({ length: rows * columns }, (_, i) => sizes[Math.floor(i / columns)]! * random());
    return { rows, columns, data };
  });

const row = ({ columns, data }: Matrix, r: number): number[] => [...data.subarray(r * columns, (r + 1) * columns)];
const largestOf = (values: readonly number[]): number => Math.max(...values.map(Math.abs));

describe("rows of bytes", () => {
  test.each([1, 2] as const)("with %d planes lie transposed and are off by half a step of the last plane", (planes) => {
    fc.assert(
      fc.property(matrices, (matrix) => {
        const { rows, columns } = matrix;
        const { data, shape, scales, planes: count } = quantizeRows(matrix, planes);
        expect({ shape, count, bytes: data.length }).toEqual({
          shape: [columns, planes * rows],
          count: planes,
          bytes: columns * planes * rows,
        });
        expect(scales.length).toBe(planes * rows);
        for (let r = 0; r < rows; r++) {
          const largest = largestOf(row(matrix, r));
          const half = (largest / 127 / (planes === 2 ? 254 : 1)) * 0.5;
          expect(scales[r]).toBe(Math.fround(largest / 127));
          for (const [c, value] of row(matrix, r).entries()) {
            let sum = 0;
            for (let plane = 0; plane < planes; plane++) {
              const byte = data[c * planes * rows + plane * rows + r]!;
              if (byte === -128) expect.fail("-128 has no counterpart");
              sum += byte * scales[plane * rows + r]!;
            }
            const off = Math.abs(sum - value);
            if (!(off <= half + 2e-7 * largest)) expect.fail(`${value} became ${sum}`);
          }
        }
      }),
      { numRuns: 30 },
    );
  });

  test.each([1, 2] as const)("with %d planes, rotated on the way, are those of rotated rows", (planes) => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 40 }), fc.constantFrom(4, 16, 64), fc.nat(), (rows, size, seed) => {
        const columns = 3 * size;
        const data = Float32Array.from({ length: rows * columns }, gaussian(seed));
        const rotation = new Rotation(size);
        const rotated = data.slice();
        rotation.apply(rotated);
        const before = data.slice();
        expect(quantizeRows({ rows, columns, data }, planes, rotation)).toEqual(
          quantizeRows({ rows, columns, data: rotated }, planes),
        );
        expect(data).toEqual(before);
      }),
      { numRuns: 20 },
    );
  });

  test("of a matrix that takes several panels are the same as of its parts", () => {
    const [rows, columns] = [5003, 2048]; // ten million numbers
    const random = gaussian(5);
    const data = Float32Array.from(
      { length: rows * columns },
      (_, i) => (i % 97) - 48 + (i % 1009 === 0 ? random() : 0),
    );
    const { data: bytes, scales } = quantizeRows({ rows, columns, data }, 1);
    for (const from of [0, 4000, 4090, 4998]) {
      const part = { rows: 5, columns, data: data.subarray(from * columns, (from + 5) * columns) };
      const alone = quantizeRows(part, 1);
      expect(scales.subarray(from, from + 5)).toEqual(alone.scales);
      for (let c = 0; c < columns; c++)
        for (let r = 0; r < 5; r++)
          if (bytes[c * rows + from + r] !== alone.data[c * 5 + r]) expect.fail(`row ${from + r}, column ${c}`);
    }
  });
});

describe("blocks of 32", () => {
  /** The integer at `index` of a block. */
  const unpack = (bytes: Uint8Array, bits: 4 | 8, index: number): number =>
    bits === 8 ? bytes[index]! : (bytes[index >> 1]! >> (4 * (index & 1))) & 15;

  test.each([4, 8] as const)("of %d bits are off by half a step, and padded with zeros", (bits) => {
    fc.assert(
      fc.property(matrices, (matrix) => {
        const { rows, columns } = matrix;
        const { data, shape, scales, blockSize } = quantizeBlocks(matrix, bits);
        const blocks = Math.ceil(columns / 32);
        expect({ shape, blockSize }).toEqual({ shape: [rows, blocks, 4 * bits], blockSize: 32 });
        expect([data.length, scales.length]).toEqual([rows * blocks * 4 * bits, rows * blocks]);
        const middle = 2 ** (bits - 1);
        for (let r = 0; r < rows; r++) {
          for (let b = 0; b < blocks; b++) {
            const values = row(matrix, r).slice(32 * b, 32 * (b + 1));
            const block = r * blocks + b;
            const bytes = data.subarray(block * 4 * bits, (block + 1) * 4 * bits);
            const step = Math.abs(scales[block]!);
            const largest = largestOf(values);
            expect(step).toBeCloseTo(Math.fround(largest / (bits === 8 ? 127 : 8)), 6);
            for (let i = 0; i < 32; i++) {
              const q = unpack(bytes, bits, i) - middle;
              // The far end of the range is missing in four bits: what would be +8 becomes +7.
              const bound = bits === 4 && q === 7 ? step : step / 2;
              const off = Math.abs(q * scales[block]! - (values[i] ?? 0));
              if (!(off <= bound + 2e-7 * largest)) expect.fail(`${values[i]} became ${q * scales[block]!}`);
              if (i >= values.length && q !== 0) expect.fail(`${q} behind the row's end`);
            }
          }
        }
      }),
      { numRuns: 30 },
    );
  });

  test("the largest magnitude is exact, whatever its sign", () => {
    for (const largest of [8, -8]) {
      const data = Float32Array.from({ length: 32 }, (_, i) => (i === 5 ? largest : (i % 8) - 4));
      const { data: bytes, scales } = quantizeBlocks({ rows: 1, columns: 32, data }, 4);
      for (const [i, value] of data.entries()) expect((unpack(bytes, 4, i) - 8) * scales[0]! === value).toBe(true);
    }
  });
});
