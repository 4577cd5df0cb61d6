/**
 * What every decoder takes and yields. A decoder writes after a prompt through a `Session`, one pass at a time, and its
 * tokens are exactly those of autoregressive decoding. It knows token ids; text, stop strings and HTTP live above.
 */
import type { Session, TokenIds } from "../runtime/session.ts";

/** One pass of a decoder. */
export interface Iteration {
  /** Tokens that became final in this pass, at least one. */
  readonly accepted: TokenIds; // (k,)
  /** Whether this was the prompt's pass, always the first and no other. Statistics keep it apart. */
  readonly prefill: boolean;
  /** Rows that were verified: the last accepted token and the draft after it; in the first pass, what was run of the prompt too. */
  readonly trunk: number;
  /** All rows of the pass: the trunk and its side branches. */
  readonly rows: number;
  /** Guesses that are in flight after the pass, for what follows the accepted tokens; only from decoders that have them. */
  readonly draft?: TokenIds;
}

export interface DecodeOptions {
  /** Most tokens to write, at least 1. They must fit the context length together with the prompt. */
  readonly maxNewTokens: number;
  /** Ids that end the text. The one that ended it is the last token accepted. Default: none. */
  readonly stopIds?: ReadonlySet<number>;
  /** Looked at between passes; the error is `aborted`, and the session stays usable. */
  readonly signal?: AbortSignal;
}

/**
 * Writes up to `maxNewTokens` tokens after `prompt`. The session holds a prefix of the prompt, perhaps none of it, and
 * the rest is run first. After every iteration, `break` and abort it holds a prefix of the prompt and what was accepted.
 */
export type Decoder<Options extends DecodeOptions = DecodeOptions> = (
  session: Session,
  prompt: TokenIds,
  options: Options,
) => AsyncGenerator<Iteration, void, void>;
