/**
 * Integer hashing: the one source of everything pseudo-random in the project. Counter-based, so that a value is a pure
 * function of what it belongs to (a seed, a position, a token) and never of how many values were drawn before it.
 */

/**
 * Mixes 32 bits into 32 others, one to one, so that flipping any input bit flips each output bit half of the time: the
 * xorshift-multiply form whose constants were found by search in Chris Wellons' hash-prospector (bias 0.107). Unsigned.
 */
export function mix(x: number): number {
  x = Math.imul(x ^ (x >>> 16), 0x21f0aaad);
  x = Math.imul(x ^ (x >>> 15), 0x735a2d97);
  return (x ^ (x >>> 15)) >>> 0;
}

/** Hashes a sequence of integers, each up to 2^53, to 32 bits, unsigned. */
export function hash(...values: number[]): number {
  let h = 0;
  for (const value of values) h = mix(mix(h ^ value) + Math.floor(value / 2 ** 32) + 0x9e3779b9);
  return h;
}

/** A text as one integer. */
export function hashOfText(text: string): number {
  return hash(...Array.from(text, (character) => character.codePointAt(0)!));
}
