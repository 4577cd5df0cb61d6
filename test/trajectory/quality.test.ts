/** Augmentation, cleaning and measures: laws over random points, and examples worked out by hand. */
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { commonPrefix } from "../../src/decode/prefix.ts";
import { augment } from "../../src/trajectory/augment.ts";
import { createCleaner, longestRun } from "../../src/trajectory/clean.ts";
import { acceptedPerIteration, stationaryPositions, TrajectoryMeasure } from "../../src/trajectory/measure.ts";
import type { CollectedCompletion } from "../../src/trajectory/types.ts";
import { completions } from "./arbitrary.ts";

const points = (...rows: number[][]): Int32Array[] => rows.map((row) => Int32Array.from(row));

const completion = (blocks: Int32Array[][], promptIds = Int32Array.of(9)): CollectedCompletion => ({
  ...{ dataId: "a", promptIds, labelIds: null, blocks },
  completionIds: Int32Array.from(blocks.flatMap((block) => [...block.at(-1)!])),
});

const withIds = (ids: readonly number[], promptLength = 1): CollectedCompletion => ({
  ...completion([points([...ids])], new Int32Array(promptLength)),
});

describe("augmentation", () => {
  test("it only makes wrong tokens right, behind the first wrong one, and leaves the last two points", () => {
    fc.assert(
      fc.property(completions(6), fc.nat(99), (before, seed) => {
        const after = augment(before, seed);
        let changed = 0;
        let tokens = 0;
        for (const [b, block] of before.blocks.entries()) {
          const fixedPoint = block.at(-1)!;
          const augmented = after.completion.blocks[b]!;
          expect(augmented.length).toBe(block.length);
          expect(augmented.slice(-2)).toEqual(block.slice(-2));
          expect(new Set(augmented.map((point) => point.join())).size).toBe(block.length);
          for (const [j, point] of block.entries()) {
            const differing = [...point.keys()].filter((i) => point[i] !== augmented[j]![i]);
            for (const i of differing) expect(augmented[j]![i]).toBe(fixedPoint[i]);
            expect(commonPrefix(augmented[j]!, fixedPoint)).toBe(commonPrefix(point, fixedPoint));
            changed += Number(differing.length > 0);
            tokens += differing.length;
          }
        }
        expect(after).toMatchObject({ points: changed, tokens });
        expect({ ...after.completion, blocks: before.blocks }).toEqual(before);
        expect(augment(before, seed)).toEqual(after);
      }),
    );
  });

  test("it overwrites about half of what it may, differently by seed", () => {
    const size = 2000;
    const block = points(Array(size).fill(1), Array(size).fill(2), Array(size).fill(3));
    const [first, second] = [0, 1].map((seed) => augment(completion([block]), seed));
    expect(first!.tokens / size).toBeGreaterThan(0.45); // 4.5 standard deviations
    expect(first!.tokens / size).toBeLessThan(0.55);
    expect(second!.completion).not.toEqual(first!.completion);
  });
});

describe("cleaning", () => {
  const stopIds = new Set([0]);
  const cleaner = createCleaner({ stopIds, maxPromptTokens: 5, maxSequenceTokens: 30, requireEnd: true });
  const run = (length: number): number[] => Array(length).fill(7);

  test.each<[why: string, ids: number[], reason: string | null]>([
    ["ends well", [1, 2, 0], null],
    ["is empty", [0], "empty"],
    ["repeats one token 10 times", [1, ...run(10), 2, 0], "repetition"],
    ["repeats one token 9 times", [1, ...run(9), 2, ...run(9), 0], null],
    ["is too long", [...Array.from({ length: 29 }, (_, i) => i + 1), 0], "long-sequence"],
    ["has no end", [1, 2, 3], "no-end"],
  ])("what %s", (_, ids, reason) => {
    expect(cleaner.drop(withIds(ids))).toBe(reason);
    expect(createCleaner({ stopIds, repeats: 0, dropEmpty: false }).drop(withIds(ids))).toBe(null);
  });

  test("a repetition after the end does not count, and one under way is seen", () => {
    expect(longestRun(Int32Array.of(1, 0, ...run(12)), stopIds)).toBe(1);
    expect(longestRun(Int32Array.of(...run(3), 1, 7), stopIds)).toBe(3);
    expect(longestRun(new Int32Array(0), stopIds)).toBe(0);
    expect(cleaner.abandon(Int32Array.from(run(10)))).toBe(true);
    expect(cleaner.abandon(Int32Array.from(run(9)))).toBe(false);
  });

  test("a long prompt is not even run", () => {
    const prompt = { dataId: "a", labelIds: null };
    expect(cleaner.refuse({ ...prompt, promptIds: new Int32Array(5) })).toBe(null);
    expect(cleaner.refuse({ ...prompt, promptIds: new Int32Array(6) })).toBe("long-prompt");
  });
});

describe("measures", () => {
  // Right prefixes of the points: 0, 1, 3, 5.
  const block = points([5, 5, 5, 4, 5], [1, 6, 6, 4, 6], [1, 2, 3, 4, 7], [1, 2, 3, 4, 5]);

  test("a worked example", () => {
    // Pass 1 settles the 1; pass 2 the 2 (6 was wrong); pass 3 the 3 and the 4, guessed right, and the 5; no pass is left.
    expect(acceptedPerIteration(block)).toEqual([1, 1, 3]);
    // The 4 is right from the draft on, before the right prefix reaches it in point 2. The others come in their turn.
    expect(stationaryPositions(block)).toEqual([3]);
    const measure = new TrajectoryMeasure();
    for (let i = 0; i < 2; i++) measure.add(completion([block, points([8, 9], [3, 9], [3, 4])]));
    expect(measure.report()).toEqual({
      ...{ completions: 2, tokens: 14, blocks: 4, points: 14, iterations: 10, iterationsPerBlock: 2.5 },
      ...{ fastForwarded: 1.4, stationary: 0.5, collocations: [{ ids: [3, 4, 5], count: 2 }], distinctCollocations: 1 },
    });
  });

  test("a draft that is right takes one pass, which confirms it", () => {
    expect(acceptedPerIteration(points([1, 2, 3]))).toEqual([3]);
    expect(stationaryPositions(points([1, 2, 3]))).toEqual([]);
  });

  test("a fixed point that no pass has confirmed yet takes one more", () => {
    expect(acceptedPerIteration(points([9, 9, 9], [1, 2, 3]))).toEqual([1, 2]);
  });

  test("a stationary token that was lost again is none", () => {
    expect(stationaryPositions(points([9, 2, 9], [9, 8, 9], [1, 2, 9], [1, 2, 3]))).toEqual([]);
  });

  test("passes settle everything once, each at least one token, as many as there are positions at most", () => {
    fc.assert(
      fc.property(completions(6), ({ blocks }) => {
        for (const each of blocks) {
          const accepted = acceptedPerIteration(each);
          expect(accepted.reduce((a, b) => a + b, 0)).toBe(each[0]!.length);
          expect(Math.min(...accepted)).toBeGreaterThan(0);
        }
      }),
    );
  });

  test("of nothing the averages are 0", () => {
    expect(new TrajectoryMeasure().report()).toMatchObject({ fastForwarded: 0, stationary: 0, iterationsPerBlock: 0 });
  });
});
