/**
 * The trajectory of one block: its points in order, from the draft to the fixed point, for people who want to see Jacobi
 * decoding converge and for collecting training data. The same equation as `jacobi`, without the concern for speed.
 */
import type { Session, TokenIds } from "../runtime/session.ts";
import { refineBlock } from "./block.ts";
import { type DraftPolicy, ownDraft } from "./drafts.ts";
import { OpenDraft } from "./open-draft.ts";
import { commonPrefix } from "./prefix.ts";
import { requireInteger } from "./require.ts";
import { Transcript } from "./transcript.ts";

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
  /** Tokens that each pass settled, the prompt's apart. */
  readonly accepted: readonly number[];
  /** Passes it took, the prompt's apart; the last one may only have confirmed the fixed point. */
  readonly forwards: number;
}

/**
 * Decodes one block of `blockSize` tokens after the prompt. Its first token is the prefill's bonus token.
 *
 * @example
 * const { points, settled } = await trajectory(session, prompt, { blockSize: 8 });
 * points.forEach((point, i) => console.log(settled[i], model.tokenizer.decode(point)));
 */
export async function trajectory(
  session: Session,
  prompt: TokenIds,
  { blockSize = 16, draft = ownDraft(session), signal }: TrajectoryOptions = {},
): Promise<Trajectory> {
  requireInteger("blockSize", blockSize, 1);
  const text = new Transcript(session, prompt, { maxNewTokens: blockSize, ...(signal && { signal }) });
  await using source = await OpenDraft.open(draft, prompt, session, signal);
  await text.prefill();
  const guesses = await source.extend(text.tokens, new Int32Array(0), blockSize - 1);
  const block = new Int32Array(blockSize).fill(guesses.at(-1) ?? text.last); // behind a draft that knows no more
  block[0] = text.last;
  block.set(guesses, 1);
  const points = [block.slice()];
  const accepted: number[] = [];
  for await (const iteration of refineBlock(text, block.subarray(1))) {
    accepted.push(iteration.accepted.length);
    if (commonPrefix(block, points.at(-1)!) < blockSize) points.push(block.slice());
  }
  return { points, settled: points.map((point) => commonPrefix(point, block)), accepted, forwards: accepted.length };
}
