/** Random prompts, completions and what they are said to come from, for the laws of trajectories. */
import fc from "fast-check";
import type { CollectionInfo, CollectionReport } from "../../src/trajectory/info.ts";
import { noneDropped } from "../../src/trajectory/info.ts";
import type { CollectedCompletion, CollectionPrompt } from "../../src/trajectory/types.ts";

export const VOCAB = 40;

const ids = (minLength: number, maxLength: number): fc.Arbitrary<Int32Array> =>
  fc.array(fc.nat(VOCAB - 1), { minLength, maxLength }).map((list) => Int32Array.from(list));

/** Completions that are consistent in form, whatever model could have written them. */
export const completions = (blockSize: number): fc.Arbitrary<CollectedCompletion> =>
  fc
    .record({
      dataId: fc.string({ maxLength: 8, unit: "grapheme" }),
      promptIds: ids(1, 6),
      completionIds: ids(1, 3 * blockSize),
      labelIds: fc.option(ids(1, 5)),
      points: fc.array(fc.array(ids(blockSize, blockSize), { maxLength: 4 }), { minLength: 3, maxLength: 3 }),
    })
    .map(({ points, ...rest }) => ({
      ...rest,
      blocks: Array.from({ length: Math.ceil(rest.completionIds.length / blockSize) }, (_, b) => {
        const fixedPoint = rest.completionIds.slice(b * blockSize, (b + 1) * blockSize);
        const seen = new Set([fixedPoint.join()]);
        const others = points[b]!.map((point) => point.slice(0, fixedPoint.length));
        return [...others.filter((point) => !seen.has(point.join()) && seen.add(point.join())), fixedPoint];
      }),
    }));

/** Completions with different ids. */
export const collections = (blockSize: number): fc.Arbitrary<CollectedCompletion[]> =>
  fc.uniqueArray(completions(blockSize), { maxLength: 5, selector: ({ dataId }) => dataId });

export function info(settings: Partial<CollectionInfo["settings"]> = {}): CollectionInfo {
  return {
    model: { name: "scripted", vocabSize: VOCAB, weights: "w", tokenizer: "t" },
    settings: {
      ...{
        data: "made up",
        prompts: "p",
        precision: "fp32",
        threads: 1,
        blockSize: 4,
        maxNewTokens: 12,
        seed: 3,
        stopIds: [0],
      },
      ...{ augment: true, clean: true, requireEnd: false, maxPromptTokens: null, maxSequenceTokens: null },
      ...settings,
    },
  };
}

export function report(kept: number): CollectionReport {
  const measures = {
    ...{ completions: kept, tokens: 7, blocks: 3, points: 9, iterations: 5, iterationsPerBlock: 5 / 3 },
    ...{ fastForwarded: 7 / 5, stationary: 0.5, collocations: [{ ids: [1, 2], count: 3 }], distinctCollocations: 4 },
  };
  return {
    ...{ prompts: kept + 2, kept, dropped: { ...noneDropped(), empty: 2 }, withoutEnd: 1 },
    ...{ augmentedPoints: 6, augmentedTokens: 8, measures },
  };
}

/** Prompts named by their number, of ids that any model of `test/decode` knows. */
export const prompts = (count: number, seed = 0): CollectionPrompt[] =>
  Array.from({ length: count }, (_, i) => ({
    dataId: `data_${i}`,
    promptIds: Int32Array.from({ length: 3 + ((i + seed) % 4) }, (_, j) => (i * 7 + j * 5 + seed) % VOCAB),
    labelIds: i % 2 === 0 ? null : Int32Array.of(i % VOCAB, 1),
  }));
