/**
 * A draft in use by one decoder: opened for its prompt, its guesses checked, waited for no longer than the caller wants to,
 * and disposed with the decoder. Knows nothing about where guesses come from.
 */
import { CllmError } from "../error.ts";
import type { Session, TokenIds } from "../runtime/session.ts";
import type { Draft, DraftPolicy } from "./drafts.ts";

/**
 * A draft that a decoder of one's own uses.
 *
 * @example
 * await using draft = await OpenDraft.open(fromLookup(), prompt, session, undefined);
 * const guesses = await draft.extend(prompt, new Int32Array(0), 7); // up to 7 guesses for what follows the prompt
 */
export class OpenDraft implements AsyncDisposable {
  readonly #draft: Draft;
  readonly #vocabSize: number;
  readonly #signal: AbortSignal | undefined;

  private constructor(draft: Draft, vocabSize: number, signal: AbortSignal | undefined) {
    this.#draft = draft;
    this.#vocabSize = vocabSize;
    this.#signal = signal;
  }

  /**
   * Throws what the policy throws, and `aborted` where the signal fires first; a draft that opens later is disposed
   * then.
   */
  static async open(
    policy: DraftPolicy,
    prompt: TokenIds,
    { vocabSize }: Pick<Session, "vocabSize">,
    signal: AbortSignal | undefined,
  ): Promise<OpenDraft> {
    const opening = policy(prompt.slice(), signal);
    try {
      return new OpenDraft(await unlessAborted(opening, signal), vocabSize, signal);
    } catch (error) {
      Promise.resolve(opening).then(
        (late) => late[Symbol.asyncDispose](),
        () => {},
      );
      throw error;
    }
  }

  /**
   * `guesses`, and behind them what the draft guesses, `most` in all or fewer. Throws `bad-input` for what is no token id,
   * `aborted`, and what the draft throws.
   */
  async extend(text: TokenIds, guesses: TokenIds, most: number): Promise<TokenIds> {
    const count = most - guesses.length;
    if (count <= 0) return guesses.subarray(0, Math.max(0, most));
    const guessing = this.#draft.guess(text.slice(), guesses.slice(), { count, signal: this.#signal });
    const given: unknown = await unlessAborted(guessing, this.#signal);
    if (!(given instanceof Int32Array))
      throw new CllmError("bad-input", "the draft's guesses are no Int32Array; give token ids as one");
    const more = given.subarray(0, count);
    const foreign = more.find((id) => id < 0 || id >= this.#vocabSize);
    if (foreign !== undefined)
      throw new CllmError(
        "bad-input",
        `the draft guesses token id ${foreign}, outside the vocabulary of ${this.#vocabSize}; give a draft of this model's ids`,
      );
    const all = new Int32Array(guesses.length + more.length);
    all.set(guesses);
    all.set(more, guesses.length);
    return all;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#draft[Symbol.asyncDispose]();
  }
}

/** What the draft gives, or `aborted` as soon as the signal fires: a draft that ignores the signal blocks nothing. */
async function unlessAborted<T>(work: T | Promise<T>, signal: AbortSignal | undefined): Promise<T> {
  if (!(work instanceof Promise) || signal === undefined) return work;
  let abort = (): void => {};
  const aborted = new Promise<never>((_, reject) => {
    abort = () => reject(new CllmError("aborted", "decoding was aborted during a draft", { cause: signal.reason }));
    if (signal.aborted) abort();
    signal.addEventListener("abort", abort, { once: true });
  });
  try {
    return await Promise.race([work, aborted]);
  } finally {
    signal.removeEventListener("abort", abort);
    work.catch(() => {}); // an aborted draft may fail later; that failure is ignored
  }
}
