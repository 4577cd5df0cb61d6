/**
 * What trajectories tell about a model (arXiv:2403.00835, table 3): how many tokens a pass makes final, which ones were
 * right before their turn, and which n-grams settle together. Adds up completion by completion; knows points only.
 */

import { commonPrefix } from "../decode/prefix.ts";
import type { TokenIds } from "../runtime/session.ts";
import type { CollectedCompletion } from "./types.ts";

/** An n-gram whose tokens became final in one pass. */
export interface Collocation {
  readonly ids: readonly number[];
  readonly count: number;
}

/** Averages are 0 where there is nothing to average. */
export interface TrajectoryReport {
  readonly completions: number;
  readonly tokens: number;
  readonly blocks: number;
  /** Points of all blocks, drafts and fixed points among them. */
  readonly points: number;
  /** Passes over blocks until all was final. */
  readonly iterations: number;
  readonly iterationsPerBlock: number;
  /** Tokens that became final in a pass, on average: tokens per iteration, 1 where nothing is foreseen. */
  readonly fastForwarded: number;
  /** Tokens per block that were right before their turn and never changed again. */
  readonly stationary: number;
  /** The commonest first; those of equal count by their ids. */
  readonly collocations: readonly Collocation[];
  /** How many different ones there were. */
  readonly distinctCollocations: number;
}

/** Measures on plain points, before augmentation. */
export class TrajectoryMeasure {
  #completions = 0;
  #tokens = 0;
  #blocks = 0;
  #points = 0;
  #iterations = 0;
  #stationary = 0;
  readonly #collocations = new Map<string, number>();

  add({ completionIds, blocks }: CollectedCompletion): void {
    this.#completions++;
    this.#tokens += completionIds.length;
    for (const points of blocks) {
      const accepted = acceptedPerIteration(points);
      this.#blocks++;
      this.#points += points.length;
      this.#iterations += accepted.length;
      this.#stationary += stationaryPositions(points).length;
      let at = 0;
      for (const k of accepted) {
        const key = points
          .at(-1)!
          .subarray(at, at + k)
          .join();
        if (k > 1) this.#collocations.set(key, (this.#collocations.get(key) ?? 0) + 1);
        at += k;
      }
    }
  }

  /** The figures so far, with at most so many collocations that came more than once. */
  report(collocations = 20): TrajectoryReport {
    const common = [...this.#collocations]
      .filter(([, count]) => count > 1)
      .map(([key, count]) => ({ ids: key.split(",").map(Number), count }))
      .sort((a, b) => b.count - a.count || compareIds(a.ids, b.ids));
    return {
      completions: this.#completions,
      tokens: this.#tokens,
      blocks: this.#blocks,
      points: this.#points,
      iterations: this.#iterations,
      iterationsPerBlock: ratio(this.#iterations, this.#blocks),
      fastForwarded: ratio(this.#tokens, this.#iterations),
      stationary: ratio(this.#stationary, this.#blocks),
      collocations: common.slice(0, collocations),
      distinctCollocations: this.#collocations.size,
    };
  }
}

/**
 * Tokens that became final in each pass, as Jacobi decoding accepts them: the one after the right prefix, and each guess
 * that the pass confirmed. Where the fixed point was not yet confirmed, one more pass does nothing else.
 */
export function acceptedPerIteration(points: readonly TokenIds[]): number[] {
  const accepted: number[] = [];
  const size = points[0]?.length ?? 0;
  for (let right = 0, j = 0; right < size; j++) {
    const guess = points[Math.min(j, points.length - 1)]!.subarray(right);
    const next = points[Math.min(j + 1, points.length - 1)]!.subarray(right);
    const k = Math.min(1 + commonPrefix(guess, next), size - right);
    accepted.push(k);
    right += k;
  }
  return accepted;
}

/**
 * Positions that were right before the right prefix reached them and stayed so: their run of being right, up to the fixed
 * point, begins earlier than that of a token that becomes right only in its turn.
 */
export function stationaryPositions(points: readonly TokenIds[]): number[] {
  const fixedPoint = points.at(-1) ?? new Int32Array(0);
  const prefixes = points.map((point) => commonPrefix(point, fixedPoint));
  const stationary: number[] = [];
  for (const [i, token] of fixedPoint.entries()) {
    const reached = prefixes.findIndex((prefix) => prefix > i); // the first point whose right prefix has it
    if (reached > 0 && points[reached - 1]![i] === token) stationary.push(i);
  }
  return stationary;
}

const ratio = (a: number, b: number): number => (b === 0 ? 0 : a / b);

function compareIds(a: readonly number[], b: readonly number[]): number {
  for (let i = 0; i < Math.min(a.length, b.length); i++) if (a[i] !== b[i]) return a[i]! - b[i]!;
  return a.length - b.length;
}
