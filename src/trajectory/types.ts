/**
 * What collecting makes and training reads: prompts, completions and the trajectories of their blocks, as token ids.
 * Knows nothing of where prompts come from and how completions are stored.
 */

/** A prompt to collect for. */
export interface CollectionPrompt {
  /** Names it in the results; no two prompts of a data set share one. Drafts depend on it. */
  readonly dataId: string;
  readonly promptIds: Int32Array;
  /** The data set's own answer, tokenized, where there is one. */
  readonly labelIds: Int32Array | null;
}

/** One prompt's collected completion: what consistency training learns from. */
export interface CollectedCompletion {
  readonly dataId: string;
  readonly promptIds: Int32Array;
  /** The target's greedy completion, with the end-of-sequence token where it came. */
  readonly completionIds: Int32Array;
  /** By block of `blockSize` tokens: its points in order, each (blockSize,) or shorter in the last block; first the draft, last the fixed point, none repeated. */
  readonly blocks: readonly (readonly Int32Array[])[];
  /** The data set's own answer, tokenized, where there is one. */
  readonly labelIds: Int32Array | null;
}
