/**
 * Jacobi decoding: greedy decoding of n tokens is the triangular system y_i = argmax p(· | x, y_<i); guess all of them,
 * update all in one pass, y(j+1)_i = argmax p(· | x, y(j)_<i), and keep the guesses that the pass itself confirms
 * (arXiv:2403.00835, section 3.1). At least one token per pass is right, so it never takes more passes than
 * autoregressive decoding. Blocks follow one another as in Gauss-Seidel, or overlap in a sliding window. On a session with a
 * draft adapter the guesses are refined in draft rows beside those that verify them.
 */
import type { Session, TokenIds } from "../runtime/session.ts";
import { DraftPasses } from "./draft-passes.ts";
import { worthVerifying } from "./draft-window.ts";
import { type DraftPolicy, ownDraft } from "./drafts.ts";
import { OpenDraft } from "./open-draft.ts";
import { requireInteger } from "./require.ts";
import { Transcript, type Verified } from "./transcript.ts";
import type { DecodeOptions, Iteration } from "./types.ts";

export interface JacobiOptions extends DecodeOptions {
  /** Tokens solved for together, n. More settle per pass, and each pass costs more. Default: 16. */
  readonly blockSize?: number;
  /** `window` keeps `blockSize` tokens in flight, `block` finishes a block before the next begins. Default: `window`. */
  readonly form?: "window" | "block";
  /** Where new guesses come from. Default: `ownDraft`. */
  readonly draft?: DraftPolicy;
  /** Guesses that draft rows refine in a pass, on a session with a draft adapter. 0 refines as without one. Default: `blockSize`. */
  readonly draftRows?: number;
  /**
   * Other candidates of the draft adapter that are run beside its guesses, as a tree of the likeliest ones. A path that is right lets the
   * next pass settle so many tokens more. 0 verifies the guesses alone. Default: 4, which costs a processor what it brings; where rows
   * cost little, 32 settle most.
   */
  readonly alternatives?: number;
}

/**
 * The model's own guesses, refined in every pass.
 *
 * @example for await (const { accepted } of jacobi(session, prompt, { maxNewTokens: 64, blockSize: 8 })) console.log(accepted);
 */
export async function* jacobi(
  session: Session,
  prompt: TokenIds,
  {
    blockSize = 16,
    form = "window",
    draft = ownDraft(session),
    draftRows = blockSize,
    alternatives = 4,
    ...options
  }: JacobiOptions,
): AsyncGenerator<Iteration, void, void> {
  requireInteger("blockSize", blockSize, 1);
  requireInteger("draftRows", draftRows, 0);
  requireInteger("alternatives", alternatives, 0);
  const refining = session.drafter === true ? draftRows : 0;
  const text = new Transcript(session, prompt, options);
  await using source = await OpenDraft.open(draft, prompt, session, options.signal);
  const passes = new DraftPasses(session, text, alternatives);
  let guesses: TokenIds = new Int32Array(0); // for what follows the last token
  let size = blockSize; // tokens that are solved for: those left of the block
  const leads = session.leadingDraft === true && form === "window" && refining === 0; // the model knows guesses right behind a prompt

  /** One iteration. Draft rows refine all guesses, those that may be right are verified; without them every guess is both. */
  async function pass(kept: TokenIds): Promise<Verified> {
    const verified = Math.min(size, text.left) - 1;
    if (refining === 0) return text.verify(text.mend(await source.extend(text.tokens, kept, verified)));
    const all = text.reachable(await source.extend(text.tokens, kept, Math.min(refining, text.left - 1)));
    const trunk = text.mend(worthVerifying(all, session).subarray(0, verified));
    return passes.run(trunk, all);
  }

  const first = Math.min(refining, text.left - 1); // draft rows of the prompt's pass
  if (first > 0 && (await text.holdPrompt())) {
    const { iteration, refined } = await passes.run(guesses, await source.extend(text.tokens, guesses, first));
    guesses = refined;
    yield { ...iteration, draft: refined };
  } else if (!leads) yield await text.prefill();

  while (text.unfinished()) {
    const { iteration, refined } = await pass(guesses);
    guesses = refined; // every guess behind the settled ones
    size -= iteration.accepted.length;
    if (form === "window" || size <= 0) size = blockSize;
    yield { ...iteration, draft: refined };
  }
}
