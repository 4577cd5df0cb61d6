/**
 * A bounded memory of earlier answers, shared by the requests to a model: what followed the longest suffix of a text in any of
 * them is the draft (suffix decoding, arXiv:2411.04975, section 3). In place of a suffix tree with counts it keeps the answers in a
 * ring, with chains of the places where the same n-gram occurred. The latest places at the longest suffix vote on each next
 * token, as counts in the tree would. So memory is linear in tokens whatever the text, the oldest answers are overwritten
 * first, and a look-up takes constant time. Knows token ids only.
 */
import { CllmError } from "../error.ts";
import { mix } from "../hash.ts";
import type { TokenIds } from "../runtime/session.ts";
import { LONGEST_MATCH } from "./ngrams.ts";

/** Megabytes where nothing else is said: some 650 000 tokens. */
export const SUFFIX_MEGABYTES = 16;
export const MOST_SUFFIX_MEGABYTES = 4096;

const BYTES = 24; // of a token: itself, its scope, two links, and its part of two tables
const FIRST = 1024; // tokens that the ring begins with; it doubles up to its bound
const LAST = 2 ** 30; // places are 32-bit integers: then the memory begins anew
const TAIL = 16; // tokens of the prompt that are kept before its answer, so that its beginning is foreseen too
const VOTERS = 8; // places that are looked at
const END = -1; // stands behind each answer, and is no token
const LENGTHS = [6, 2] as const; // n-grams that are looked up, the longer one first

/** What a memory foretells. */
export interface Foretold {
  /** Tokens at the end of the text that are the same at the place, up to 16; 0 where nothing is foretold. */
  readonly match: number;
  /** Guesses that were written. */
  readonly length: number;
}

/** One scope's part of a memory: it sees no answer of another scope. */
export interface SuffixView {
  /** Writes to `draft` what followed the end of `text` in earlier answers, as far as it goes. */
  foretell(text: TokenIds, draft: TokenIds): Foretold;
  /** Keeps an answer. One that is kept already takes no more room. */
  add(prompt: TokenIds, answer: TokenIds): void;
}

/** The places of n-grams of one length: the latest by hash, and from each place the distance to the one before. */
interface Chains {
  readonly length: number;
  heads: Int32Array; // place + 1, or 0
  links: Int32Array;
}

/**
 * Earlier answers within a number of megabytes.
 *
 * @example
 * const answers = new SuffixMemory(16).scoped();
 * const draft = fromSuffixes(answers);
 * const ids: number[] = [];
 * for await (const { accepted } of speculative(session, prompt, { maxNewTokens: 64, draft })) for (const id of accepted) ids.push(id);
 * answers.add(prompt, Int32Array.from(ids));
 */
export class SuffixMemory {
  readonly #most: number; // tokens
  readonly #scopes = new Map<string, number>();
  readonly #chains: readonly Chains[] = LENGTHS.map((length) => ({ length, heads: EMPTY, links: EMPTY }));
  #nextScope = 0;
  #tokens = EMPTY; // a ring: the token at a place is at the place's remainder
  #owners = EMPTY;
  #end = 0; // the place of the next token

  /** Throws `usage` for megabytes that are no number over 0, or more than 4096. */
  constructor(megabytes: number = SUFFIX_MEGABYTES) {
    if (!(megabytes > 0 && megabytes <= MOST_SUFFIX_MEGABYTES))
      throw new CllmError(
        "usage",
        `a memory of earlier answers of ${megabytes} MB: it must be over 0 and up to ${MOST_SUFFIX_MEGABYTES}`,
      );
    this.#most = Math.max(4 * TAIL, Math.floor((megabytes * 1e6) / BYTES));
  }

