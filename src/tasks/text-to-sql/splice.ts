/**
 * Words that nobody knows, put together from the beginning of one known word and the end of another: `weighting` and
 * `branch` make `weianch`. They have the letters and the pieces of real words, so that a model that reads them has nothing
 * to go by but the copy before it. Knows no tables.
 */
import type { Random } from "./random.ts";

const SHORTEST = 4;
const LONGEST = 10;

/** A spliced word that `refused` does not know, or null where some tries found none. */
export function splice(random: Random, words: readonly string[], refused: (word: string) => boolean): string | null {
  for (let tries = 0; tries < 20; tries++) {
    const [one, other] = [random.pick(words), random.pick(words)];
    const head = one.slice(0, random.between(1, Math.max(1, one.length - 1)));
    const word = head + other.slice(random.between(1, Math.max(1, other.length - 2)));
    // One that ends like a plural would have none of its own.
    const fits = word.length >= SHORTEST && word.length <= LONGEST && !word.endsWith("s") && !/(.)\1\1/.test(word);
    if (fits && !refused(word)) return word;
  }
  return null;
}
