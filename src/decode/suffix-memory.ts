/**
 * A bounded memory of earlier answers, shared by the requests to a model: what most often followed the longest suffix of a text in
 * any of them is the draft (suffix decoding, arXiv:2411.04975, section 3). In place of a suffix tree it keeps the counts of n-grams
 * up to a length of eight, so that its size is bounded whatever is added. Counts that were made before (retrieval as in REST,
 * arXiv:2311.08252) may stand beside them, and every scope sees those. Knows token ids only.
 */
import { CllmError } from "../error.ts";
import type { TokenIds } from "../runtime/session.ts";
import { joinTokens } from "./join-tokens.ts";
import type { KnownNgrams } from "./known-ngrams.ts";
import { type Followers, followers, LONGEST_ORDER, MOST_SCOPES, NgramCounts, ORDERS } from "./ngram-counts.ts";

/** Megabytes where nothing else is said: some 200 000 tokens. */
export const SUFFIX_MEGABYTES = 16;
export const MOST_SUFFIX_MEGABYTES = 4096;

const TAIL = 16; // tokens of the prompt that are looked at before its answer, so that its beginning is foreseen too
const SHORTEST = ORDERS.indexOf(2); // a suffix of one token says too little

/** What a memory foretells. */
export interface Foretold {
  /** Tokens at the end of the text that were seen in this order, 2, 3, 4, 6 or 8; 0 where nothing is foretold. */
  readonly match: number;
  /** Guesses that were written. */
  readonly length: number;
}

/** One scope's part of a memory: it sees no answer of another scope. */
export interface SuffixView {
  /** Writes to `draft` what followed the end of `text` in earlier answers, as far as it goes. */
  foretell(text: TokenIds, draft: TokenIds): Foretold;
  /** Finds what followed the n-grams at the end of `text[0, end)`. Returns how many lengths there are up to the longest that is known. */
  look(text: TokenIds, end: number, found: Followers): number;
  /** Counts an answer. One that was counted before takes no more room. */
  add(prompt: TokenIds, answer: TokenIds): void;
}

/**
 * Earlier answers within a number of megabytes. With `known`, every scope also sees those counts, and adds nothing to them.
 *
 * @example
 * const answers = new SuffixMemory(16).scoped();
 * const draft = fromSuffixes(answers);
 * const ids: number[] = [];
 * for await (const { accepted } of speculative(session, prompt, { maxNewTokens: 64, draft })) for (const id of accepted) ids.push(id);
 * answers.add(prompt, Int32Array.from(ids));
 */
export class SuffixMemory {
  readonly #counts: NgramCounts;
  readonly #known: KnownNgrams | null;
  readonly #scopes = new Map<string, number>();
  #nextScope = 0;

  /** Throws `usage` for megabytes that are no number over 0, or more than 4096. */
  constructor(megabytes: number = SUFFIX_MEGABYTES, known: KnownNgrams | null = null) {
    this.#known = known;
    if (!(megabytes > 0 && megabytes <= MOST_SUFFIX_MEGABYTES))
      throw new CllmError(
        "usage",
        `a memory of earlier answers of ${megabytes} MB: it must be over 0 and up to ${MOST_SUFFIX_MEGABYTES}`,
      );
    this.#counts = new NgramCounts(megabytes * 1e6);
  }

  /** Bytes that it takes now. */
  get bytes(): number {
    return this.#counts.bytes;
  }

  /** n-grams that it holds now. */
  get length(): number {
    return this.#counts.length;
  }

  /** The part of a scope, such as the answers to those who ask with one key. */
  scoped(name = ""): SuffixView {
    const counts = this.#counts;
    const scope = (): number | undefined => this.#scopes.get(name);
    const own: Look = (text, end, found) => {
      const number = scope();
      if (number !== undefined) return counts.look(text, end, found, number);
      found.totals.fill(0);
      return 0;
    };
    const look = this.#known === null ? own : together(own, lookIn(this.#known));
    return {
      look,
      foretell: (text, draft) => foretell(look, text, draft),
      add: (prompt, answer) => {
        if (answer.length > 0) countAnswer(counts, prompt, answer, this.#scopeOf(name));
      },
    };
  }

  /** Numbers run out after 65 536 scopes: then the memory begins anew, so that no number has two. */
  #scopeOf(name: string): number {
    const known = this.#scopes.get(name);
    if (known !== undefined) return known;
    if (this.#nextScope === MOST_SCOPES) {
      this.#counts.clear();
      this.#scopes.clear();
      this.#nextScope = 0;
    }
    this.#scopes.set(name, this.#nextScope);
    return this.#nextScope++;
  }
}

/**
 * Counts an answer behind the end of its prompt.
 *
 * @example
 * const counts = new NgramCounts(16e6);
 * countAnswer(counts, prompt, Int32Array.of(1, 2, 3));
 */
export function countAnswer(counts: NgramCounts, prompt: TokenIds, answer: TokenIds, scope = 0): void {
  const tail = prompt.subarray(Math.max(0, prompt.length - TAIL));
  const entry = joinTokens(tail, answer);
  for (let at = tail.length; at < entry.length; at++) counts.count(entry, at, scope);
}

/**
 * A view of counts that were made before, for requests whose answers are not kept.
 *
 * @example
 * const counts = new NgramCounts(1e6);
 * countAnswer(counts, prompt, Int32Array.of(1, 2, 3));
 * const draft = fromSuffixes(knownAnswers(new KnownNgrams(counts.table())));
 */
export function knownAnswers(known: KnownNgrams): SuffixView {
  const look = lookIn(known);
  return { look, foretell: (text, draft) => foretell(look, text, draft), add: () => {} };
}

type Look = SuffixView["look"];

const lookIn =
  (known: KnownNgrams): Look =>
  (text, end, found) =>
    known.look(text, end, found);

/** What two sources counted, as if one had: of two different followers the one with more votes stays. */
function together(first: Look, second: Look): Look {
  const other = followers();
  return (text, end, found) => {
    const known = first(text, end, found);
    const more = second(text, end, other);
    for (let order = 0; order < more; order++) {
      if (other.totals[order] === 0) continue;
      const same = found.totals[order]! > 0 && found.ids[order] === other.ids[order];
      const votes = found.totals[order] === 0 ? 0 : found.votes[order]!;
      found.totals[order] = found.totals[order]! + other.totals[order]!;
      if (same) found.votes[order] = votes + other.votes[order]!;
      else if (other.votes[order]! > votes) {
        found.ids[order] = other.ids[order]!;
        found.votes[order] = other.votes[order]!;
      }
    }
    return Math.max(known, more);
  };
}

/** The commonest follower of the longest n-gram that is known, one token after the other, until none is. */
function foretell(look: Look, text: TokenIds, draft: TokenIds): Foretold {
  const found = followers();
  const context = new Int32Array(LONGEST_ORDER + draft.length);
  const before = text.subarray(Math.max(0, text.length - LONGEST_ORDER));
  context.set(before);
  let match = 0;
  for (let i = 0; i < draft.length; i++) {
    const known = look(context, before.length + i, found);
    if (known <= SHORTEST) return { match, length: i };
    if (i === 0) match = ORDERS[known - 1]!;
    draft[i] = found.ids[known - 1]!;
    context[before.length + i] = draft[i]!;
  }
  return { match, length: draft.length };
}
