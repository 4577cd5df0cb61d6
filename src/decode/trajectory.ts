/**
 * The trajectory of one block: its points in order, from the draft to the fixed point, for people who want to see Jacobi
 * decoding converge and for collecting training data. The same equation as `jacobi`, without the concern for speed.
 */
import type { Session, TokenIds } from "../runtime/session.ts";
import { type DraftPolicy, ownDraft } from "./drafts.ts";
import { commonPrefix } from "./prefix.ts";
import { requireInteger } from "./require.ts";
import { settledBy, Transcript } from "./transcript.ts";

export interface TrajectoryOptions {
  /** Tokens of the block, n. Default: 16. */
  readonly blockSize?: number;
  /** Default: `ownDraft`. */
  readonly draft?: DraftPolicy;
  readonly signal?: AbortSignal;
}

export interface Trajectory {
  /** Each (n,): first the draft, last the fixed point, which is the greedy completion; none repeated. */
  readonly points: readonly TokenIds[];
  /** For each point, how many of its leading tokens are those of the fixed point: at least 1, at last n. */
  readonly settled: readonly number[];
  /** Passes it took, the prompt's apart; the last one may only have confirmed the fixed point. */
  readonly forwards: number;
}

/** Decodes one block of `blockSize` tokens after the prompt. Its first token is the prefill's bonus token. */
export async function trajectory(
  session: Session,
  prompt: TokenIds,
  { blockSize = 16, draft = ownDraft(session), signal }: TrajectoryOptions = {},
): Promise<Trajectory> {
  requireInteger("blockSize", blockSize, 1);
  const text = new Transcript(session, prompt, { maxNewTokens: blockSize, ...(signal && { signal }) });
  const fill = draft(prompt);
  await text.prefill();
  const block = new Int32Array(blockSize);
  block[0] = text.last;
  fill(block, 1, text.tokens);
  const points = [block.slice()];
  let forwards = 0;
  while (text.unfinished()) {
    const right = blockSize - text.left;
    const guess = block.subarray(right - 1, -1); // (m,) the last right token, and all guesses but the block's last
    const next = await session.forward(guess); // (m,)
    forwards++;
    text.accept(next.subarray(0, settledBy(guess, next)), guess.length);
    block.set(next, right);
    if (commonPrefix(block, points.at(-1)!) < blockSize) points.push(block.slice());
  }
  const settled = points.map((point) => commonPrefix(point, block));
  return { points, settled, forwards };
}
