/**
 * Multiblock Jacobi decoding with rejection recycling (Jacobi Forcing, arXiv:2512.14681, section 3). When most of a block
 * is settled the next one starts behind it in the same pass: a pseudo block, refined on guesses and verified when its
 * turn comes. What a pass writes behind the settled tokens is wrong in its place but often right a little later: it
 * goes to a pool of n-grams, which are tried beside the trunk and drafted into new blocks.
 */
import { CllmError } from "../error.ts";
import type { Session, TokenIds } from "../runtime/session.ts";
import { worthVerifying } from "./draft-window.ts";
import { type DraftPolicy, ownDraft } from "./drafts.ts";
import { Grove } from "./forest.ts";
import { NgramPool } from "./ngrams.ts";
import { OpenDraft } from "./open-draft.ts";
import { requireInteger } from "./require.ts";
import { Transcript } from "./transcript.ts";
import type { DecodeOptions, Iteration } from "./types.ts";

export interface MultiblockOptions extends DecodeOptions {
  /** Tokens of one block, n. Default: 16. */
  readonly blockSize?: number;
  /** Most blocks in flight, K: the one being settled and its pseudo blocks. Default: 2. */
  readonly blocks?: number;
  /** Share of a block that is settled before the next one starts, r, over 0 and up to 1. Default: 0.85. */
  readonly ratio?: number;
  /** N-grams kept for each token, and tried beside the trunk. 0 tries none. Default: 4. */
  readonly poolSize?: number;
  /** Where new guesses come from where the pool has none. Default: `ownDraft`. */
  readonly draft?: DraftPolicy;
}

const NGRAM = 4; // tokens of a recycled n-gram, its key counted

/**
 * Several blocks at once, and rejected guesses again.
 *
 * @example for await (const { accepted } of multiblock(session, prompt, { maxNewTokens: 64, blockSize: 16 })) console.log(accepted);
 */
export async function* multiblock(
  session: Session,
  prompt: TokenIds,
  { blockSize = 16, blocks = 2, ratio = 0.85, poolSize = 4, draft = ownDraft(session), ...options }: MultiblockOptions,
): AsyncGenerator<Iteration, void, void> {
  requireInteger("blockSize", blockSize, 1);
  requireInteger("blocks", blocks, 1);
  requireInteger("poolSize", poolSize, 0);
  if (!(ratio > 0 && ratio <= 1)) throw new CllmError("usage", `ratio is ${ratio}: it must be over 0 and at most 1`);
  const text = new Transcript(session, prompt, options);
  await using source = await OpenDraft.open(draft, prompt, session, options.signal);
  const pool = new NgramPool(poolSize);
  const chain = new Int32Array(blockSize * blocks);
  const drafting = session.drafter === true;
  const grove = new Grove(chain.length * (drafting ? 2 : 1) + poolSize * (NGRAM - 1));
  let guesses = 0; // kept from the pass before
  let active = 1; // blocks in flight
  let done = 0; // settled tokens of the first of them
  yield await text.prefill();
  while (text.unfinished()) {
    const most = Math.min(active * blockSize - done, text.left) - 1; // guesses of the trunk
    const drafted = await source.extend(text.tokens, chain.subarray(1, 1 + guesses), most);
    chain[0] = text.last;
    chain.set(drafted, 1);
    reuse(pool, chain.subarray(0, 1 + drafted.length), guesses + 1);
    const mended = text.mend(chain.slice(1, 1 + drafted.length), most);
    const trunk = chain.subarray(0, 1 + mended.length); // (m,)
    trunk.set(mended, 1);
    grove.plant(drafting ? trunk.subarray(0, 1 + worthVerifying(trunk.subarray(1), session).length) : trunk);
    for (const ngram of trunk.length > 1 ? pool.after(text.last) : []) {
      const useful = ngram.subarray(0, text.left - 1);
      if (useful[0] !== trunk[1] && useful.length <= text.sideRoom(grove.rows)) grove.branch(useful);
    }
    if (drafting) grove.drafts(trunk.subarray(1, 1 + Math.max(0, text.sideRoom(grove.rows))));
    const { next, settled } = await grove.run((tokens, forest) => text.run(tokens, forest));
    const start = (active - 1) * blockSize - done; // where the last block begins in the trunk
    if (unchanged(trunk.subarray(0, grove.trunk), next, Math.max(1, start)) - start >= ratio * blockSize)
      active = Math.min(active + 1, blocks);
    for (done += settled; done >= blockSize; done -= blockSize) active = Math.max(active - 1, 1);

    const refined = drafting ? grove.refined(next, settled) : next.subarray(settled, trunk.length);
    pool.recycle(trunk.subarray(settled, settled + refined.length), refined, NGRAM - 1);
    const suggested = grove.suggestion(next, settled).subarray(0, chain.length - 1);
    chain.set(refined, 1);
    chain.set(suggested, 1);
    guesses = Math.max(refined.length, suggested.length);
    const iteration = text.accept(next.subarray(0, settled), grove.trunk, grove.rows);
    yield { ...iteration, draft: chain.slice(1, guesses + 1) };
  }
}

/** First index from `from` on at which the pass changed the guess. */
function unchanged(trunk: TokenIds, next: TokenIds, from: number): number {
  let i = from;
  while (i < trunk.length && trunk[i] === next[i - 1]) i++;
  return i;
}

/** Overwrites guesses from `from` on with recycled n-grams, wherever one continues the guess before it. */
function reuse(pool: NgramPool, trunk: TokenIds, from: number): void {
  for (let i = from; i < trunk.length; ) {
    const ngram = pool.latest(trunk[i - 1]!)?.subarray(0, trunk.length - i);
    if (ngram) trunk.set(ngram, i);
    i += ngram?.length ?? 1;
  }
}
