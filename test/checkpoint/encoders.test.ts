/** What the encoders write, the codecs read back: exactly where a type can hold it, else the nearest. */
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { CODECS } from "../../src/checkpoint/codecs.ts";
import { ENCODERS } from "../../src/checkpoint/encoders.ts";
import { CllmError } from "../../src/error.ts";

function roundTrip(type: keyof typeof ENCODERS, values: Float32Array): Float32Array {
  const { blockSize, blockBytes, encode } = ENCODERS[type];
  const bytes = encode(values, "t");
  expect(bytes.length).toBe((values.length / blockSize) * blockBytes);
  const out = new Float32Array(values.length);
  CODECS.get(type)!.decode(new Uint8Array(bytes), values.length / blockSize, out);
  return out;
}

const numbers = (max: number): fc.Arbitrary<Float32Array> =>
  fc.float32Array({ min: Math.fround(-max), max: Math.fround(max), noNaN: true, minLength: 1, maxLength: 40 });

test("F32 keeps every bit", () => {
  fc.assert(
    fc.property(numbers(3e38), (values) => {
      expect(roundTrip("F32", values)).toEqual(values);
    }),
  );
});

test.each(["F16", "BF16"] as const)("%s keeps what it can hold, and takes the nearest of what it cannot", (type) => {
  const step = type === "F16" ? 2 ** -11 : 2 ** -8;
  fc.assert(
    fc.property(numbers(type === "F16" ? 65_504 : 3e38), (values) => {
      const once = roundTrip(type, values);
      expect(roundTrip(type, once)).toEqual(once);
      for (const [i, value] of values.entries()) {
        const smallest = type === "F16" ? 2 ** -25 : 2 ** -134; // half of the smallest step there is
        expect(Math.abs(once[i]! - value)).toBeLessThanOrEqual(Math.max(Math.abs(value) * step, smallest));
      }
    }),
  );
});

test("BF16 rounds ties to even", () => {
  const halfway = (bits: number): number => new Float32Array(Uint32Array.of(bits).buffer)[0]!;
  const values = Float32Array.of(halfway(0x3f808000), halfway(0x3f818000), halfway(0x3f808001));
  expect([...roundTrip("BF16", values)]).toEqual([1, halfway(0x3f820000), halfway(0x3f810000)]);
});

test("Q8_0 is off by at most half of a step, and does nothing to what it has written", () => {
  const blocks = fc.float32Array({ min: -1000, max: 1000, noNaN: true, minLength: 64, maxLength: 64 });
  fc.assert(
    fc.property(blocks, (values) => {
      const once = roundTrip("Q8_0", values);
      for (const start of [0, 32]) {
        const largest = Math.max(...values.subarray(start, start + 32).map(Math.abs));
        const step = (largest / 127) * (1 + 2 ** -10) + 2 ** -24; // the scale is a half
        for (let i = start; i < start + 32; i++) {
          expect(Math.abs(once[i]! - values[i]!)).toBeLessThanOrEqual(step / 2 + largest * 2 ** -11 + 2 ** -18);
        }
      }
    }),
  );
});

describe("what does not fit is an error, never an infinity", () => {
  test.each([
    ["F16", 65_520],
    ["F16", -1e6],
    ["BF16", 3.4e38],
    ["Q8_0", 1e7],
    ["F32", Infinity],
    ["F16", Number.NaN],
    ["BF16", Number.NaN],
    ["Q8_0", -Infinity],
  ] as const)("%s and %d", (type, value) => {
    const values = new Float32Array(32).fill(1);
    values[7] = value;
    expect(() => ENCODERS[type].encode(values, "some.weight")).toThrow(CllmError);
    expect(() => ENCODERS[type].encode(values, "some.weight")).toThrow(/some\.weight/);
  });

  test("F16 holds what rounds down to its largest number", () => {
    expect(roundTrip("F16", Float32Array.of(65_519))[0]).toBe(65_504);
  });
});
