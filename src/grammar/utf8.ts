/**
 * Ranges of characters as ranges of bytes: UTF-8 writes a range of code points as a few sequences of byte ranges
 * (RFC 3629). Knows no grammar.
 */

/** Code points, or bytes, from the first to the second, both in. */
export type Range = readonly [number, number];

const LIMITS: readonly number[] = [0x7f, 0x7ff, 0xffff, 0x10ffff]; // last code point of 1, 2, 3 and 4 bytes

/** Sequences of byte ranges that together write the characters of `range`, surrogates left out. */
export function utf8Ranges([low, high]: Range): Range[][] {
  const found: Range[][] = [];
  for (const [from, to] of [
    [low, Math.min(high, 0xd7ff)],
    [Math.max(low, 0xe000), high],
  ] as const) {
    let start = from;
    for (const limit of LIMITS) {
      if (start > to) break;
      const end = Math.min(to, limit);
      if (start <= end) split(start, end, found);
      start = Math.max(start, limit + 1);
    }
  }
  return found;
}

/** Splits until all but the first differing byte spans its whole range. All characters take the same number of bytes. */
function split(low: number, high: number, found: Range[][]): void {
  for (let bits = 6; bits <= 18 && low > 0x7f; bits += 6) {
    const mask = (1 << bits) - 1;
    if ((low & ~mask) === (high & ~mask)) break;
    if ((low & mask) !== 0) {
      split(low, low | mask, found);
      split((low | mask) + 1, high, found);
      return;
    }
    if ((high & mask) !== mask) {
      split(low, (high & ~mask) - 1, found);
      split(high & ~mask, high, found);
      return;
    }
  }
  const [first, last] = [bytesOf(low), bytesOf(high)];
  found.push(first.map((byte, i) => [byte, last[i]!]));
}

/** A text as UTF-8, where there is nothing but JavaScript; a surrogate by itself becomes U+FFFD. */
export function utf8(text: string): Uint8Array {
  const bytes: number[] = [];
  for (const character of text) {
    const point = character.codePointAt(0)!;
    for (const byte of bytesOf(point >= 0xd800 && point <= 0xdfff ? 0xfffd : point)) bytes.push(byte);
  }
  return Uint8Array.from(bytes);
}

function bytesOf(point: number): number[] {
  if (point <= 0x7f) return [point];
  if (point <= 0x7ff) return [0xc0 | (point >> 6), 0x80 | (point & 63)];
  if (point <= 0xffff) return [0xe0 | (point >> 12), 0x80 | ((point >> 6) & 63), 0x80 | (point & 63)];
  return [0xf0 | (point >> 18), 0x80 | ((point >> 12) & 63), 0x80 | ((point >> 6) & 63), 0x80 | (point & 63)];
}
