/**
 * Counts of n-grams that were made before, as `NgramCounts.table` gives them: looked up and never changed. They stand in the order of their
 * hashes, so that nothing has to be built from them.
 */
import type { TokenIds } from "../runtime/session.ts";
import { type Followers, hashNgrams, ORDERS } from "./ngram-counts.ts";

const WORDS = 4; // of an entry
const BITS = 16; // of a hash, by which the place is found where it may be

/**
 * What was counted.
 *
 * @example
 * const counts = new NgramCounts(1e6);
 * for (let at = 1; at < prompt.length; at++) counts.count(prompt, at);
 * const answers = new SuffixMemory(16, new KnownNgrams(counts.table())).scoped();
 */
export class KnownNgrams {
  readonly #table: Uint32Array; // (n, 4)
  readonly #begins = new Uint32Array(2 ** BITS + 1); // the first entry whose hash begins with these bits, or more
  readonly #hashes = new Uint32Array(ORDERS.length);

  /** `table`: `(n, 4)`, each hash larger than the one before. */
  constructor(table: Uint32Array) {
    this.#table = table;
    let entry = 0;
    for (let begin = 0; begin < this.#begins.length; begin++) {
      while (entry < this.length && table[WORDS * entry]! >>> (32 - BITS) < begin) entry++;
      this.#begins[begin] = entry;
    }
  }

  /** n-grams that it holds. */
  get length(): number {
    return this.#table.length / WORDS;
  }

  /** As `NgramCounts.look`; a longer n-gram may be known where a shorter one was left out. */
  look(text: TokenIds, end: number, { ids, votes, totals }: Followers): number {
    totals.fill(0);
    const orders = hashNgrams(text, end, this.#hashes);
    let known = 0;
    for (let order = 0; order < orders; order++) {
      const at = this.#find(this.#hashes[order]!);
      if (at < 0) continue;
      const first = this.#table[at + 2]!;
      ids[order] = first >>> 8;
      votes[order] = first & 255;
      totals[order] = this.#table[at + 1]!;
      known = order + 1;
    }
    return known;
  }

  /** Where the n-gram's entry is, or -1. */
  #find(hash: number): number {
    const begin = hash >>> (32 - BITS);
    const end = this.#begins[begin + 1]!;
    for (let entry = this.#begins[begin]!; entry < end; entry++) {
      const at = WORDS * entry;
      if (this.#table[at]! >= hash) return this.#table[at] === hash ? at : -1;
    }
    return -1;
  }
}
