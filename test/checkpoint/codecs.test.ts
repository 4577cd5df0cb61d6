/** Every element type against an element-wise twin written from the format's definition, and against gguf's own values. */
import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { CODECS } from "../../src/checkpoint/codecs.ts";

interface Fixture {
  halves_sha256: string;
  types: Record<string, { bytes: string; values: string }>;
}
const fixture: Fixture = JSON.parse(readFileSync(new URL("./fixtures/blocks.json", import.meta.url), "utf8"));

function decode(name: string, bytes: Uint8Array): Float32Array {
  const codec = CODECS.get(name)!;
  const blocks = bytes.length / codec.blockBytes;
  const out = new Float32Array(blocks * codec.blockSize);
  codec.decode(Uint8Array.from(bytes), blocks, out);
  return out;
}

function half(view: DataView, at: number): number {
  const bits = view.getUint16(at, true);
  return decode("F16", Uint8Array.of(bits & 255, bits >> 8))[0]!;
}

const f32 = Math.fround;

/** Bits `[from, from + count)` of a little-endian bit string that starts at byte `at`. */
function bitsAt(view: DataView, at: number, from: number, count: number): number {
  let value = 0;
  for (let i = 0; i < count; i++) value |= ((view.getUint8(at + ((from + i) >> 3)) >> ((from + i) & 7)) & 1) << i;
  return value;
}

/** In 32-element blocks, element i < 16 is the low nibble of byte i, element i >= 16 the high one of byte i - 16. */
function nibble32(view: DataView, at: number, i: number): number {
  return bitsAt(view, at, (i % 16) * 8 + (i < 16 ? 0 : 4), 4);
}

/** In K blocks every 32 bytes hold 64 elements: low nibbles first. */
function nibble256(view: DataView, at: number, i: number): number {
  return bitsAt(view, at + Math.floor(i / 64) * 32, (i % 32) * 8 + (i % 64 < 32 ? 0 : 4), 4);
}

/** Sub-scale and sub-minimum of K blocks: six bits each in twelve bytes, the last four split into 4 + 2. */
function kScale(view: DataView, at: number, s: number): [scale: number, minimum: number] {
  if (s < 4) return [bitsAt(view, at + s, 0, 6), bitsAt(view, at + 4 + s, 0, 6)];
  const scale = bitsAt(view, at + 4 + s, 0, 4) + 16 * bitsAt(view, at + s - 4, 6, 2);
  return [scale, bitsAt(view, at + 4 + s, 4, 4) + 16 * bitsAt(view, at + s, 6, 2)];
}

function kValue(view: DataView, i: number, q: number): number {
  const [scale, minimum] = kScale(view, 4, Math.floor(i / 32));
  return f32(f32(f32(half(view, 0) * scale) * q) - f32(half(view, 2) * minimum));
}

const IQ4 = [-127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113];
const FP4 = [0, 0.5, 1, 1.5, 2, 3, 4, 6, 0, -0.5, -1, -1.5, -2, -3, -4, -6];

/** Bit pair of element `i`: 32 bytes hold 128 elements, four to a byte, 32 apart. */
function pair256(view: DataView, at: number, i: number): number {
  return bitsAt(view, at + Math.floor(i / 128) * 32, (i % 32) * 8 + Math.floor((i % 128) / 32) * 2, 2);
}

