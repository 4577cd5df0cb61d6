/**
 * The drafts that cost no pass to make: looked up in the text or in earlier answers, predicted by the caller, and recycled from
 * what passes wrote behind the tokens they settled. Whether a draft is run or not, it is watched until the text contradicts
 * it, so their worth is known for free.
 */
import type { TokenIds } from "../runtime/session.ts";
import { Acceptance } from "./acceptance.ts";
import { LONGEST_MATCH, NgramIndex, NgramPool } from "./ngrams.ts";
import { PredictionCursor } from "./prediction.ts";
import type { SuffixView } from "./suffix-memory.ts";

const RECYCLED = 3; // tokens of a recycled draft
/** How good a prediction is thought to be at first, by grade: who gives one knows something. */
const PREDICTED = [0.5, 0.6, 0.6, 0.7, 0.8, 0.9];
const NONE = new Int32Array(0);

/** What is known about the drafts of each kind. */
export interface FreeRecords {
  /** By length of the match, see `matchClass`. */
  readonly lookup: readonly Acceptance[];
  readonly recycled: Acceptance;
  /** By length of the match. */
  readonly earlier: readonly Acceptance[];
  /** By the tokens in a row that a prediction foretold, the first for none. */
  readonly predicted: readonly Acceptance[];
}

export function freeRecords(): FreeRecords {
  const record = () => new Acceptance(0.98);
  const graded = (more: number) => Array.from({ length: matchClass(LONGEST_MATCH) + more }, record);
  return { lookup: graded(1), recycled: record(), earlier: graded(1), predicted: graded(2) };
}

/** Class of a match by its length, two to an octave: 0 for 1, 2 for 2, 3 for 3, 4 for 4 and 5, 5 for 6 and 7... */
function matchClass(length: number): number {
  return Math.floor(2 * Math.log2(length));
}

/** What drafts may be made of beside the text. */
export interface FreeSources {
  /** Tokens of the prompt. */
  readonly promptLength?: number;
  /** What the caller says that the text will be. Default: nothing. */
  readonly prediction?: TokenIds | undefined;
  /** Earlier answers. Default: none. */
  readonly answers?: SuffixView | undefined;
}

export class FreeDrafts {
  readonly #index = new NgramIndex();
  readonly #pool = new NgramPool(1);
  readonly #found: Int32Array;
  readonly #earlier: Int32Array;
  readonly #promptLength: number;
  readonly #prediction: PredictionCursor | null;
  readonly #answers: SuffixView | null;
  readonly #lookups: Graded;
  readonly #recycled: Source;
  readonly #recalled: Graded;
  readonly #predicted: Graded;
  #followed = 0; // tokens behind the prompt that the prediction was compared with
  readonly sources: readonly Source[];

  constructor(records: FreeRecords, longest: number, { promptLength = 0, prediction, answers }: FreeSources = {}) {
    this.#found = new Int32Array(longest);
    this.#earlier = new Int32Array(longest);
    this.#promptLength = promptLength;
    this.#prediction = prediction === undefined ? null : new PredictionCursor(prediction);
    this.#answers = answers ?? null;
    this.#lookups = new Graded(records.lookup, longest, [0.2]);
    this.#recycled = new Source(records.recycled, RECYCLED);
    this.#recalled = new Graded(records.earlier, longest, [0.3]);
    this.#predicted = new Graded(records.predicted, longest, PREDICTED);
    this.sources = [
      ...this.#lookups.sources,
      this.#recycled,
      ...(this.#answers === null ? [] : this.#recalled.sources),
      ...(this.#prediction === null ? [] : this.#predicted.sources),
    ];
  }

  /** Makes the drafts of up to `longest` tokens for what follows `text`. */
  offer(text: TokenIds, longest: number): void {
    const found = this.#found.subarray(0, longest);
    this.#index.update(text);
    const match = this.#index.draft(text, found);
    this.#lookups.offer(match > 0 ? matchClass(match) : -1, found);
    this.#recycled.offer(this.#pool.latest(text.at(-1)!)?.subarray(0, longest) ?? NONE, 0.1);
    if (this.#answers !== null) {
      const earlier = this.#earlier.subarray(0, longest);
      const foretold = this.#answers.foretell(text, earlier);
      this.#recalled.offer(foretold.match > 0 ? matchClass(foretold.match) : -1, earlier.subarray(0, foretold.length));
    }
    if (this.#prediction !== null) {
      const written = text.subarray(this.#promptLength);
      this.#prediction.follow(written, this.#followed);
      this.#followed = written.length;
      const { run } = this.#prediction;
      this.#predicted.offer(
        run === 0 ? 0 : 1 + matchClass(Math.min(run, LONGEST_MATCH)),
        this.#prediction.ahead(longest),
      );
    }
  }

  /** Takes in a pass: the tokens it accepted, and the guesses it did not with what it wrote behind each of them. */
  learn(accepted: TokenIds, rejected: TokenIds, refined: TokenIds): void {
    for (const source of this.sources) source.score(accepted);
    this.#pool.recycle(rejected, refined, RECYCLED);
  }
}

/** Drafts of one kind, judged apart by how much speaks for them: one grade offers at a time. */
class Graded {
  readonly sources: readonly Source[];
  readonly #priors: readonly number[];

  /** `priors`: how good the first grades are thought to be at least, where little is known. */
  constructor(records: readonly Acceptance[], longest: number, priors: readonly number[]) {
    this.sources = records.map((record) => new Source(record, longest));
    this.#priors = priors;
  }

  /** The draft is the grade's, and the other grades have none. */
  offer(grade: number, draft: TokenIds): void {
    let prior = 0;
    for (const [i, source] of this.sources.entries()) {
      prior = Math.max(prior, this.#priors[i] ?? 0);
      source.offer(i === grade ? draft : NONE, prior);
      prior = source.record.rate(0, prior); // what more speaks for is thought to be as good as what less speaks for
    }
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
