/**
 * Two memories of n-grams, the sources of drafts that cost no pass: an index over the text itself, and a pool of short
 * continuations keyed by one token. Both take constant time per token. Neither knows who uses its drafts.
 */
import { mix } from "../hash.ts";
import type { TokenIds } from "../runtime/session.ts";

/** Matches are not followed further back than this. */
export const LONGEST_MATCH = 16;

/**
 * Where each n-gram of a growing text occurred last, for n from 1 to `maxNgram`. A hash table per n; entries are checked
 * against the text when they are used.
 */
export class NgramIndex {
  readonly #tables: Map<number, number>[]; // [n - 1]: hash of n tokens -> index of the token that followed them
  #text: TokenIds = new Int32Array(0);
  #indexed = 0;

  constructor(maxNgram = 3) {
    this.#tables = Array.from({ length: maxNgram }, () => new Map());
  }

  /** Takes in what was added to the text since the last call. The text must begin as it did then. */
  update(text: TokenIds): void {
    for (let at = Math.max(1, this.#indexed); at < text.length; at++) {
      let h = 0;
      for (let n = 1; n <= this.#tables.length && n <= at; n++) {
        h = mix(h ^ text[at - n]!);
        this.#tables[n - 1]!.set(h >>> 2, at); // 30 bits stay small integers
      }
    }
    this.#text = text;
    this.#indexed = text.length;
  }

  /**
   * Writes to `draft` what followed the latest earlier occurrence of the end of `context`, longest end first. If it
   * reaches the end of the text it continues with its own tokens, so a text that loops is continued at any length.
   * Returns how many tokens at the end of `context` match there, up to `LONGEST_MATCH`; 0 leaves `draft` as it is.
   */
  draft(context: TokenIds, draft: TokenIds): number {
    const hashes: number[] = [];
    for (let n = 1, h = 0; n <= this.#tables.length && n <= context.length; n++) {
      h = mix(h ^ context[context.length - n]!);
      hashes.push(h >>> 2);
    }
    for (let n = hashes.length; n > 0; n--) {
      const at = this.#tables[n - 1]!.get(hashes[n - 1]!);
      const match = at === undefined ? 0 : this.#match(at, context);
      if (at === undefined || match < n) continue;
      const text = this.#text;
      for (let i = 0; i < draft.length; i++)
        draft[i] = at + i < text.length ? text[at + i]! : draft[at + i - text.length]!;
      return match;
    }
    return 0;
  }

  /** How many tokens before `at` are those at the end of `context`. */
  #match(at: number, context: TokenIds): number {
    const most = Math.min(at, context.length, LONGEST_MATCH);
    let n = 0;
    while (n < most && this.#text[at - 1 - n] === context[context.length - 1 - n]) n++;
    return n;
  }
}

/** At most `perKey` continuations of each token, the latest used kept longest (arXiv:2402.02057, section 3.3). */
export class NgramPool {
  readonly #perKey: number;
  readonly #continuations = new Map<number, TokenIds[]>(); // the latest last

  constructor(perKey: number) {
    this.#perKey = perKey;
  }

  /** Keeps a copy of `continuation` as what may follow `key`; a known one becomes the latest. */
  add(key: number, continuation: TokenIds): void {
    if (continuation.length === 0 || this.#perKey === 0) return;
    const known = this.#continuations.get(key);
    if (known === undefined) {
      this.#continuations.set(key, [continuation.slice()]);
      return;
    }
    const same = known.findIndex((other) => equal(other, continuation));
    const [kept] = same >= 0 ? known.splice(same, 1) : [continuation.slice()];
    known.push(kept!);
    if (known.length > this.#perKey) known.shift();
  }

  /**
   * Rejection recycling (arXiv:2512.14681): keeps what a pass wrote behind each guess that it did not settle, and on
   * through the guesses it agreed with. `refined[i]` follows `rejected[i]`.
   */
  recycle(rejected: TokenIds, refined: TokenIds, longest: number): void {
    for (let i = 0; i < rejected.length; i++) {
      let end = i + 1;
      while (end < rejected.length && end - i < longest && rejected[end] === refined[end - 1]) end++;
      this.add(rejected[i]!, refined.subarray(i, end));
    }
  }

  /** Continuations of `key`, the latest first. */
  after(key: number): TokenIds[] {
    return this.#continuations.get(key)?.toReversed() ?? [];
  }

  /** The latest continuation of `key`. */
  latest(key: number): TokenIds | undefined {
    return this.#continuations.get(key)?.at(-1);
  }
}

function equal(a: TokenIds, b: TokenIds): boolean {
  return a.length === b.length && a.every((id, i) => id === b[i]);
}
