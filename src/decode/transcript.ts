/**
 * The text being written: prompt and accepted tokens, what is left of the budget, and the one rule that ties them to
 * the session, that the KV cache holds every token but the last. All decoders share it; no decoder clips, counts, stops
 * or truncates by itself. Knows nothing about where guesses come from.
 */
import { CllmError } from "../error.ts";
import { draftForest, type Forest, type Session, type TokenIds } from "../runtime/session.ts";
import { tokenBudget } from "./budget.ts";
import { joinTokens } from "./join-tokens.ts";
import type { DecodeOptions, Iteration } from "./types.ts";

/** Most tokens of a fixed text that are guessed at once. */
const FIXED_MOST = 64;

/** What an iteration brought. */
export interface Verified {
  readonly iteration: Iteration; // with its k accepted tokens
  /** Guesses for what follows them, each written by the pass behind the guess before it. */
  readonly refined: TokenIds; // (m - k,)
}

/**
 * The text that a decoder writes. Each pass is `verify` or `run`, and its end is `unfinished`.
 *
 * @example
 * async function* twice(session: Session, prompt: TokenIds, options: DecodeOptions) {
 *   const text = new Transcript(session, prompt, options);
 *   while (text.unfinished()) yield (await text.verify(Int32Array.of(text.last))).iteration; // the last token again
 * }
 */
export class Transcript {
  readonly #session: Session;
  readonly #buffer: Int32Array; // prompt, accepted, room for the rest of the budget
  readonly #promptLength: number;
  readonly #stopIds: ReadonlySet<number>;
  readonly #signal: AbortSignal | undefined;
  #length: number;
  #left: number;
  #begun = false; // whether the first pass was accepted
  #ran = 0; // rows that the session gave before those of the last trunk
  #before = 0; // tokens of the prompt that a pass runs before its trunk; none but in the first

  /** Checks the request before any work: `bad-input`, `usage` or `context-overflow`. */
  constructor(session: Session, prompt: TokenIds, { maxNewTokens, stopIds, signal }: DecodeOptions) {
    tokenBudget(prompt.length, maxNewTokens, session.contextLength);
    this.#session = session;
    this.#buffer = new Int32Array(prompt.length + maxNewTokens);
    this.#buffer.set(prompt);
    this.#promptLength = prompt.length;
    this.#length = prompt.length;
    this.#left = maxNewTokens;
    this.#stopIds = stopIds ?? new Set();
    this.#signal = signal;
  }

  /** Prompt and accepted tokens: a view, which later tokens do not change. */
  get tokens(): TokenIds {
    return this.#buffer.subarray(0, this.#length);
  }

  get promptLength(): number {
    return this.#promptLength;
  }

  /** The token that the next pass begins with: accepted, but not yet in the cache. */
  get last(): number {
    return this.#buffer[this.#length - 1]!;
  }

  /** How many more tokens may be accepted: the longest trunk worth running. 0 after a stop id. */
  get left(): number {
    return this.#left;
  }

  /** Side rows that the context has room for in a pass that has `rows` rows already. */
  sideRoom(rows: number): number {
    return this.#session.contextLength - this.#session.length - rows;
  }

