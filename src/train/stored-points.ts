/**
 * Points of collected trajectories as noisy points to learn from. Which of them: any for the global and local losses, the
 * one nearest to a level of noise for the progressive one. Knows no packs.
 */
import { commonPrefix } from "../decode/prefix.ts";
import { hash } from "../hash.ts";
import type { Example, NoisyPoint } from "./objectives.ts";
import type { TrainSettings } from "./settings.ts";

/** A stored point, with its successor's guesses in the same places if the local loss needs them. */
export interface StoredPoint extends NoisyPoint {
  readonly successor?: Int32Array;
}

/** The share of a point that is not yet its fixed point's right prefix (arXiv:2512.14681, section 3). */
export function noiseOf(point: Int32Array, fixedPoint: Int32Array): number {
  return 1 - commonPrefix(point, fixedPoint) / point.length;
}

/**
 * `pointsPerExample` points at a place of the run, blocks drawn at random without repetition as far as there are enough. A
 * block's first token is taken from the fixed point, as decoding knows it when the block begins.
 */
export function storedPoints(
  { blocks = [] }: Example,
  place: number,
  { pointsPerExample, consistency, blockSize, seed }: TrainSettings,
): StoredPoint[] {
  const usable = blocks.flatMap((points, index) => (points.length > 1 ? [{ points, index }] : []));
  const order = usable
    .map((block) => ({ block, key: hash(seed, place, block.index) }))
    .sort((a, b) => a.key - b.key)
    .slice(0, pointsPerExample);
  return order.map(({ block: { points, index }, key }) => {
    const fixedPoint = points.at(-1) as Int32Array;
    const noisy = points.slice(0, -1);
    let chosen = hash(key) % noisy.length;
    if (consistency === "progressive") {
      const window = 4; // blocks over which the noise goes from none to all
      const level = (index % window) / (window - 1);
      const distances = noisy.map((point) => Math.abs(noiseOf(point, fixedPoint) - level));
      chosen = distances.reduce((nearest, distance, i) => (distance < distances[nearest]! ? i : nearest), 0);
    }
    const point = noisy[chosen] as Int32Array;
    const successor = points[chosen + 1] as Int32Array;
    return {
      start: index * blockSize,
      guesses: point.subarray(1),
      ...(consistency === "local" ? { successor: successor.subarray(1) } : {}),
    };
  });
}
