/**
 * Where examples come from, in an order that is a function of the seed alone, so that a run can go on anywhere. Knows no
 * file and no text.
 */
import { mix } from "../hash.ts";
import type { Example } from "./objectives.ts";

/** Examples by their place in the run, 0 and up without end. */
export interface ExampleSource {
  example(index: number): Example;
  /** Examples before the first comes again; null for an endless source. */
  readonly size: number | null;
}

/**
 * A list, in another order each time, in which `together` examples that follow one another go on doing so; what is left
 * over at the list's end comes last. Throws a `RangeError` for an empty one.
 *
 * @example
 * const source = shuffled(examples, 7); // each time round in another order
 * source.example(0);
 */
export function shuffled(examples: readonly Example[], seed: number, together = 1): ExampleSource {
  const size = examples.length;
  if (size === 0) throw new RangeError("no examples to train on");
  const groups = Math.floor(size / together);
  return {
    size,
    example(index) {
      const place = index % size;
      const group = Math.floor(place / together);
      if (group >= groups) return examples[place] as Example;
      const drawn = permuted(group, groups, mix(seed ^ mix(Math.floor(index / size) + 1)));
      return examples[drawn * together + (place % together)] as Example;
    },
  };
}

/**
 * Place `index` of a pseudo-random permutation of `size` places: a Feistel network over the next power of four, walked until
 * it lands inside (Black and Rogaway, Ciphers with Arbitrary Finite Domains, section 3).
 */
export function permuted(index: number, size: number, key: number): number {
  const half = Math.max(1, Math.ceil(Math.log2(size) / 2));
  const mask = 2 ** half - 1;
  let place = index;
  do {
    let [left, right] = [place >>> half, place & mask];
    for (let round = 0; round < 4; round++) [left, right] = [right, left ^ (mix(right ^ mix(key + round)) & mask)];
    place = left * 2 ** half + right;
  } while (place >= size);
  return place;
}
