/**
 * A draft that takes time to ask, such as a draft model or a caller's own: what its guesses cost, in passes of one token, and how
 * often they were right, learnt from the times that it was asked. So a decoder can tell whether asking pays. Knows no decoder
 * and nothing about where the guesses come from.
 */
import type { TokenIds } from "../runtime/session.ts";
import { Acceptance } from "./acceptance.ts";
import type { OpenDraft } from "./open-draft.ts";

/** Most guesses that are asked for at once, where the draft has no limit of its own. */
export const MOST_ASKED = 15;
/** How often a guess is thought to be right before any was seen. */
export const ASKED_PRIOR = 0.6;

const NEWEST = 0.1; // weight of a new observation in a running mean
const GUESS = 0.1; // what a guess is thought to cost at first, in passes of one token
const TRIAL_PASSES = 3;
const PATIENCE = 8; // requests without a question until it is tried again
const MOST_PATIENCE = 128;
const NONE = new Int32Array(0);

/** What requests learn about a draft, for those that come. */
export class AskedRecord {
  readonly acceptance: Acceptance = new Acceptance(0.98);
  /**
   * Milliseconds of a guess, or of all where these come together; of a text's first question, for each token before it; and a pass over what it
   * is said to cost.
   */
  readonly guessMs: Mean = new Mean();
  readonly openingMs: Mean = new Mean();
  readonly stretch: Mean = new Mean();
  /** Tokens that requests write. */
  readonly length: Mean = new Mean();
  #silent = 0;
  #patience = PATIENCE;

  /** A request begins: how many of its passes ask whatever the promise. */
  open(): number {
    if (this.#silent++ < this.#patience) return 0;
    this.#patience = Math.min(MOST_PATIENCE, 2 * this.#patience);
    this.#silent = 0;
    return TRIAL_PASSES;
  }

  /** Asking paid: it is in use. */
  chosen(): void {
    this.#silent = 0;
    this.#patience = PATIENCE;
  }
}

/** A mean in which the newest counts most. */
export class Mean {
  #value: number | null = null;

  observe(value: number): void {
    this.#value = this.#value === null ? value : this.#value + NEWEST * (value - this.#value);
  }

  /** `otherwise` before anything was observed. */
  or(otherwise: number): number {
    return this.#value ?? otherwise;
  }
}

/** What is asked, and how. */
export interface Asking {
  readonly source: OpenDraft;
  readonly promptLength: number;
  /** What a pass of one token costs, in milliseconds. */
  readonly unitMs: number;
  readonly clock: () => number;
  /** For heads: so many guesses, which all come at the price of one. Default: up to `MOST_ASKED`, one after the other. */
  readonly together?: number | undefined;
}

/** A draft as one request asks it. */
export class AskedDraft {
  /** Guesses that it gives, at most. */
  readonly most: number;
  readonly #record: AskedRecord;
  readonly #source: OpenDraft;
  readonly #unitMs: number;
  readonly #clock: () => number;
  readonly #promptLength: number;
  readonly #together: boolean;
  #asked: TokenIds = NONE;
  #wanted = 0;
  #opened = false;
  /** Passes left that ask whatever the promise. */
  trial: number;

  constructor(record: AskedRecord, { source, promptLength, unitMs, clock, together }: Asking) {
    this.#record = record;
    this.#source = source;
    this.#promptLength = promptLength;
    this.#unitMs = unitMs;
    this.#clock = clock;
    this.#together = together !== undefined;
    this.most = together ?? MOST_ASKED;
    this.trial = record.open();
  }

  /** What so many guesses cost, in passes of one token. */
  price(guesses: number): number {
    return this.#priced(guesses) * this.#inPasses(this.#record.guessMs.or(GUESS * this.#unitMs));
  }

  /** How many of so many guesses are paid for. */
  #priced(guesses: number): number {
    return this.#together ? Math.min(1, guesses) : guesses;
  }

  /** What the text's first question costs beside its guesses, for each token that is likely to be written. */
  opening(left: number): number {
    if (this.#opened) return 0;
    const passes = this.#inPasses(this.#record.openingMs.or(0) * this.#promptLength);
    return passes / Math.max(1, Math.min(left, this.#record.length.or(left)));
  }

  /** Milliseconds in passes of one token, as long as these take here and now. */
  #inPasses(ms: number): number {
    return ms / (this.#unitMs * this.#record.stretch.or(1));
  }

  /** Up to `count` guesses for what follows the text, and what they cost in passes of one token. */
  async ask(text: TokenIds, count: number): Promise<TokenIds> {
    const start = this.#clock();
    const guesses = await this.#source.extend(text, NONE, count);
    const ms = Math.max(0, this.#clock() - start);
    const { guessMs, openingMs } = this.#record;
    const priced = this.#priced(count);
    if (this.#opened || this.#together) guessMs.observe(ms / priced);
    else openingMs.observe(Math.max(0, ms - priced * guessMs.or(GUESS * this.#unitMs)) / this.#promptLength);
    this.#opened = true;
    this.#asked = guesses;
    this.#wanted = count;
    this.trial = Math.max(0, this.trial - 1);
    return guesses;
  }

  /** A pass took so long, and should have taken `expectedMs`. */
  ran(ms: number, expectedMs: number): void {
    if (ms > 0) this.#record.stretch.observe(Math.min(4, Math.max(0.25, ms / expectedMs)));
  }

  /** What came to be written where guesses were asked for; a guess that was not given counts as a wrong one. */
  learn(written: TokenIds): void {
    const { acceptance } = this.#record;
    const given = this.#asked.length;
    acceptance.score(this.#asked, written);
    if (given < this.#wanted && written.length > given) acceptance.observe(given, false);
    this.#asked = NONE;
    this.#wanted = 0;
  }
}
