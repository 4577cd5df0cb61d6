/**
 * What a pass of m tokens costs: the measured points, made monotone, and straight lines between them. Decisions about
 * the length of a pass are taken on this and on what is accepted; how it was measured is not known here.
 */
import { CllmError } from "../error.ts";

/** Milliseconds of a pass of so many tokens. */
export type CostModel = (tokens: number) => number;

/** Neighbouring points that share a mean, in milliseconds. */
interface Level {
  readonly mean: number;
  readonly count: number;
}

/**
 * Makes a cost model of measured points, tokens to milliseconds; at least one. Between points it is linear, below the
 * first it is flat, since the runtime pads a single token to two, and beyond the last it goes on as between the last
 * two. More tokens never cost less: neighbours that say so are noise, and are given their mean (isotonic regression), so that
 * one point that is far too high does not lift all behind it.
 */
export function costModel(measured: ReadonlyMap<number, number>): CostModel {
  const points = [...measured].sort(([a], [b]) => a - b);
  for (const [tokens, ms] of points)
    if (!(Number.isInteger(tokens) && tokens > 0 && ms > 0 && Number.isFinite(ms)))
      throw new CllmError("usage", `the cost of ${tokens} tokens is ${ms} ms: both must be over 0`);
  if (points.length === 0) throw new CllmError("usage", "no costs of a pass are given: measure some");
  const levels: Level[] = [];
  for (const [, ms] of points) {
    levels.push({ mean: ms, count: 1 });
    for (let last = levels.length - 1; last > 0 && levels[last]!.mean < levels[last - 1]!.mean; last--) {
      const [a, b] = levels.splice(last - 1) as [Level, Level];
      const count = a.count + b.count;
      levels.push({ mean: (a.mean * a.count + b.mean * b.count) / count, count });
    }
  }
  const means = levels.flatMap(({ mean, count }) => Array<number>(count).fill(mean));
  for (const [i, mean] of means.entries()) points[i] = [points[i]![0], mean];

  return (tokens) => {
    const after = points.findIndex(([m]) => m >= tokens);
    if (after === 0) return points[0]![1];
    const right = after < 0 ? points.length - 1 : after;
    const [m1, ms1] = points[right]!;
    const [m0, ms0] = points[right - 1] ?? [0, ms1]; // a single point is flat
    return ms1 + ((ms1 - ms0) / (m1 - m0)) * (tokens - m1);
  };
}
