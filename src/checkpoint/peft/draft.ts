/**
 * Draft adapters: PEFT directories whose own file says that they draft for a model and are never merged into it. Checks that one is what
 * it should be, and fits. Knows no graph.
 */
import { CllmError } from "../../error.ts";
import type { ModelConfig } from "../../model/config.ts";
import { requireBounded } from "../../model/draft-adapter.ts";
import { isLoraTarget, LORA_TARGETS } from "../../model/lora.ts";
import type { Weights } from "../../model/weights.ts";
import { requireFit } from "./adapter.ts";
import { readAdapter } from "./read-adapter.ts";
import type { Adapter } from "./types.ts";

/**
 * Reads a draft adapter for these weights, by its path or its name. Throws what `readAdapter` throws, `usage` for an adapter that is to be
 * merged, `bad-weights` for one of another model, `unsupported` for one of more than the layers' matrices.
 *
 * @example
 * const { weights } = await openCheckpoint("model.gguf");
 * const { modules } = await readDraftAdapter("./my-drafts", weights);
 */
export async function readDraftAdapter(pathOrName: string, weights: Pick<Weights, "has" | "shape">): Promise<Adapter> {
  const adapter = await readAdapter(pathOrName);
  const { name, modules, copies } = adapter;
  if (!adapter.drafts) {
    const what = `${name} is an adapter to be merged, not a draft adapter`;
    throw new CllmError("usage", `${what}: give it as adapter (--adapter), or train one with cllm train --lossless`);
  }
  const other = [...modules.keys()].find((module) => !isLoraTarget(`${module}.weight`, { targets: LORA_TARGETS }));
  if (other !== undefined || copies !== undefined) {
    const what = other ?? [...(copies?.keys() ?? [])][0];
    throw new CllmError(
      "unsupported",
      `the draft adapter ${name} changes ${what}: only the matrices of layers can have one; train it without`,
    );
  }
  requireFit(weights, adapter);
  requireBounded(name, modules);
  return adapter;
}

/** The configuration of a model that drafts with the adapter: its own first guesses, and none in the prompt's pass. */
export function draftedConfig(config: ModelConfig, { name, draftTokenId }: Adapter): ModelConfig {
  const { draftTokenId: _, leadingDraft: __, ...rest } = config;
  if (draftTokenId === undefined || draftTokenId < config.vocabSize)
    return { ...rest, ...(draftTokenId !== undefined && { draftTokenId }) };
  const message = `the draft adapter ${name} drafts token ${draftTokenId}, but the model has ${config.vocabSize}`;
  throw new CllmError("bad-weights", `${message}; load the model that it was trained for`);
}

/** What is odd about drafting with it for a model that `adapter` is merged into, for people; null for nothing. Its text is right anyway. */
export function draftNote({ name, baseAdapter }: Adapter, adapter: string | undefined): string | null {
  const merged = adapter
    ?.replace(/[\\/]+$/, "")
    .split(/[\\/]/)
    .at(-1);
  if (merged === baseAdapter) return null;
  const trained = baseAdapter === undefined ? "the model without an adapter" : `the model with ${baseAdapter}`;
  return `the draft adapter ${name} was trained for ${trained}: it will guess worse here, and the text is the same`;
}
