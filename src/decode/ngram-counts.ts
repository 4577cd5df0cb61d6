/**
 * What followed the n-grams of token sequences, as counts in a hash table of bounded size: the nodes of a suffix tree down to a depth of
 * eight, where only the two commonest children of each are kept. Counting and looking up take constant time per token. What was seen
 * least is forgotten first. Knows neither where sequences come from nor what counts are good for.
 */
import { mix } from "../hash.ts";
import type { TokenIds } from "../runtime/session.ts";

/** Lengths of n-grams whose followers are counted. */
export const ORDERS = [1, 2, 3, 4, 6, 8] as const;
export const LONGEST_ORDER = 8;

const WORDS = 4; // of an entry: hash of the n-gram; scope and total; the commonest follower; its rival
const ENTRY_BYTES = 4 * WORDS;
const WAYS = 4; // entries in each of the two places where an n-gram may be
const FIRST = 1024; // entries that a table begins with; it doubles up to its bound
const MOST_COUNT = 255;
const MOST_TOTAL = 2 ** 16 - 1;
/** Scopes are counted from 0. */
export const MOST_SCOPES: number = 2 ** 16;

/** What followed the n-grams at the end of a text, by the index of their length in `ORDERS`. */
export interface Followers {
  /** The commonest follower. */
  readonly ids: Int32Array;
  /** How often it came. */
  readonly votes: Int32Array;
  /** How often any token came, 0 where the n-gram is not known. */
  readonly totals: Int32Array;
}

/**
 * What `NgramCounts.look` writes to, empty.
 *
 * @example const found = followers(); // used again for each look
 */
export function followers(): Followers {
  const zeros = () => new Int32Array(ORDERS.length);
  return { ids: zeros(), votes: zeros(), totals: zeros() };
}

/**
 * Counts of what followed what.
 *
 * @example
 * const counts = new NgramCounts(1e6);
 * for (let at = 1; at < prompt.length; at++) counts.count(prompt, at);
 * const found = followers();
 * if (counts.look(prompt, prompt.length, found) > 0) console.log(found.ids[0]); // what mostly came behind the last token
 */
export class NgramCounts {
  readonly #most: number; // entries
  #entries: Uint32Array = new Uint32Array(0);
  #size = 0; // entries
  #used = 0;
  #evictions = 0;
  readonly #hashes = new Uint32Array(ORDERS.length);

  /** `mostBytes`: it never takes more, and at least the few entries of one place. */
  constructor(mostBytes: number) {
    this.#most = WAYS * Math.max(1, Math.floor(mostBytes / ENTRY_BYTES / WAYS));
  }

  /** Bytes that it takes now. */
  get bytes(): number {
    return this.#entries.byteLength;
  }

  /** n-grams that it holds now. */
  get length(): number {
    return this.#used;
  }

  /**
   * What it holds of scope 0, without n-grams that were followed fewer than `least` times, `(n, 4)`: hash of the n-gram, tokens that
   * followed it, 256 times the commonest of them plus how often it came, and the same of its rival. Each hash is larger than the one
   * before.
   */
  table(least = 1): Uint32Array {
    const entries = this.#entries;
    const kept: number[] = [];
    for (let at = 0; at < entries.length; at += WORDS) {
      const total = entries[at + 1]!;
      if (entries[at] !== 0 && total >= least && total <= MOST_TOTAL && (entries[at + 2]! & 255) > 0) kept.push(at);
    }
    kept.sort((a, b) => entries[a]! - entries[b]!);
    const table = new Uint32Array(WORDS * kept.length);
    for (const [i, at] of kept.entries()) table.set(entries.subarray(at, at + WORDS), WORDS * i);
    return table;
  }