  /** Whether another pass is wanted. Throws `aborted` where the caller's signal fired. */
  unfinished(): boolean {
    if (this.#left > 0 && this.#signal?.aborted)
      throw new CllmError("aborted", `decoding was aborted with ${this.#left} tokens left to write`, {
        cause: this.#signal.reason,
      });
    return this.#left > 0;
  }

  /**
   * A pass over `trunk`, whose first token is `last`, or over a forest of which it is the trunk. The first pass runs before it what the
   * session does not hold of the prompt, and can have no branches, unless `holdPrompt` was called and said so. Returns what follows
   * each token, (m,).
   */
  async run(trunk: TokenIds, forest?: Forest): Promise<TokenIds> {
    const session = this.#session;
    this.#ran = 0;
    const missing = this.#missing();
    if (missing.length === 0) return session.forward(trunk, forest);
    if (forest !== undefined)
      throw new CllmError(
        "usage",
        "the first pass has branches, and the prompt is not held yet: call holdPrompt before",
      );
    this.#before += missing.length;
    const tokens = joinTokens(missing, trunk);
    const given = await session.prefill?.(tokens, trunk.length);
    if (given !== undefined) return given;
    this.#ran = missing.length;
    return (await session.forward(tokens)).subarray(missing.length);
  }

  /**
   * Lets the session run what it does not hold of the prompt but its last token, so that the first pass can have branches. Returns whether
   * it can: a prompt of one token leaves nothing to hold.
   */
  async holdPrompt(): Promise<boolean> {
    this.unfinished();
    const session = this.#session;
    const missing = this.#missing();
    if (missing.length > 0) await (session.prefill?.(missing, 1) ?? session.forward(missing));
    this.#before += missing.length;
    return session.length > 0;
  }

  /** What the session does not hold of the prompt but its last token, which is run again: nothing behind the first pass. */
  #missing(): TokenIds {
    if (this.#begun) return NONE;
    const session = this.#session;
    if (session.length >= this.#promptLength) session.truncate(this.#promptLength - 1);
    return this.tokens.subarray(session.length, -1);
  }

  /** What the session's heads guess behind a row of the pass that was just run; see `Session.headGuesses`. */
  async headGuesses(row: number): Promise<readonly TokenIds[]> {
    return (await this.#session.headGuesses?.(this.#ran + row)) ?? [];
  }

  /** The first pass, without guesses. */
  async prefill(): Promise<Iteration> {
    this.unfinished();
    return this.accept(await this.run(Int32Array.of(this.last)), 1);
  }

  /**
   * Guesses behind `last`, at most `most`: what must come is put in, and they end before what cannot come, where the session
   * knows of such. So a text of a fixed form is guessed as far as it is fixed. They also end before a stop id.
   */
  mend(guesses: TokenIds, most: number = Math.min(this.#left - 1, Math.max(guesses.length, FIXED_MOST))): TokenIds {
    return this.reachable(this.#session.mend?.(this.last, guesses, most) ?? guesses);
  }

  /**
   * The guesses before the first stop id. The row before it settles it, and rows behind it would be of use only where it is wrong: near the
   * end of a text that is most of a wide pass.
   */
  reachable(guesses: TokenIds): TokenIds {
    const stop = guesses.findIndex((id) => this.#stopIds.has(id));
    return stop < 0 ? guesses : guesses.subarray(0, stop);
  }

  /**
   * One Jacobi iteration, which all decoders of a chain share. With y the last token and the guesses behind it, one pass
   * writes next_i = argmax p(· | x, y_<=i) for all i at once. The guesses that are what the pass wrote in their place are
   * right up to the first that is not; so is the token behind them. What it wrote behind that are refined guesses.
   *
   * With `drafts`, guesses for the same places in draft rows, what these write are the refined guesses: a draft row sees the last
   * token and the draft rows before it, and none of `guesses`. There are none in the first pass, which can have no branches.
   */
  async verify(guesses: TokenIds, drafts: TokenIds = NONE): Promise<Verified> {
    const m = 1 + guesses.length;
    const rows = new Int32Array(m + drafts.length);
    rows[0] = this.last;
    rows.set(guesses, 1);
    rows.set(drafts, m);
    const trunk = rows.subarray(0, m);
    const next = await (drafts.length === 0 ? this.run(trunk) : this.run(rows, draftForest(m, rows.length))); // next[i] follows rows[i]
    const iteration = this.accept(next.subarray(0, settledBy(trunk, next)), m, rows.length);
    const k = iteration.accepted.length;
    return { iteration, refined: next.slice(drafts.length === 0 ? k : Math.min(m + k - 1, rows.length)) };
  }

  /**
   * Makes `tokens` final: those that the budget leaves, up to and with the first stop id. Forgets what the cache holds
   * beyond them. The rest describes the pass they came from.
   */
  accept(tokens: TokenIds, trunk: number, rows: number = trunk): Iteration {
    const stop = tokens.findIndex((id) => this.#stopIds.has(id));
    const accepted = tokens.slice(0, Math.min(this.#left, stop < 0 ? tokens.length : stop + 1));
    this.#buffer.set(accepted, this.#length);
    this.#length += accepted.length;
    this.#left = stop >= 0 ? 0 : this.#left - accepted.length;
    this.#session.truncate(this.#length - 1);
    const [prefill, before] = [!this.#begun, this.#before];
    [this.#begun, this.#before] = [true, 0];
    return { accepted, prefill, trunk: before + trunk, rows: before + rows };
  }
}

const NONE = new Int32Array(0);

/**
 * How many tokens a pass settles. `trunk` is right in its first token; `next[i]` follows `trunk[i]`; so `next[0]` is
 * right, and `next[k]` is while every guess up to `trunk[k]` is what the pass itself wrote there. Between 1 and T.
 */
export function settledBy(trunk: TokenIds, next: TokenIds): number {
  let k = 1;
  while (k < trunk.length && trunk[k] === next[k - 1]) k++;
  return k;
}
