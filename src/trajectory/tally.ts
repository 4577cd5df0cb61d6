/**
 * What comes of a collection: counts what is kept and dropped, measures it, and augments it on its way into the file. A run and
 * the joining of shards share it, so that both write the same. Knows no file.
 */
import { augment } from "./augment.ts";
import type { DropReason } from "./clean.ts";
import { type CollectionInfo, type CollectionReport, noneDropped } from "./info.ts";
import { TrajectoryMeasure } from "./measure.ts";
import type { CollectedCompletion } from "./types.ts";

export interface Tally {
  /** Counts so many prompts as dropped. */
  drop(reason: DropReason, count?: number): void;
  /** Counts the completion and returns it as it is stored. */
  keep(completion: CollectedCompletion): CollectedCompletion;
  readonly report: () => CollectionReport;
}

export function createTally({ settings, shard }: CollectionInfo): Tally {
  const dropped = noneDropped();
  const measure = new TrajectoryMeasure();
  const stopIds = new Set(settings.stopIds);
  let count = 0;
  let withoutEnd = 0;
  let augmentedPoints = 0;
  let augmentedTokens = 0;
  return {
    drop(reason, many = 1) {
      dropped[reason] += many;
    },
    keep(completion) {
      count++;
      measure.add(completion);
      if (!stopIds.has(completion.completionIds.at(-1)!)) withoutEnd++;
      if (!settings.augment || shard !== undefined) return completion;
      const augmented = augment(completion, settings.seed);
      augmentedPoints += augmented.points;
      augmentedTokens += augmented.tokens;
      return augmented.completion;
    },
    report: () => {
      const prompts = Object.values(dropped).reduce((sum, each) => sum + each, count);
      const measures = measure.report();
      return { prompts, kept: count, dropped, withoutEnd, augmentedPoints, augmentedTokens, measures };
    },
  };
}
