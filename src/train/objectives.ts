/**
 * Objectives as packs: what an example becomes for plain fine-tuning, and for consistency training with noisy points beside
 * its clean text. Knows where points come from, and no model.
 *
 * Consistency (arXiv:2403.00835, section 3.2): a point y of a block has the fixed point's tokens up to its first wrong one; from
 * there on, each row learns what the clean text says in its place: global, from the fixed point; local, from the next point;
 * progressive, from the fixed point with noise that grows from block to block (arXiv:2512.14681, section 3).
 */
import { commonPrefix } from "../decode/prefix.ts";
import { hash } from "../hash.ts";
import { type Segment, segment } from "./pack.ts";

/** A prompt and what should follow it. */
export interface Example {
  readonly promptIds: Int32Array;
  /** With the end-of-sequence token where there is one. At least one token. */
  readonly completionIds: Int32Array;
  /** Examples of one group, such as the answers of a conversation, are held out together. Default: a group of its own. */
  readonly group?: number;
  /** Stored points by block of `blockSize` tokens, each from its draft to its fixed point. */
  readonly blocks?: readonly (readonly Int32Array[])[];
}

/** Where an example's clean text stands in a pack: by itself, or behind the tokens that another one has in common with it. */
export interface Place {
  /** The segment that has the example's first tokens; -1 for none. */
  readonly parent: number;
  /** How many of them; fewer than the prompt has. */
  readonly shared: number;
}

export const ALONE: Place = { parent: -1, shared: 0 };

/** Prompt and completion in one segment: every token but the last and the shared ones, each with what follows it. */
export function cleanSegment(
  { promptIds, completionIds }: Example,
  promptWeight = 0,
  { parent, shared }: Place = ALONE,
): Segment {
  const length = promptIds.length + completionIds.length - 1;
  const tokens = new Int32Array(length);
  tokens.set(promptIds);
  tokens.set(completionIds.subarray(0, -1), promptIds.length);
  const targets = new Int32Array(length).fill(-1);
  const weights = new Float32Array(length).fill(1);
  if (promptWeight > 0) {
    targets.set(promptIds.subarray(1));
    weights.fill(promptWeight, 0, promptIds.length - 1);
  }
  targets.set(completionIds, promptIds.length - 1);
  return segment(tokens.subarray(shared), {
    ...{ parent, after: shared },
    targets: targets.subarray(shared),
    weights: weights.subarray(shared),
  });
}

/** Where a block starts whose first token is the prompt's last one. */
export const LEADING = -1;

/** A block in flight: the true token at `start` of the completion, and guesses for those after it. */
export interface NoisyPoint {
  /** `LEADING` or an index into the completion. */
  readonly start: number;
  readonly guesses: Int32Array; // (blockSize - 1,) or fewer
}

/** Guesses that are right from the front on: the first wrong one's index. */
export function rightPrefix({ start, guesses }: NoisyPoint, completion: Int32Array): number {
  return commonPrefix(guesses, completion.subarray(start + 1));
}

/** Tokens of a point that have a successor in the completion, its first one included. */
export function pointLength(completion: Int32Array, { start, guesses }: NoisyPoint): number {
  return Math.max(0, Math.min(guesses.length + 1, completion.length - 1 - start));
}

export interface NoisyOptions {
  /** Index of the clean segment. Default: 0. */
  readonly clean?: number;
  /** Tokens that the clean segment has from another one. Default: 0. */
  readonly shared?: number;
  /** Learn the clean rows' distributions instead of the tokens. */
  readonly divergence?: boolean;
  /** What each row that counts does against the one before it. Default: 1, as in the paper. */
  readonly decay?: number;
}

/**
 * A noisy point as a segment behind the clean one's first tokens. Only rows that see a wrong guess count: the others are those
 * of the clean text. Guesses whose successor lies behind the completion's end are cut.
 */
export function noisySegment(
  { promptIds, completionIds }: Example,
  { start, guesses }: NoisyPoint,
  { clean = 0, shared = 0, divergence = false, decay = 1 }: NoisyOptions = {},
): Segment {
  const length = pointLength(completionIds, { start, guesses });
  const tokens = new Int32Array(length);
  tokens[0] = (start === LEADING ? promptIds.at(-1) : completionIds[start]) as number;
  tokens.set(guesses.subarray(0, length - 1), 1);
  const targets = completionIds.slice(start + 1, start + 1 + length);
  const first = Math.min(length, rightPrefix({ start, guesses }, completionIds) + 1); // row that sees a wrong guess
  targets.fill(-1, 0, first);
  const weights = Float32Array.from(targets, (_, i) => decay ** Math.max(0, i - first));
  const after = promptIds.length - shared + start; // of the clean segment's own tokens
  return segment(tokens, {
    ...{ parent: clean, after, targets, weights, term: "consistency" },
    teacher: divergence ? { segment: clean, from: after } : null,
  });
}

/**
 * The same point in draft rows: its guesses alone, behind the clean text up to and with its first token, which a row of the base has in
 * decoding. All of its rows count, those behind right guesses too, because what they say is used.
 */
export function draftSegment(
  { promptIds, completionIds }: Example,
  { start, guesses }: NoisyPoint,
  { clean = 0, shared = 0, decay = 1 }: Omit<NoisyOptions, "divergence"> = {},
): Segment {
  const length = Math.max(0, pointLength(completionIds, { start, guesses }) - 1);
  const first = rightPrefix({ start, guesses }, completionIds); // row of the first wrong guess
  return segment(guesses.slice(0, length), {
    ...{ parent: clean, after: promptIds.length - shared + start + 1, term: "consistency" },
    targets: completionIds.slice(start + 2, start + 2 + length),
    weights: Float32Array.from({ length }, (_, i) => decay ** Math.max(0, i - first)),
  });
}

/** Fresh guesses as decoding drafts them: one token, or tokens of the prompt, drawn by seed and position. */
export function freshGuesses(
  { promptIds }: Example,
  count: number,
  draftToken: number | undefined,
  ...seed: number[]
): Int32Array {
  if (draftToken !== undefined) return new Int32Array(count).fill(draftToken);
  return Int32Array.from({ length: count }, (_, i) => promptIds[hash(...seed, i) % promptIds.length] as number);
}

/**
 * What becomes of a point after a pass of the sliding window that predicted `next` after each of its tokens: settled tokens
 * leave at the front, refined guesses move up, fresh ones come in behind. Null where the completion's end is reached.
 */
export function advance(
  example: Example,
  { start, guesses }: NoisyPoint,
  next: Int32Array,
  draftToken: number | undefined,
  ...seed: number[]
): NoisyPoint | null {
  const settled = rightPrefix({ start, guesses }, example.completionIds) + 1;
  const moved = start + settled;
  if (moved >= example.completionIds.length - 2) return null;
  const refined = freshGuesses(example, guesses.length, draftToken, ...seed);
  refined.set(next.subarray(settled, guesses.length + 1));
  return { start: moved, guesses: refined };
}
