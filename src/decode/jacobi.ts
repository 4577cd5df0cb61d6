/**
 * Jacobi decoding: greedy decoding of n tokens is the triangular system y_i = argmax p(· | x, y_<i); guess all of them,
 * update all in one pass, y(j+1)_i = argmax p(· | x, y(j)_<i), and keep the guesses that the pass itself confirms
 * (arXiv:2403.00835, section 3.1). At least one token per pass is right, so it never takes more passes than
 * autoregressive decoding. Blocks follow one another as in Gauss-Seidel, or overlap in a sliding window.
 */
import type { Session, TokenIds } from "../runtime/session.ts";
import { type DraftPolicy, ownDraft } from "./drafts.ts";
import { requireInteger } from "./require.ts";
import { settledBy, Transcript } from "./transcript.ts";
import type { DecodeOptions, Iteration } from "./types.ts";

export interface JacobiOptions extends DecodeOptions {
  /** Tokens solved for together, n. More settle per pass, and each pass costs more. Default: 16. */
  readonly blockSize?: number;
  /** `window` keeps `blockSize` tokens in flight, `block` finishes a block before the next begins. Default: `window`. */
  readonly form?: "window" | "block";
  /** Where new guesses come from. Default: `ownDraft`. */
  readonly draft?: DraftPolicy;
}

export async function* jacobi(
  session: Session,
  prompt: TokenIds,
  { blockSize = 16, form = "window", draft = ownDraft(session), ...options }: JacobiOptions,
): AsyncGenerator<Iteration, void, void> {
  requireInteger("blockSize", blockSize, 1);
  const text = new Transcript(session, prompt, options);
  const fill = draft(prompt);
  const block = new Int32Array(blockSize);
  let size = blockSize; // tokens in flight: the last accepted one, and guesses after it
  let guesses = 0; // of them kept from the pass before
  const leads = session.leadingDraft === true && form === "window"; // the model knows guesses right behind a prompt
  if (!leads) yield await text.prefill();
  while (text.unfinished()) {
    const trunk = block.subarray(0, Math.min(size, text.left)); // (m,)
    trunk[0] = text.last;
    fill(trunk, Math.min(guesses + 1, trunk.length), text.tokens);
    const next = await text.run(trunk); // (m,) next[i] follows trunk[i]
    const k = settledBy(trunk, next);
    guesses = next.length - k;
    block.set(next.subarray(k), 1); // every guess behind the settled ones is refined
    size = form === "window" || guesses === 0 ? blockSize : guesses;
    yield text.accept(next.subarray(0, k), trunk.length, trunk.length, next.subarray(k));
  }
}
