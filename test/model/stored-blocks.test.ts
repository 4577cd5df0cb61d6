/** Blocks that a file stores: what the engine multiplies by is what the file says, and is not quantized a second time. */
import fc from "fast-check";
import { expect, test } from "vitest";
import { CODECS, type Codec } from "../../src/checkpoint/codecs.ts";
import { type Matrix, stack } from "../../src/model/matrix.ts";
import type { BlockWeights } from "../../src/model/quantize.ts";
import { halvedBlocks, storedBlocks } from "../../src/model/stored-blocks.ts";

/** Half floats of usual sizes, so that no scale is infinite. */
const HALVES: Readonly<Record<string, readonly number[]>> = {
  ...{ Q8_0: [0], Q4_0: [0], Q4_1: [0, 2], Q5_0: [0], Q5_1: [0, 2], Q4_K: [0, 2], Q5_K: [0, 2] },
};

/** A matrix of 64 columns or more, decoded from random bytes of a type, with its blocks. */
function matrixOf(codec: Codec, rows: number, bytes: Uint8Array): Matrix {
  const count = bytes.length / codec.blockBytes;
  for (let b = 0; b < count; b++)
    for (const at of HALVES[codec.name]!) {
      const index = b * codec.blockBytes + at + 1;
      bytes[index] = (bytes[index]! & 0x83) | 0x28; // an exponent of about 2^-5
    }
  const data = new Float32Array(count * codec.blockSize);
  codec.decode(bytes, count, data);
  const blocks = data.length / 32;
  const { largest, centered, read } = codec.blocks!;
  const [scales, offsets] = [new Float32Array(blocks), new Float32Array(blocks)];
  read(bytes, count, scales, offsets);
  const stored = {
    bits: largest < 16 && centered ? (4 as const) : (8 as const),
    ownOffsets: !centered,
    largest: new Uint8Array(blocks).fill(largest),
    ...{ scales, offsets },
  };
  return { rows, columns: data.length / rows, data, blocks: stored };
}

/** What the engine multiplies by. */
function values({ data, shape, scales, zeros }: BlockWeights): Float32Array {
  const bits = shape[2] === 32 ? 8 : 4;
  return Float32Array.from({ length: scales.length * 32 }, (_, i) => {
    const block = i >> 5;
    const code = bits === 8 ? data[i]! : (data[i >> 1]! >> (4 * (i & 1))) & 15;
    return scales[block]! * (code - (zeros?.[block] ?? 2 ** (bits - 1)));
  });
}

const names = [...CODECS.values()].filter(({ blocks }) => blocks).map(({ name }) => name);
test("the types in blocks", () => expect(names).toEqual(Object.keys(HALVES)));

const arbitrary = (name: string): fc.Arbitrary<Matrix> => {
  const codec = CODECS.get(name)!;
  const length = (2 * 256 * codec.blockBytes) / codec.blockSize;
  return fc.uint8Array({ minLength: length, maxLength: length }).map((bytes) => matrixOf(codec, 2, bytes));
};

/** Checks each element against what may be lost of it. */
function expectKept(matrix: Matrix): void {
  const { largest, scales, offsets } = matrix.blocks!;
  const kept = values(storedBlocks(matrix));
  for (const [i, value] of matrix.data.entries()) {
    const block = i >> 5;
    const scale = scales[block]!;
    const spread = Math.floor(256 / (largest[block]! + 1));
    const zero = Math.round((-offsets[block]! / scale) * spread);
    const magnitude = Math.max(...matrix.data.subarray(32 * block, 32 * block + 32).map(Math.abs));
    const fits = scale !== 0 && zero >= 0 && zero < 256;
    const centered = offsets[block] === (-(largest[block]! + 1) / 2) * scale;
    // Steps of the file's own: an offset is rounded to a share of one. Blocks on one side of zero are quantized again.
    const most = fits ? (centered ? 0 : Math.abs(scale) / spread / 2) : magnitude / 127 / 2;
    expect(Math.abs(kept[i]! - value)).toBeLessThanOrEqual(most + 1e-6 * magnitude);
  }
}

test.each(names)("%s keeps its codes and scales", (name) => {
  fc.assert(fc.property(arbitrary(name), expectKept), { numRuns: 20 });
});

test("matrices of different types, one below the other", () => {
  fc.assert(
    fc.property(fc.tuple(...["Q8_0", "Q4_0", "Q4_K", "Q5_1"].map(arbitrary)), (parts) => {
      const whole = stack(parts as Matrix[]);
      expect(whole.blocks).toMatchObject({ bits: 8, ownOffsets: true });
      expectKept(whole);
    }),
    { numRuns: 20 },
  );
});

test("a part in no blocks is quantized, the others are kept", () => {
  fc.assert(
    fc.property(
      arbitrary("Q4_0"),
      fc.array(fc.float({ min: -1, max: 1, noNaN: true }), { minLength: 256, maxLength: 256 }),
      (blocks, floats) => {
        const plain: Matrix = { rows: 1, columns: 256, data: Float32Array.from(floats) };
        const kept = values(storedBlocks(stack([blocks, plain])));
        expect(kept.subarray(0, 512)).toEqual(values(storedBlocks({ ...blocks })));
        for (const [i, value] of plain.data.entries())
          expect(Math.abs(kept[512 + i]! - value)).toBeLessThan(0.5 / 127 + 1e-6);
      },
    ),
    { numRuns: 20 },
  );
});

test("hollow matrices have the shapes of whole ones", () => {
  for (const name of names) {
    const matrix = fc.sample(arbitrary(name), 1)[0]!;
    const shapes = ({ data, shape, scales, zeros }: BlockWeights) => [data.length, shape, scales.length, zeros?.length];
    const form = {
      ...matrix.blocks!,
      largest: new Uint8Array(0),
      scales: new Float32Array(0),
      offsets: new Float32Array(0),
    };
    const hollow: Matrix = { ...matrix, data: new Float32Array(matrix.data.length), hollow: true, blocks: form };
    expect(shapes(storedBlocks(stack([hollow, hollow])))).toEqual(shapes(storedBlocks(stack([matrix, matrix]))));
  }
});

test("blocks half as long hold the same weights", () => {
  fc.assert(
    fc.property(fc.constantFrom(...names).chain(arbitrary), (matrix) => {
      const whole = storedBlocks(matrix);
      const halved = halvedBlocks(matrix);
      const [rows, blocks, bytes] = whole.shape;
      expect(halved).toMatchObject({ data: whole.data, shape: [rows, 2 * blocks, bytes / 2], blockSize: 16 });
      const kept = values(whole);
      const bits = bytes === 32 ? 8 : 4;
      for (const [i, value] of kept.entries()) {
        const code = bits === 8 ? halved.data[i]! : (halved.data[i >> 1]! >> (4 * (i & 1))) & 15;
        const zero = halved.zeros?.[i >> 4] ?? 2 ** (bits - 1);
        expect(Math.fround(halved.scales[i >> 4]! * (code - zero))).toBe(value);
      }
    }),
    { numRuns: 10 },
  );
});
