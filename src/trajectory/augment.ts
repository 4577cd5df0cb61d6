/**
 * Augmentation of trajectories: right tokens after wrong ones, which plain points seldom have and a student should learn
 * to leave alone (arXiv:2403.00835, section 3.2). In every point of a block but the last two, each wrong position but the
 * first gets the fixed point's token with probability one half. A pure function of seed, data id, block, point and
 * position. Knows nothing of how points were collected.
 */

import { commonPrefix } from "../decode/prefix.ts";
import { hash, hashOfText } from "../hash.ts";
import type { CollectedCompletion } from "./types.ts";

const SALT = 0x617567; // so that these draws are not those of the drafts

export interface Augmentation {
  readonly completion: CollectedCompletion;
  /** Points that were changed. */
  readonly points: number;
  /** Positions that were overwritten. */
  readonly tokens: number;
}

/** The completion with augmented points. A point that would become equal to another one of its block is not changed. */
export function augment(completion: CollectedCompletion, seed = 0): Augmentation {
  const id = hashOfText(completion.dataId);
  let changedPoints = 0;
  let tokens = 0;
  const blocks = completion.blocks.map((points, block) => {
    const augmented = [...points];
    const fixedPoint = points.at(-1)!;
    for (let j = 0; j < points.length - 2; j++) {
      const point = points[j]!.slice();
      let overwritten = 0;
      for (let i = commonPrefix(point, fixedPoint) + 1; i < point.length; i++) {
        if (point[i] === fixedPoint[i] || hash(SALT, seed, id, block, j, i) >= 2 ** 31) continue;
        point[i] = fixedPoint[i]!;
        overwritten++;
      }
      if (overwritten === 0 || augmented.some((other) => commonPrefix(other, point) === point.length)) continue;
      augmented[j] = point;
      changedPoints++;
      tokens += overwritten;
    }
    return augmented;
  });
  return { completion: { ...completion, blocks }, points: changedPoints, tokens };
}
