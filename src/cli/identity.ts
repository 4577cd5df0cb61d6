/** Which weights a command works with, for what it stores: the checkpoint is opened once more, for its headers and a few rows. */
import { openCheckpoint } from "../checkpoint/open.ts";
import { withAdapter } from "../checkpoint/peft/adapter.ts";
import { readAdapter } from "../checkpoint/peft/read-adapter.ts";
import type { LanguageModel } from "../generate/types.ts";
import { withContextLength } from "../model/context.ts";
import { identify, type ModelIdentity } from "../trajectory/identity.ts";
import type { DraftSettings, ModelSettings } from "./command.ts";
import { chooseModel } from "./model.ts";
import type { Terminal } from "./terminal.ts";

/** The identity of the settings' model, with its adapter merged into it. */
export async function identityOf(
  settings: Omit<ModelSettings, keyof DraftSettings>,
  { tokenizer }: LanguageModel,
  { signal }: Terminal,
): Promise<ModelIdentity> {
  const { offline, revision, cacheDir, adapter, contextLength } = settings;
  const checkpoint = await openCheckpoint(chooseModel(settings.model), { offline, revision, cacheDir, signal });
  try {
    const { name, weights } = checkpoint;
    const config = withContextLength(checkpoint.config, contextLength);
    const adapted = adapter === undefined ? weights : withAdapter(weights, await readAdapter(adapter));
    return await identify({ name, config, weights: adapted }, tokenizer);
  } finally {
    await checkpoint.close();
  }
}
