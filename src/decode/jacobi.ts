/**
 * Jacobi decoding: greedy decoding of n tokens is the triangular system y_i = argmax p(· | x, y_<i); guess all of them,
 * update all in one pass, y(j+1)_i = argmax p(· | x, y(j)_<i), and keep the guesses that the pass itself confirms
 * (arXiv:2403.00835, section 3.1). At least one token per pass is right, so it never takes more passes than
 * autoregressive decoding. Blocks follow one another as in Gauss-Seidel, or overlap in a sliding window.
 */
import type { Session, TokenIds } from "../runtime/session.ts";
import { type DraftPolicy, ownDraft } from "./drafts.ts";
import { OpenDraft } from "./open-draft.ts";
import { requireInteger } from "./require.ts";
import { Transcript } from "./transcript.ts";
import type { DecodeOptions, Iteration } from "./types.ts";

export interface JacobiOptions extends DecodeOptions {
  /** Tokens solved for together, n. More settle per pass, and each pass costs more. Default: 16. */
  readonly blockSize?: number;
  /** `window` keeps `blockSize` tokens in flight, `block` finishes a block before the next begins. Default: `window`. */
  readonly form?: "window" | "block";
  /** Where new guesses come from. Default: `ownDraft`. */
  readonly draft?: DraftPolicy;
}

/**
 * The model's own guesses, refined in every pass.
 *
 * @example for await (const { accepted } of jacobi(session, prompt, { maxNewTokens: 64, blockSize: 8 })) console.log(accepted);
 */
export async function* jacobi(
  session: Session,
  prompt: TokenIds,
  { blockSize = 16, form = "window", draft = ownDraft(session), ...options }: JacobiOptions,
): AsyncGenerator<Iteration, void, void> {
  requireInteger("blockSize", blockSize, 1);
  const text = new Transcript(session, prompt, options);
  await using source = await OpenDraft.open(draft, prompt, session, options.signal);
  let guesses: TokenIds = new Int32Array(0); // for what follows the last token
  let size = blockSize; // tokens that are solved for: those left of the block
  const leads = session.leadingDraft === true && form === "window"; // the model knows guesses right behind a prompt
  if (!leads) yield await text.prefill();
  while (text.unfinished()) {
    guesses = await source.extend(text.tokens, guesses, Math.min(size, text.left) - 1);
    const { iteration, refined } = await text.verify(text.mend(guesses));
    guesses = refined; // every guess behind the settled ones
    size -= iteration.accepted.length;
    if (form === "window" || size <= 0) size = blockSize;
    yield { ...iteration, draft: refined };
  }
}
