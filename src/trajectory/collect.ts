/**
 * Trajectories of a target: block by block y(j+1)_i = argmax p(· | x, y(j)_<i) from a draft (prompt tokens, or the
 * model's own) to the fixed point (arXiv:2403.00835, section 3.2). The fixed points in a row are the greedy completion, exactly, so no other
 * decoder runs before: it would cost as much again. Nor do blocks share a pass: a branch needs the clean completion in
 * its own pass and rounds differently in the last bit, so that points would not be those that Jacobi decoding visits.
 * Knows token ids and a `Session`; not which completions are worth keeping.
 */
import { refineBlock } from "../decode/block.ts";
import { tokenBudget } from "../decode/budget.ts";
import { commonPrefix } from "../decode/prefix.ts";
import { requireInteger } from "../decode/require.ts";
import { Transcript } from "../decode/transcript.ts";
import { hash, hashOfText } from "../hash.ts";
import type { Session, TokenIds } from "../runtime/session.ts";
import type { CollectedCompletion, CollectionPrompt } from "./types.ts";

export interface CollectOptions {
  /** Most tokens of a completion. Default: 256, or what the context leaves; a number must fit the context. */
  readonly maxNewTokens?: number;
  /** Tokens solved for together, n. Default: 16. */
  readonly blockSize?: number;
  /** Ids that end a completion, which are its last token. Default: none. */
  readonly stopIds?: ReadonlySet<number>;
  /** Of the drafts. Default: 0. */
  readonly seed?: number;
  /** Asked after each block; a completion that is not worth more work ends there. Default: never. */
  readonly abandon?: (completionIds: TokenIds) => boolean;
  /** Prompts in flight, each on a session of its own; pays where the engine runs passes together. Default: 1. */
  readonly parallel?: number;
  /** Looked at between passes; the error is `aborted`. */
  readonly signal?: AbortSignal;
}

/**
 * Collects prompts, in their order, on sessions of its own. What a prompt shares with one that was run before it, on the same
 * session or on another one, is not run again.
 * Throws `bad-input` and `context-overflow` for a prompt that does not fit, with its id.
 *
 * @example
 * for await (const { dataId, completionIds } of collect(() => model.session(), prompts, { blockSize: 16 }))
 *   console.log(dataId, completionIds.length);
 */
export async function* collect(
  openSession: () => Session,
  prompts: Iterable<CollectionPrompt> | AsyncIterable<CollectionPrompt>,
  options: CollectOptions = {},
): AsyncGenerator<CollectedCompletion, void, void> {
  const { parallel = 1 } = options;
  requireInteger("parallel", parallel, 1);
  const lanes: Lane[] = [];
  const inFlight: Promise<CollectedCompletion>[] = [];
  try {
    let lane = 0;
    for await (const prompt of prompts) {
      if (inFlight.length === parallel) yield await (inFlight.shift() as Promise<CollectedCompletion>);
      lanes[lane] ??= { session: openSession(), held: new Int32Array(0) };
      const completion = collectOn(lanes[lane] as Lane, lanes, prompt, options);
      completion.catch(() => {}); // it is awaited in its turn
      inFlight.push(completion);
      lane = (lane + 1) % parallel;
    }
    for (const completion of inFlight) yield await completion;
  } finally {
    await Promise.allSettled(inFlight);
    for (const { session } of lanes) await session.dispose();
  }
}

/** A session, and what it may hold a prefix of. */
interface Lane {
  readonly session: Session;
  held: TokenIds;
}

function collectOn(
  lane: Lane,
  lanes: readonly Lane[],
  prompt: CollectionPrompt,
  options: CollectOptions,
): Promise<CollectedCompletion> {
  const known = ({ session, held }: Lane): number => Math.min(session.length, commonPrefix(held, prompt.promptIds));
  const donor = lanes.reduce((best, other) => (known(other) > known(best) ? other : best), lane);
  if (donor !== lane && lane.session.copyFrom) lane.session.copyFrom(donor.session, known(donor));
  else lane.session.truncate(known(lane));
  lane.held = prompt.promptIds;
  return collectOne(lane.session, prompt, options);
}

/**
 * One prompt's completion and trajectories. The session holds a prefix of the prompt, perhaps none of it; afterwards it
 * holds the prompt and the completion but for the last token.
 */
export async function collectOne(
  session: Session,
  { dataId, promptIds, labelIds }: CollectionPrompt,
  { blockSize = 16, maxNewTokens, stopIds, seed = 0, abandon = () => false, signal }: CollectOptions = {},
): Promise<CollectedCompletion> {
  requireInteger("blockSize", blockSize, 1);
  const text = new Transcript(session, promptIds, {
    maxNewTokens: completionBudget(dataId, promptIds.length, maxNewTokens, session.contextLength),
    ...(stopIds && { stopIds }),
    ...(signal && { signal }),
  });
  const { draftToken } = session;
  const draft = draftToken === undefined ? draftOf(promptIds, seed, dataId) : () => draftToken;
  const blocks: Int32Array[][] = [];
  await prefillAllButLast(session, promptIds);
  while (text.unfinished()) {
    const start = text.tokens.length;
    const block = Int32Array.from({ length: Math.min(blockSize, text.left) }, (_, i) => draft(blocks.length, i));
    const points = [block.slice()];
    for await (const _ of refineBlock(text, block)) points.push(block.slice());
    blocks.push(withoutRepeats(points, text.tokens.length - start));
    if (abandon(text.tokens.subarray(promptIds.length))) break;
  }
  return { dataId, promptIds, completionIds: text.tokens.slice(promptIds.length), blocks, labelIds };
}

/**
 * The guess for a position of a block: a token of the prompt, a pure function of seed, data id, block and position, so
 * that an interrupted collection goes on with the same drafts.
 */
export function draftOf(prompt: TokenIds, seed: number, dataId: string): (block: number, position: number) => number {
  const id = hashOfText(dataId);
  return (block, position) => prompt[hash(seed, id, block, position) % prompt.length]!;
}

/** How many tokens to write. Throws before any work, with the prompt's id. */
export function completionBudget(
  dataId: string,
  promptLength: number,
  wanted: number | undefined,
  contextLength: number,
): number {
  const next = "shorten it, drop long prompts with maxPromptTokens, or lower maxNewTokens";
  return tokenBudget(promptLength, wanted, contextLength, { prompt: dataId, next });
}

/** Runs the prompt but for its last token, which the first block's passes begin with. */
async function prefillAllButLast(session: Session, prompt: TokenIds): Promise<void> {
  if (session.length >= prompt.length) session.truncate(prompt.length - 1);
  const rest = prompt.subarray(session.length, -1);
  if (rest.length > 0) await (session.prefill?.(rest, 1) ?? session.forward(rest));
}

/**
 * Points cut to the block's length, which the end of sequence may have shortened. What is cut off never influenced what
 * stays, so a point that equals the one before it is the fixed point, and all after it are the same.
 */
function withoutRepeats(points: readonly Int32Array[], length: number): Int32Array[] {
  const cut = points.map((point) => point.slice(0, length));
  const fixed = cut.findIndex((point, i) => i > 0 && commonPrefix(point, cut[i - 1]!) === length);
  return fixed < 0 ? cut : cut.slice(0, fixed);
}
