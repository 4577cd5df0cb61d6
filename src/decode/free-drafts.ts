/**
 * The drafts that cost no pass to make: looked up in the text, and recycled from what passes wrote behind the tokens they
 * settled. Whether a draft is run or not, it is watched until the text contradicts it, so their worth is known for free.
 */
import type { TokenIds } from "../runtime/session.ts";
import { Acceptance } from "./acceptance.ts";
import { LONGEST_MATCH, NgramIndex, NgramPool } from "./ngrams.ts";

const RECYCLED = 3; // tokens of a recycled draft
const NONE = new Int32Array(0);

/** What is known about the drafts of each kind. */
export interface FreeRecords {
  /** By length of the match, see `matchClass`. */
  readonly lookup: readonly Acceptance[];
  readonly recycled: Acceptance;
}

export function freeRecords(): FreeRecords {
  const record = () => new Acceptance(0.98);
  return { lookup: Array.from({ length: matchClass(LONGEST_MATCH) + 1 }, record), recycled: record() };
}

/** Class of a match by its length, two to an octave: 0 for 1, 2 for 2, 3 for 3, 4 for 4 and 5, 5 for 6 and 7... */
function matchClass(length: number): number {
  return Math.floor(2 * Math.log2(length));
}

export class FreeDrafts {
  readonly #index = new NgramIndex();
  readonly #pool = new NgramPool(1);
  readonly #found: Int32Array;
  readonly #lookups: readonly Source[];
  readonly #recycled: Source;
  readonly sources: readonly Source[];

  constructor(records: FreeRecords, longest: number) {
    this.#found = new Int32Array(longest);
    this.#lookups = records.lookup.map((record) => new Source(record, longest));
    this.#recycled = new Source(records.recycled, RECYCLED);
    this.sources = [...this.#lookups, this.#recycled];
  }

  /** Makes the drafts of up to `longest` tokens for what follows `text`. */
  offer(text: TokenIds, longest: number): void {
    const found = this.#found.subarray(0, longest);
    this.#index.update(text);
    const match = this.#index.draft(text, found);
    let prior = 0.2;
    for (const [i, source] of this.#lookups.entries()) {
      source.offer(match > 0 && i === matchClass(match) ? found : NONE, prior);
      prior = source.record.rate(0, prior); // a longer match is thought to be as good as a shorter one
    }
    this.#recycled.offer(this.#pool.latest(text.at(-1)!)?.subarray(0, longest) ?? NONE, 0.1);
  }

  /** Takes in a pass: the tokens it accepted, and the guesses it did not with what it wrote behind each of them. */
  learn(accepted: TokenIds, rejected: TokenIds, refined: TokenIds): void {
    for (const source of this.sources) source.score(accepted);
    this.#pool.recycle(rejected, refined, RECYCLED);
  }
}

/** One kind of draft. */
class Source {
  readonly record: Acceptance;
  /** What it offers for the next pass, a view that is valid until then, and how good that is thought to be at first. */
  draft: TokenIds = NONE;
  prior = 0;
  readonly #watched: Int32Array;
  #length = 0;
  #right = 0; // tokens of the watched draft that turned out right

  constructor(record: Acceptance, longest: number) {
    this.record = record;
    this.#watched = new Int32Array(longest);
  }

  offer(draft: TokenIds, prior: number): void {
    this.draft = draft;
    this.prior = prior;
    if (this.#right < this.#length || draft.length === 0) return; // still watching another
    this.#watched.set(draft);
    this.#length = draft.length;
    this.#right = 0;
  }

  score(accepted: TokenIds): void {
    for (const id of accepted) {
      if (this.#right === this.#length) return;
      const right = this.#watched[this.#right] === id;
      this.record.observe(this.#right, right);
      if (right) this.#right++;
      else this.#length = this.#right = 0;
    }
  }
}
