/**
 * The drafts that cost no pass to make: foreseen by n-grams of the text and of earlier answers, predicted by the caller, and recycled
 * from what passes wrote behind the tokens they settled. Whether a draft is run or not, it is watched until the text contradicts
 * it, so their worth is known for free.
 */
import type { TokenIds } from "../runtime/session.ts";
import { Acceptance } from "./acceptance.ts";
import { NgramGuesses, NgramRecords } from "./ngram-guesses.ts";
import { LONGEST_MATCH, NgramPool } from "./ngrams.ts";
import { PredictionCursor } from "./prediction.ts";
import type { SuffixView } from "./suffix-memory.ts";

const RECYCLED = 3; // tokens of a recycled draft
/** How good a prediction is thought to be at first, by grade: who gives one knows something. */
const PREDICTED = [0.5, 0.6, 0.6, 0.7, 0.8, 0.9];
const NONE = new Int32Array(0);

/** What is known about the drafts of each kind. */
export interface FreeRecords {
  readonly ngrams: NgramRecords;
  readonly recycled: Acceptance;
  /** By the tokens in a row that a prediction foretold, the first for none. */
  readonly predicted: readonly Acceptance[];
}

export function freeRecords(): FreeRecords {
  const record = () => new Acceptance(0.98);
  const predicted = Array.from({ length: matchClass(LONGEST_MATCH) + 2 }, record);
  return { ngrams: new NgramRecords(), recycled: record(), predicted };
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

/** What is offered for the next pass. */
export interface FreeDraft {
  /** A view that is valid until the next offer. */
  readonly draft: TokenIds;
  /** Writes to `expected[m]`, for m from 1 on, how many tokens a pass with m - 1 of the draft's is expected to accept. */
  expect(expected: Float64Array): void;
}

export class FreeDrafts {
  readonly #pool = new NgramPool(1);
  readonly #promptLength: number;
  readonly #prediction: PredictionCursor | null;
  readonly #ngrams: Foreseen;
  readonly #recycled: Source;
  readonly #predicted: Graded;
  readonly #watched: readonly Source[];
  #followed = 0; // tokens behind the prompt that the prediction was compared with
  readonly sources: readonly FreeDraft[];

  constructor(records: FreeRecords, longest: number, { promptLength = 0, prediction, answers }: FreeSources = {}) {
    this.#promptLength = promptLength;
    this.#prediction = prediction === undefined ? null : new PredictionCursor(prediction);
    this.#ngrams = new Foreseen(new NgramGuesses(records.ngrams, promptLength, answers), longest);
    this.#recycled = new Source(records.recycled, RECYCLED);
    this.#predicted = new Graded(records.predicted, longest, PREDICTED);
    this.#watched = [this.#recycled, ...(this.#prediction === null ? [] : this.#predicted.sources)];
    this.sources = [this.#ngrams, ...this.#watched];
  }

  /** Takes in a text, or the beginning of one. It is done by the next offer, if not before. */
  study(text: TokenIds): void {
    this.#ngrams.ngrams.update(text);
  }

  /** Makes the drafts of up to `longest` tokens for what follows `text`. */
  offer(text: TokenIds, longest: number): void {
    this.#ngrams.offer(text, longest);
    this.#recycled.offer(this.#pool.latest(text.at(-1)!)?.subarray(0, longest) ?? NONE, 0.1);
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
    for (const source of this.#watched) source.score(accepted);
    this.#pool.recycle(rejected, refined, RECYCLED);
  }
}

/** What the n-gram model says, which knows itself how likely that is. */
class Foreseen implements FreeDraft {
  readonly ngrams: NgramGuesses;
  readonly #guesses: Int32Array;
  readonly #odds: Float64Array;
  draft: TokenIds = NONE;

  constructor(ngrams: NgramGuesses, longest: number) {
    this.ngrams = ngrams;
    this.#guesses = new Int32Array(longest);
    this.#odds = new Float64Array(longest);
  }

  offer(text: TokenIds, longest: number): void {
    this.ngrams.update(text);
    const guesses = this.#guesses.subarray(0, longest);
    this.draft = guesses.subarray(0, this.ngrams.guess(guesses, this.#odds));
  }

  expect(expected: Float64Array): void {
    let survival = 1;
    expected[1] = 1;
    for (let m = 2; m <= this.draft.length + 1; m++) {
      survival *= this.#odds[m - 2]!;
      expected[m] = expected[m - 1]! + survival;
    }
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
class Source implements FreeDraft {
  readonly record: Acceptance;
  draft: TokenIds = NONE;
  #prior = 0; // how good the draft is thought to be at first
  readonly #watched: Int32Array;
  #length = 0;
  #right = 0; // tokens of the watched draft that turned out right

  constructor(record: Acceptance, longest: number) {
    this.record = record;
    this.#watched = new Int32Array(longest);
  }

  offer(draft: TokenIds, prior: number): void {
    this.draft = draft;
    this.#prior = prior;
    if (this.#right < this.#length || draft.length === 0) return; // still watching another
    this.#watched.set(draft);
    this.#length = draft.length;
    this.#right = 0;
  }

  expect(expected: Float64Array): void {
    this.record.expect(expected, this.draft.length + 1, this.#prior);
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