/** Element `i` of one block, straight from the definition. */
const twins: Record<string, (view: DataView, i: number) => number> = {
  Q8_0: (v, i) => f32(half(v, 0) * v.getInt8(2 + i)),
  Q4_0: (v, i) => f32(half(v, 0) * (nibble32(v, 2, i) - 8)),
  Q4_1: (v, i) => f32(f32(half(v, 0) * nibble32(v, 4, i)) + half(v, 2)),
  Q5_0: (v, i) => f32(half(v, 0) * (nibble32(v, 6, i) + 16 * bitsAt(v, 2, i, 1) - 16)),
  Q5_1: (v, i) => f32(f32(half(v, 0) * (nibble32(v, 8, i) + 16 * bitsAt(v, 4, i, 1))) + half(v, 2)),
  Q4_K: (v, i) => kValue(v, i, nibble256(v, 16, i)),
  Q5_K: (v, i) => kValue(v, i, nibble256(v, 48, i) + 16 * bitsAt(v, 16 + (i % 32), Math.floor(i / 32), 1)),
  Q6_K: (v, i) => {
    const half128 = Math.floor(i / 128);
    const run = Math.floor((i % 128) / 32);
    const low = bitsAt(v, half128 * 64 + (run % 2) * 32 + (i % 32), run < 2 ? 0 : 4, 4);
    const high = bitsAt(v, 128 + half128 * 32 + (i % 32), run * 2, 2);
    return f32(f32(half(v, 208) * v.getInt8(192 + Math.floor(i / 16))) * (low + 16 * high - 32));
  },
  Q2_K: (v, i) => {
    const [scale, minimum] = [bitsAt(v, Math.floor(i / 16), 0, 4), bitsAt(v, Math.floor(i / 16), 4, 4)];
    return f32(f32(f32(half(v, 80) * scale) * pair256(v, 16, i)) - f32(half(v, 82) * minimum));
  },
  Q3_K: (v, i) => {
    const s = Math.floor(i / 16);
    const low = bitsAt(v, 96 + (s % 8), s < 8 ? 0 : 4, 4);
    const scale = low + 16 * bitsAt(v, 104 + (s % 4), Math.floor(s / 4) * 2, 2) - 32;
    const q = pair256(v, 32, i) + 4 * bitsAt(v, i % 32, Math.floor(i / 32), 1) - 4;
    return f32(f32(half(v, 108) * scale) * q);
  },
  Q8_K: (v, i) => f32(v.getFloat32(0, true) * v.getInt8(4 + i)),
  IQ4_NL: (v, i) => f32(half(v, 0) * IQ4[nibble32(v, 2, i)]!),
  IQ4_XS: (v, i) => {
    const s = Math.floor(i / 32);
    const scale = bitsAt(v, 4, s * 4, 4) + 16 * bitsAt(v, 2, s * 2, 2) - 32;
    return f32(f32(half(v, 0) * scale) * IQ4[nibble32(v, 8 + 16 * s, i % 32)]!);
  },
  MXFP4: (v, i) => f32(2 ** (v.getUint8(0) - 127) * FP4[nibble32(v, 1, i)]!),
};

describe("quantized blocks", () => {
  test.each(Object.keys(twins))("%s decodes as its definition says, whatever the bytes", (name) => {
    const { blockBytes, blockSize } = CODECS.get(name)!;
    const blocks = fc.integer({ min: 1, max: 3 }).chain((n) => {
      const length = n * blockBytes;
      return fc.uint8Array({ minLength: length, maxLength: length });
    });
    fc.assert(
      fc.property(blocks, (bytes) => {
        const expected = Array.from({ length: (bytes.length / blockBytes) * blockSize }, (_, i) => {
          const start = Math.floor(i / blockSize) * blockBytes;
          return twins[name]!(new DataView(bytes.buffer, bytes.byteOffset + start, blockBytes), i % blockSize);
        });
        expect(decode(name, bytes)).toEqual(Float32Array.from(expected));
      }),
      { numRuns: 40 },
    );
  });
});

test.each(Object.keys(fixture.types))("%s has the values of the gguf package, bit for bit", (name) => {
  const { bytes, values } = fixture.types[name]!;
  const found = decode(name, Buffer.from(bytes, "base64"));
  expect(Buffer.from(found.buffer).toString("base64")).toBe(values);
});

test("fixtures cover every type", () => {
  expect(Object.keys(fixture.types).sort()).toEqual([...CODECS.keys()].sort());
});

test("all 65536 halves have numpy's values", () => {
  const bits = Uint16Array.from({ length: 65536 }, (_, i) => i);
  const values = decode("F16", new Uint8Array(bits.buffer)).map((value) => (Number.isNaN(value) ? 0 : value));
  expect(createHash("sha256").update(new Uint8Array(values.buffer)).digest("hex")).toBe(fixture.halves_sha256);
});

test("a bfloat16 is the upper half of a float32", () => {
  fc.assert(
    fc.property(fc.float({ noNaN: true }), (value) => {
      const bytes = new Uint8Array(Float32Array.of(value).buffer);
      const upper = Float32Array.of(value);
      new Uint16Array(upper.buffer)[0] = 0;
      expect(decode("BF16", bytes.slice(2))).toEqual(upper);
    }),
  );
});
