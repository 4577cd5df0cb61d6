/**
 * Drafts: where the guesses come from that a Jacobi block starts with. Any guess gives the same text; a good one takes
 * fewer passes. A draft may be a rule, or wait for a model, a file or the network. Knows nothing about the passes that
 * check its guesses.
 */
import { hash } from "../hash.ts";
import type { Session, TokenIds } from "../runtime/session.ts";
import { NgramIndex } from "./ngrams.ts";

export interface GuessOptions {
  /** Most guesses that are of use. */
  readonly count: number;
  /** Fires when the guesses are no longer wanted. */
  readonly signal: AbortSignal | undefined;
}

/** The source of guesses for one text. */
export interface Draft extends AsyncDisposable {
  /**
   * Guesses for what follows `text` (prompt and accepted tokens) and then `guesses`, which are guesses already. They are ids
   * of the model's vocabulary; at most `count` are used, and fewer, or none, make the pass shorter. Both arrays are copies.
   * What it throws ends the decoder.
   */
  guess(text: TokenIds, guesses: TokenIds, options: GuessOptions): TokenIds | Promise<TokenIds>;
  /**
   * Called once when the text ends, for whatever reason: its end, `break`, an abort or an error. After an abort a guess
   * may be pending.
   */
  [Symbol.asyncDispose](): PromiseLike<void>;
}

/**
 * Opens a draft for one prompt.
 *
 * @example
 * const fromMyService: DraftPolicy = () => ({
 *   guess: async (text, guesses, { count, signal }) => ask([...text, ...guesses], count, signal),
 *   [Symbol.asyncDispose]: async () => {},
 * });
 * for await (const { accepted } of jacobi(session, prompt, { maxNewTokens: 64, draft: fromMyService })) show(accepted);
 */
export type DraftPolicy = (prompt: TokenIds, signal?: AbortSignal) => Draft | Promise<Draft>;

/** A draft that is a plain function and holds nothing. */
function rule(guess: (text: TokenIds, guesses: TokenIds, count: number) => TokenIds): Draft {
  return { guess: (text, guesses, { count }) => guess(text, guesses, count), [Symbol.asyncDispose]: async () => {} };
}

/**
 * Tokens of the prompt, picked pseudo-randomly by seed and position, as CLLM does (arXiv:2403.00835, section 3.1).
 *
 * @example for await (const { accepted } of jacobi(session, prompt, { maxNewTokens: 64, draft: fromPrompt(7) })) console.log(accepted);
 */
export function fromPrompt(seed = 0): DraftPolicy {
  return (prompt) =>
    rule((text, guesses, count) => {
      const first = text.length + 1 + guesses.length;
      return Int32Array.from({ length: count }, (_, i) => prompt[hash(seed, first + i) % prompt.length]!);
    });
}

/**
 * One token again and again, which a model was trained to see as a gap.
 *
 * @example for await (const { accepted } of jacobi(session, prompt, { maxNewTokens: 64, draft: constant(0) })) console.log(accepted);
 */
export function constant(token: number): DraftPolicy {
  return () => rule((_text, _guesses, count) => new Int32Array(count).fill(token));
}

/**
 * What decoders draft unless they are told otherwise: the model's own draft token, or tokens of the prompt.
 *
 * @example const draft = ownDraft(session); // what decoders take unless they are given another
 */
export function ownDraft({ draftToken }: Pick<Session, "draftToken">): DraftPolicy {
  return draftToken === undefined ? fromPrompt() : constant(draftToken);
}

/**
 * The last token before the guesses, again and again.
 *
 * @example for await (const { accepted } of jacobi(session, prompt, { maxNewTokens: 64, draft: repeatLast })) console.log(accepted);
 */
export const repeatLast: DraftPolicy = () =>
  rule((text, guesses, count) => new Int32Array(count).fill(guesses.at(-1) ?? text.at(-1)!));

/**
 * What followed the latest earlier occurrence of the text's end; `otherwise` where there is none.
 *
 * @example for await (const { accepted } of jacobi(session, prompt, { maxNewTokens: 64, draft: fromLookup(2) })) console.log(accepted);
 */
export function fromLookup(maxNgram = 3, otherwise: DraftPolicy = fromPrompt()): DraftPolicy {
  return async (prompt, signal) => {
    const index = new NgramIndex(maxNgram);
    const fallback = await otherwise(prompt, signal);
    return {
      guess(text, guesses, options) {
        index.update(text);
        const found = new Int32Array(options.count);
        const context = Int32Array.of(...text.subarray(-maxNgram), ...guesses);
        return index.draft(context, found) > 0 ? found : fallback.guess(text, guesses, options);
      },
      [Symbol.asyncDispose]: () => fallback[Symbol.asyncDispose](),
    };
  };
}

/**
 * A completion that is already guessed, token i of it for the i-th new token; `otherwise` past its end.
 *
 * @example
 * const known = model.tokenizer.encode("what it said before");
 * for await (const { accepted } of jacobi(session, prompt, { maxNewTokens: 64, draft: given(known) })) console.log(accepted);
 */
export function given(completion: TokenIds, otherwise: DraftPolicy = fromPrompt()): DraftPolicy {
  return async (prompt, signal) => {
    const fallback = await otherwise(prompt, signal);
    return {
      async guess(text, guesses, { count, ...options }) {
        const start = text.length - prompt.length + guesses.length;
        const known = completion.subarray(start, start + count);
        if (known.length === count) return known;
        const more = { ...options, count: count - known.length };
        return Int32Array.of(...known, ...(await fallback.guess(text, Int32Array.of(...guesses, ...known), more)));
      },
      [Symbol.asyncDispose]: () => fallback[Symbol.asyncDispose](),
    };
  };
}
