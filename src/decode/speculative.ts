/**
 * Speculative decoding in its plain form: each pass verifies what a draft says comes next, and the next pass has new guesses
 * (arXiv:2211.17192, algorithm 1, with guesses that are either right or wrong). Nothing is refined and no cost is weighed, so it
 * shows what a source of guesses is worth by itself. Knows nothing about where guesses come from.
 */
import type { Session, TokenIds } from "../runtime/session.ts";
import type { DraftPolicy } from "./drafts.ts";
import { OpenDraft } from "./open-draft.ts";
import { requireInteger } from "./require.ts";
import { Transcript } from "./transcript.ts";
import type { DecodeOptions, Iteration } from "./types.ts";

export interface SpeculativeOptions extends DecodeOptions {
  /** Most tokens of one pass: the last accepted one, and the guesses behind it. Default: 16. */
  readonly blockSize?: number;
  /** Where the guesses come from. */
  readonly draft: DraftPolicy;
}

const NONE = new Int32Array(0);

/**
 * The guesses of one draft, new ones for each pass. Without guesses a pass is autoregressive.
 *
 * @example
 * const draft = fromSession(() => small.session());
 * for await (const { accepted } of speculative(session, prompt, { maxNewTokens: 64, blockSize: 5, draft })) console.log(accepted);
 */
export async function* speculative(
  session: Session,
  prompt: TokenIds,
  { blockSize = 16, draft, ...options }: SpeculativeOptions,
): AsyncGenerator<Iteration, void, void> {
  requireInteger("blockSize", blockSize, 1);
  const text = new Transcript(session, prompt, options);
  await using source = await OpenDraft.open(draft, prompt, session, options.signal);
  while (text.unfinished()) {
    const guesses = await source.extend(text.tokens, NONE, Math.min(blockSize, text.left) - 1);
    yield (await text.verify(text.mend(guesses))).iteration;
  }
}
