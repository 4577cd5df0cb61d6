/**
 * A checkpoint with the adapters that are asked for: one that is merged into its weights, and one that guesses. Knows no engine.
 */
import type { ModelConfig } from "../../model/config.ts";
import type { Weights } from "../../model/weights.ts";
import { adaptedConfig, withAdapter } from "./adapter.ts";
import { draftedConfig, draftNote, readDraftAdapter } from "./draft.ts";
import { readAdapter } from "./read-adapter.ts";
import type { Adapter } from "./types.ts";

export interface Adapted {
  readonly config: ModelConfig;
  readonly weights: Weights;
  /** The adapter that guesses; null for none. */
  readonly draft: Adapter | null;
  /** What is worth saying of it; null for nothing. */
  readonly note: string | null;
}

/** Throws what reading an adapter throws, and where one does not fit the model. */
export async function adapted(
  checkpoint: { readonly config: ModelConfig; readonly weights: Weights },
  merged: string | undefined,
  guessing: string | undefined,
): Promise<Adapted> {
  const adapter = merged === undefined ? null : await readAdapter(merged);
  const config = adapter === null ? checkpoint.config : adaptedConfig(checkpoint.config, adapter);
  const weights = adapter === null ? checkpoint.weights : withAdapter(checkpoint.weights, adapter);
  const draft = guessing === undefined ? null : await readDraftAdapter(guessing, weights);
  if (draft === null) return { config, weights, draft, note: null };
  return { config: draftedConfig(config, draft), weights, draft, note: draftNote(draft, merged) };
}
