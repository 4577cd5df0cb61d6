/** Half precision against its definition: the nearest number of the 63,488 that are finite, ties to the even word. */
import fc from "fast-check";
import { expect, test } from "vitest";
import { toFloat16 } from "../../src/model/float16.ts";

/** The number that a word means. */
function meaning(word: number): number {
  const sign = word & 0x8000 ? -1 : 1;
  const exponent = (word >> 10) & 31;
  const mantissa = word & 1023;
  if (exponent === 31) return mantissa === 0 ? sign * Number.POSITIVE_INFINITY : Number.NaN;
  return exponent === 0 ? sign * mantissa * 2 ** -24 : sign * (1024 + mantissa) * 2 ** (exponent - 25);
}

/** The non-negative finite numbers in order, and the one that would follow them: from halfway to it on is infinite. */
const numbers = Array.from({ length: 0x7c00 }, (_, word) => meaning(word));
numbers.push(65536);

/** The nearest word by search. */
function nearest(value: number): number {
  const sign = Object.is(Math.sign(value), -0) || value < 0 ? 0x8000 : 0;
  const magnitude = Math.abs(value);
  if (magnitude >= 65536) return sign | 0x7c00;
  let [low, high] = [0, numbers.length - 1];
  while (high - low > 1) {
    const middle = (low + high) >> 1;
    if (numbers[middle]! <= magnitude) low = middle;
    else high = middle;
  }
  const [below, above] = [magnitude - numbers[low]!, numbers[high]! - magnitude];
  if (below === above) return sign | (low % 2 === 0 ? low : high);
  return sign | (below < above ? low : high);
}

test("every word comes back from the number it means", () => {
  const words = Uint16Array.from({ length: 65536 }, (_, word) => word);
  const back = toFloat16(Float32Array.from(words, meaning));
  for (const word of words) {
    if (Number.isNaN(meaning(word))) expect(meaning(back[word]!)).toBeNaN();
    else if (back[word] !== word) expect.fail(`${word} means ${meaning(word)} and came back as ${back[word]}`);
  }
});

test("halfway between two numbers goes to the even one, and a little off it to the nearer", () => {
  const single = new Float32Array(1);
  const word = new Uint32Array(single.buffer);
  const values: number[] = [];
  for (let i = 0; i + 1 < numbers.length; i++) {
    single[0] = (numbers[i]! + numbers[i + 1]!) / 2; // exact in float32
    const tie = word[0]!;
    for (const bits of [tie - 1, tie, tie + 1]) {
      word[0] = bits;
      values.push(single[0], -single[0]);
    }
  }
  const got = toFloat16(Float32Array.from(values));
  for (const [i, value] of values.entries()) {
    if (got[i] !== nearest(value)) expect.fail(`${value} became ${got[i]}, not ${nearest(value)}`);
  }
});

test("any number becomes the nearest one", () => {
  const all = fc.oneof(
    fc.float({ noNaN: true }),
    fc.float({ noNaN: true, min: Math.fround(-70000), max: 70000 }),
    fc.float({ noNaN: true, min: Math.fround(-1e-4), max: Math.fround(1e-4) }),
  );
  fc.assert(
    fc.property(fc.array(all, { minLength: 1, maxLength: 200 }), (values) => {
      expect([...toFloat16(Float32Array.from(values))]).toEqual(values.map(nearest));
    }),
  );
});
