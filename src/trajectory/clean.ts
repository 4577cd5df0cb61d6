/**
 * Cleaning: which prompts and completions are not worth learning from, and why (arXiv:2403.00835, section 4.1: drop
 * generations that repeat themselves, cap lengths). Every rule can be switched off; none is applied in silence.
 */
import { requireInteger } from "../decode/require.ts";
import type { TokenIds } from "../runtime/session.ts";
import type { CollectedCompletion, CollectionPrompt } from "./types.ts";

/** Why something was dropped, in the order in which the rules are asked. */
export type DropReason =
  | "bad-record" // the data set's record has no usable prompt, and `--skip-bad-records` allows that
  | "long-prompt" // more prompt tokens than `maxPromptTokens`
  | "empty" // nothing before the end of sequence
  | "repetition" // one token `repeats` times in a row before the end of sequence
  | "long-sequence" // more tokens of prompt and completion than `maxSequenceTokens`
  | "no-end"; // the budget ended it, and `requireEnd` is set

export const DROP_REASONS: readonly DropReason[] = [
  "bad-record",
  "long-prompt",
  "empty",
  "repetition",
  "long-sequence",
  "no-end",
];

export interface CleanOptions {
  /** How often a token in a row is a repetition; 0 lets all pass. Default: 10. */
  readonly repeats?: number;
  /** Drop completions without a token before the end of sequence. Default: true. */
  readonly dropEmpty?: boolean;
  /** Drop completions that the budget ended. Default: false. */
  readonly requireEnd?: boolean;
  /** Default: any length that the context takes. */
  readonly maxPromptTokens?: number;
  /** Of prompt and completion together. Default: any. */
  readonly maxSequenceTokens?: number;
  /** Ids that end a completion. */
  readonly stopIds?: ReadonlySet<number>;
}

export interface Cleaner {
  /** Why the prompt is not worth running; null where it is. */
  refuse(prompt: CollectionPrompt): DropReason | null;
  /** Whether a completion under way will be dropped whatever comes. */
  readonly abandon: (completionIds: TokenIds) => boolean;
  /** Why a completion is not worth keeping; null where it is. */
  drop(completion: CollectedCompletion): DropReason | null;
}

export function createCleaner({
  repeats = 10,
  dropEmpty = true,
  requireEnd = false,
  maxPromptTokens = Number.MAX_SAFE_INTEGER,
  maxSequenceTokens = Number.MAX_SAFE_INTEGER,
  stopIds = new Set(),
}: CleanOptions = {}): Cleaner {
  requireInteger("repeats", repeats, 0);
  requireInteger("maxPromptTokens", maxPromptTokens, 1);
  requireInteger("maxSequenceTokens", maxSequenceTokens, 1);
  const repetitive = (ids: TokenIds): boolean => repeats > 0 && longestRun(ids, stopIds) >= repeats;
  return {
    refuse: ({ promptIds }) => (promptIds.length > maxPromptTokens ? "long-prompt" : null),
    abandon: repetitive,
    drop({ promptIds, completionIds }) {
      const ended = stopIds.has(completionIds.at(-1) ?? -1);
      if (dropEmpty && completionIds.length - Number(ended) === 0) return "empty";
      if (repetitive(completionIds)) return "repetition";
      if (promptIds.length + completionIds.length > maxSequenceTokens) return "long-sequence";
      return requireEnd && !ended ? "no-end" : null;
    },
  };
}

/** The most times in a row that one token comes before the first that ends the text. */
export function longestRun(ids: TokenIds, stopIds: ReadonlySet<number>): number {
  let longest = 0;
  let run = 0;
  for (const [i, id] of ids.entries()) {
    if (stopIds.has(id)) break;
    run = i > 0 && id === ids[i - 1] ? run + 1 : 1;
    longest = Math.max(longest, run);
  }
  return longest;
}