  /** Counts `text[at]` behind the n-grams before it, for a scope that sees no count of another one. */
  count(text: TokenIds, at: number, scope = 0): void {
    const orders = hashNgrams(text, at, this.#hashes, scope);
    const id = text[at]!;
    for (let order = 0; order < orders; order++) this.#see(this.#hashes[order]!, scope, id);
  }

  /** Finds what followed the n-grams at the end of `text[0, end)`. Returns how many lengths there are up to the longest that is known. */
  look(text: TokenIds, end: number, { ids, votes, totals }: Followers, scope = 0): number {
    totals.fill(0);
    if (this.#used === 0) return 0;
    const orders = hashNgrams(text, end, this.#hashes, scope);
    let known = 0;
    for (let order = 0; order < orders; order++) {
      const at = this.#find(this.#hashes[order]!, scope);
      if (at < 0) break; // a longer one cannot have been seen, or is forgotten too
      const first = this.#entries[at + 2]!;
      if ((first & 255) === 0) continue; // it has faded, and a longer one may be newer
      ids[order] = first >>> 8;
      votes[order] = first & 255;
      totals[order] = this.#entries[at + 1]! & MOST_TOTAL;
      known = order + 1;
    }
    return known;
  }

  clear(): void {
    this.#entries.fill(0);
    this.#used = 0;
  }

  /** Where the n-gram is in the table, or -1. */
  #find(hash: number, scope: number): number {
    for (let choice = 0; choice < 2; choice++) {
      const begin = placeOf(hash, choice, this.#size);
      for (let at = begin; at < begin + WAYS * WORDS; at += WORDS)
        if (this.#entries[at] === hash && this.#entries[at + 1]! >>> 16 === scope) return at;
    }
    return -1;
  }

  #see(hash: number, scope: number, id: number): void {
    const known = this.#find(hash, scope);
    const at = known >= 0 ? known : this.#take(hash, scope);
    const entries = this.#entries;
    entries[at + 1]!++;
    const [first, second] = [entries[at + 2]!, entries[at + 3]!];
    if (first >>> 8 === id && (first & 255) > 0) entries[at + 2] = first + 1;
    else if (second >>> 8 === id && (second & 255) > 0) entries[at + 3] = second + 1;
    else if ((first & 255) === 0) entries[at + 2] = 256 * id + 1;
    else if ((second & 255) <= 1) entries[at + 3] = 256 * id + 1;
    else entries[at + 3] = second - 1;
    // Of equals the latest is the commonest.
    const [a, b] = [entries[at + 2]!, entries[at + 3]!];
    if ((b & 255) > (a & 255) || ((b & 255) === (a & 255) && b >>> 8 === id)) {
      entries[at + 2] = b;
      entries[at + 3] = a;
    }
    if ((entries[at + 2]! & 255) === MOST_COUNT || (entries[at + 1]! & MOST_TOTAL) === MOST_TOTAL) this.#halve(at);
  }

  /** Counts fade, so that they stay small and what is new counts more. */
  #halve(at: number): void {
    const entries = this.#entries;
    const meta = entries[at + 1]!;
    entries[at + 1] = meta - (meta & MOST_TOTAL) + ((meta & MOST_TOTAL) >>> 1);
    for (const i of [at + 2, at + 3]) entries[i] = entries[i]! - (entries[i]! & 255) + ((entries[i]! & 255) >>> 1);
  }

  /** An entry for a new n-gram: a free one, if need be in a larger table; or that of the one that was seen least, and then others fade. */
  #take(hash: number, scope: number): number {
    let at = freeEntry(this.#entries, this.#size, hash);
    while (at < 0 && this.#size < this.#most) {
      this.#grow();
      at = freeEntry(this.#entries, this.#size, hash);
    }
    if (at < 0) at = this.#evict(hash);
    else this.#used++;
    this.#entries[at] = hash;
    this.#entries[at + 1] = scope * 2 ** 16;
    this.#entries[at + 2] = 0;
    this.#entries[at + 3] = 0;
    return at;
  }

  #evict(hash: number): number {
    const total = (at: number): number => this.#entries[at + 1]! & MOST_TOTAL;
    const begin = placeOf(hash, 0, this.#size);
    const turn = this.#evictions++ % WAYS; // so that of equals each has its turn
    let least = begin + turn * WORDS;
    for (let at = begin; at < begin + WAYS * WORDS; at += WORDS) if (total(at) < total(least)) least = at;
    for (let at = begin; at < begin + WAYS * WORDS; at += WORDS) if (at !== least) this.#halve(at);
    return least;
  }

  /** Doubles the table, again and again until all n-grams have an entry. Only at the bound some may find none. */
  #grow(): void {
    for (;;) {
      const size = Math.min(this.#most, Math.max(FIRST, 2 * this.#size));
      const larger = new Uint32Array(size * WORDS);
      let moved = 0;
      let left = 0;
      for (let from = 0; from < this.#entries.length; from += WORDS) {
        if (this.#entries[from] === 0) continue;
        const at = freeEntry(larger, size, this.#entries[from]!);
        if (at < 0) left++;
        else {
          larger.set(this.#entries.subarray(from, from + WORDS), at);
          moved++;
        }
      }
      this.#size = size;
      if (left > 0 && size < this.#most) continue;
      this.#entries = larger;
      this.#used = moved;
      return;
    }
  }
}

/** Writes the hashes of the n-grams that end before `end`; none of them is 0. Returns how many of the lengths there are. */
export function hashNgrams(text: TokenIds, end: number, hashes: Uint32Array, scope = 0): number {
  let h = mix(scope + 1);
  let order = 0;
  for (let n = 1; n <= LONGEST_ORDER && n <= end; n++) {
    h = mix(h ^ text[end - n]!);
    if (n === ORDERS[order]) hashes[order++] = mix(h + n) | 1;
  }
  return order;
}

/** A free entry in the emptier one of the two places, or -1. */
function freeEntry(entries: Uint32Array, size: number, hash: number): number {
  if (size === 0) return -1;
  let found = -1;
  let most = 0; // free entries
  for (let choice = 0; choice < 2; choice++) {
    let free = 0;
    let last = -1;
    const begin = placeOf(hash, choice, size);
    for (let at = begin; at < begin + WAYS * WORDS; at += WORDS) {
      if (entries[at] !== 0) continue;
      free++;
      last = at;
    }
    if (free > most) [found, most] = [last, free];
  }
  return found;
}

/** The first word of the entries where an n-gram may be: there are two such places, so that a table gets nearly full. */
function placeOf(hash: number, choice: number, size: number): number {
  const h = choice === 0 ? hash : Math.imul(hash, 0x9e3779b1) >>> 0;
  return Math.floor((h / 2 ** 32) * (size / WAYS)) * (WAYS * WORDS);
}
