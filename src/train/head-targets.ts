/**
 * What Medusa heads learn from a pack: head k of a row, from 0 on, learns the token k + 1 places behind the one that the row itself is
 * followed by. Rows come in the order in which `layOut` lists those that carry loss. Knows no graph.
 */
import type { Pack } from "./pack.ts";

export interface HeadTargets {
  /** By head; 0 where there is none. */
  readonly targets: readonly Int32Array[]; // (R,)
  /** By head; 0 where there is no target. Not scaled. */
  readonly weights: readonly Float32Array[]; // (R,)
}

/** For `rows` rows, of which those behind the packs' own are padding. */
export function headTargets(packs: readonly Pack[], heads: number, rows: number): HeadTargets {
  const targets = Array.from({ length: heads }, () => new Int32Array(rows));
  const weights = Array.from({ length: heads }, () => new Float32Array(rows));
  let row = 0;
  for (const { segments } of packs) {
    for (const part of segments) {
      for (let i = 0; i < part.tokens.length; i++) {
        if ((part.targets[i] ?? -1) < 0) continue;
        for (let head = 0; head < heads; head++) {
          const target = part.targets[i + head + 1] ?? -1;
          if (target < 0) continue;
          (targets[head] as Int32Array)[row] = target;
          (weights[head] as Float32Array)[row] = part.weights[i] as number;
        }
        row++;
      }
    }
  }
  return { targets, weights };
}

/** Sums of the weights, by head: what a step's losses are averages over. */
export function headTotals(packs: readonly Pack[], heads: number): number[] {
  const rows = packs.reduce(
    (sum, { segments }) => sum + segments.reduce((all, { tokens }) => all + tokens.length, 0),
    0,
  );
  return headTargets(packs, heads, rows).weights.map((weights) => weights.reduce((sum, weight) => sum + weight, 0));
}
