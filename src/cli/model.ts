/**
 * Which model a command means: the one it was given, else the one that the environment or the checkout has. Opens
 * nothing; what the name stands for is found out on loading.
 */
import { existsSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { CllmError } from "../error.ts";
import type { LanguageModel } from "../generate/types.ts";
import type { ModelSettings } from "./command.ts";
import type { Terminal } from "./terminal.ts";

/** The CLLM that comes with the package. */
export const SHIPPED_MODEL: string = fileURLToPath(new URL("../../models/text-to-sql", import.meta.url));

const HOW = "give --model a GGUF file, a directory or a hub id, or set CLLM_MODELS";

/** The path or id of the model to use, or an error that says how to name one. */
export function chooseModel(given: string | undefined): string {
  if (given !== undefined) return given;
  const named = process.env["CLLM_MODELS"];
  if (named && !existsSync(named))
    throw new CllmError("not-found", `CLLM_MODELS names ${named}, which does not exist; ${HOW}`);
  if (named) return named;
  const checkout = fileURLToPath(new URL("../..", import.meta.url));
  const beside = join(checkout, "..", "shared", "models");
  if (existsSync(join(checkout, "src")) && existsSync(beside)) return beside;
  throw new CllmError("usage", `no model; ${HOW}`);
}

/** Loads the model that the settings name, with progress bars. */
export async function loadModel(
  settings: ModelSettings,
  terminal: Terminal,
  { slots }: { readonly slots?: number } = {},
): Promise<LanguageModel> {
  const { precision, threads, offline, revision, cacheDir, adapter, template, templateOptions } = settings;
  const { load } = await import("../generate/load.ts"); // with ONNX Runtime, which help and info do without
  const options = { precision, threads, offline, revision, cacheDir, adapter, template, templateOptions, slots };
  const model = await load(chooseModel(settings.model), {
    ...options,
    onProgress: terminal.progress,
    onWarning: terminal.note,
    signal: terminal.signal,
  });
  terminal.endProgress();
  return model;
}