  /** Bytes that it takes now. */
  get bytes(): number {
    const arrays = [this.#tokens, this.#owners, ...this.#chains.flatMap(({ heads, links }) => [heads, links])];
    return arrays.reduce((sum, { byteLength }) => sum + byteLength, 0);
  }

  /** Tokens that it holds now, with what stands before and behind answers. */
  get length(): number {
    return Math.min(this.#end, this.#tokens.length);
  }

  /** The part of a scope, such as the answers to those who ask with one key. */
  scoped(scope = ""): SuffixView {
    return {
      foretell: (text, draft) => this.#foretell(text, draft, this.#scopes.get(scope)),
      add: (prompt, answer) => this.#add(prompt, answer, this.#scopeOf(scope)),
    };
  }

  #scopeOf(scope: string): number {
    const known = this.#scopes.get(scope) ?? this.#nextScope++;
    this.#scopes.delete(scope);
    this.#scopes.set(scope, known); // the latest last
    if (this.#scopes.size > MOST_SCOPES) this.#scopes.delete(this.#scopes.keys().next().value!);
    return known;
  }

  #add(prompt: TokenIds, answer: TokenIds, scope: number): void {
    if (answer.length === 0) return;
    const tail = prompt.subarray(Math.max(0, prompt.length - TAIL));
    const longest = (this.#most >> 1) - tail.length - 1;
    const kept = answer.subarray(Math.max(0, answer.length - longest));
    const entry = new Int32Array(tail.length + kept.length + 1);
    entry.set(tail);
    entry.set(kept, tail.length);
    entry[entry.length - 1] = END;
    if (this.#end + entry.length > LAST) this.#clear();
    this.#reserve(this.#end + entry.length);
    if (this.#holds(entry, scope)) return;
    const size = this.#tokens.length;
    const begin = this.#end;
    for (let i = 0; i < entry.length; i++) {
      const place = begin + i;
      this.#tokens[place % size] = entry[i]!;
      this.#owners[place % size] = scope;
      this.#end = place + 1;
      for (const chains of this.#chains) {
        const known = i >= Math.max(chains.length, tail.length);
        this.#link(chains, place, known ? bucket(entry, i, scope, chains) : -1);
      }
    }
  }

  /** Enters the place of what followed an n-gram; with -1 it followed none. */
  #link({ heads, links }: Chains, place: number, at: number): void {
    const before = at < 0 ? 0 : heads[at]!;
    links[place % links.length] = before === 0 ? 0 : place + 1 - before;
    if (at >= 0) heads[at] = place + 1;
  }

  /** Places behind the n-gram at the end of `text`, with how much matches before each: of this scope, the latest first. */
  #places(chains: Chains, text: TokenIds, scope: number): { place: number; match: number }[] {
    const { length, heads, links } = chains;
    const found: { place: number; match: number }[] = [];
    if (text.length < length || heads.length === 0) return found;
    const size = this.#tokens.length;
    let place = heads[bucket(text, text.length, scope, chains)]! - 1;
    for (let seen = 0; seen < VOTERS; seen++) {
      if (place < 0 || place < this.#end - size) break;
      const match = this.#owners[place % size] === scope ? this.#match(place, text) : 0;
      if (match >= length) found.push({ place, match });
      const distance = links[place % size]!;
      if (distance === 0) break;
      place -= distance;
    }
    return found;
  }

  /** How many tokens before a place are those at the end of the text. */
  #match(place: number, text: TokenIds): number {
    const size = this.#tokens.length;
    const most = Math.min(LONGEST_MATCH, text.length, place, place - (this.#end - size));
    let n = 0;
    while (n < most && this.#tokens[(place - 1 - n) % size] === text[text.length - 1 - n]) n++;
    return n;
  }

  #foretell(text: TokenIds, draft: TokenIds, scope: number | undefined): Foretold {
    if (scope === undefined || draft.length === 0) return NOTHING;
    const size = this.#tokens.length;
    for (const chains of this.#chains) {
      const places = this.#places(chains, text, scope).filter(({ place }) => this.#tokens[place % size] !== END);
      if (places.length === 0) continue;
      const match = places.reduce((most, each) => Math.max(most, each.match), 0);
      const same = places.filter((each) => each.match === match).map(({ place }) => place);
      return { match, length: this.#vote(same, draft) };
    }
    return NOTHING;
  }

  /** Writes what most of the places say, token by token among those that agree so far; of equals, what the latest one says. */
  #vote(places: readonly number[], draft: TokenIds): number {
    const size = this.#tokens.length;
    let alive = Int32Array.from(places, (place) => place % size);
    for (let i = 0; i < draft.length; i++) {
      if (alive.length === 1) return this.#copy(alive[0]! + i, draft, i);
      const best = this.#choice(alive, i);
      if (best === END) return i;
      draft[i] = best;
      for (const place of alive) {
        if (this.#at(place + i) === best) continue;
        alive = alive.filter((other) => this.#at(other + i) === best);
        break;
      }
    }
    return draft.length;
  }

  /** The token that most of the places have at `offset`. An answer that ends there says nothing of others. */
  #choice(places: TokenIds, offset: number): number {
    let best = END;
    let most = 0;
    for (let i = 0; i < places.length - most; i++) {
      const token = this.#at(places[i]! + offset);
      if (token === END || token === best) continue;
      let count = 0;
      for (let j = i; j < places.length; j++) if (this.#at(places[j]! + offset) === token) count++;
      if (count <= most) continue;
      best = token;
      most = count;
    }
    return best;
  }

  /** The token at an index of the ring, or less than a round further on. */
  #at(index: number): number {
    const size = this.#tokens.length;
    return this.#tokens[index < size ? index : index - size]!;
  }

  /** Writes what stands from a place on to `draft` from index `from` on, up to the answer's end. */
  #copy(place: number, draft: TokenIds, from: number): number {
    const size = this.#tokens.length;
    for (let i = from; i < draft.length; i++) {
      const token = this.#tokens[(place + i - from) % size]!;
      if (token === END) return i;
      draft[i] = token;
    }
    return draft.length;
  }

  /** Whether the entry is there already, by the places behind its last n-gram. */
  #holds(entry: TokenIds, scope: number): boolean {
    const text = entry.subarray(0, -1);
    const size = this.#tokens.length;
    const [longest] = this.#chains as [Chains];
    return this.#places(longest, text, scope).some(({ place }) => {
      const begin = place - text.length;
      if (begin < Math.max(0, this.#end - size) || this.#tokens[place % size] !== END) return false;
      for (let i = 0; i < text.length; i++) if (this.#tokens[(begin + i) % size] !== text[i]) return false;
      return begin === 0 || this.#tokens[(begin - 1 + size) % size] === END;
    });
  }

  /** Makes the ring larger where it is not full grown: no place has been overwritten by then. */
  #reserve(end: number): void {
    const size = this.#tokens.length;
    if (end <= size || size === this.#most) return;
    const larger = Math.min(this.#most, Math.max(FIRST, 2 * size, end));
    this.#tokens = grown(this.#tokens, larger);
    this.#owners = grown(this.#owners, larger);
    for (const chains of this.#chains) {
      chains.heads = new Int32Array(2 ** Math.floor(Math.log2(larger)));
      chains.links = new Int32Array(larger);
    }
    this.#index();
  }

  /** Enters all places anew. */
  #index(): void {
    let begin = 0; // of the answer, its prompt's tail included
    for (let place = 0; place < this.#end; place++) {
      for (const chains of this.#chains) {
        const known = place - begin >= chains.length;
        this.#link(chains, place, known ? bucket(this.#tokens, place, this.#owners[place]!, chains) : -1);
      }
      if (this.#tokens[place] === END) begin = place + 1;
    }
  }

  #clear(): void {
    this.#end = 0;
    for (const { heads } of this.#chains) heads.fill(0);
  }
}

const EMPTY = new Int32Array(0);
const NOTHING: Foretold = { match: 0, length: 0 };
const MOST_SCOPES = 4096;

/** Where the n-gram before index `end` has its latest place. Scopes have chains of their own, so none hides another's places. */
function bucket(tokens: TokenIds, end: number, scope: number, { length, heads }: Chains): number {
  let h = scope;
  for (let i = end - length; i < end; i++) h = mix(h ^ tokens[i]!);
  return h & (heads.length - 1);
}

function grown(array: Int32Array, length: number): Int32Array<ArrayBuffer> {
  const larger = new Int32Array(length);
  larger.set(array);
  return larger;
}
