/**
 * Which model a command means: the one it was given, else the one that the environment or the checkout has. Opens
 * nothing; what the name stands for is found out on loading.
 */
import { existsSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { CllmError } from "../error.ts";
import { loadFields } from "../generate/options.ts";
import type { LanguageModel } from "../generate/types.ts";
import type { ModelSettings } from "./command.ts";
import type { Terminal } from "./terminal.ts";

/** The CLLM that comes with the package. */
export const SHIPPED_MODEL: string = fileURLToPath(new URL("../../models/text-to-sql", import.meta.url));

/** A small model for any text. */
export const GENERAL_MODEL = "HuggingFaceTB/SmolLM2-135M-Instruct";
const DOWNLOAD = "a download of some 270 MB, once";

const HOW = "give --model a GGUF file, a directory or a hub id, or set CLLM_MODEL";

/** The path or id of the model to use, or an error that says how to get one. */
export function chooseModel(given: string | undefined): string {
  const chosen = given ?? namedElsewhere();
  if (chosen !== null) return chosen;
  throw new CllmError("usage", `no model; ${HOW}; --model ${GENERAL_MODEL} is a small general one, ${DOWNLOAD}`);
}

/** What the environment names, or a checkout has beside it; null where there is nothing. */
function namedElsewhere(): string | null {
  const { CLLM_MODEL, CLLM_MODELS } = process.env;
  if (CLLM_MODEL) return CLLM_MODEL;
  if (CLLM_MODELS && !existsSync(CLLM_MODELS))
    throw new CllmError("not-found", `CLLM_MODELS names ${CLLM_MODELS}, which does not exist; ${HOW}`);
  if (CLLM_MODELS) return CLLM_MODELS;
  const checkout = fileURLToPath(new URL("../..", import.meta.url));
  const beside = join(checkout, "..", "shared", "models");
  return existsSync(join(checkout, "src")) && existsSync(beside) ? beside : null;
}

/**
 * The settings with a model in any case: for commands that show something, so that they run in an empty folder too. Where
 * none is named it is the demonstration that comes with the package, and a note says so and how to get a general one.
 */
export function orDemonstration<S extends { readonly model: string | undefined }>(
  settings: S,
  { note }: Pick<Terminal, "note">,
): Omit<S, "model"> & { readonly model: string } {
  const chosen = settings.model ?? namedElsewhere();
  if (chosen !== null || !existsSync(SHIPPED_MODEL)) return { ...settings, model: chosen ?? chooseModel(undefined) };
  note(
    "no model named: this is text-to-sql, the demonstration that comes with cllm, which writes SQL for questions to a small " +
      `database and nothing else; for any text: --model ${GENERAL_MODEL} (${DOWNLOAD}), or a model of yours`,
  );
  return { ...settings, model: SHIPPED_MODEL };
}

/** What a text depends on beside the model: its precision, and the device where that is not the processor. */
export const conditionsOf = ({ precision, device }: Pick<LanguageModel, "precision" | "device">): string =>
  device === "cpu" ? precision : `${precision} on ${device}`;

/** How a model is opened: those of a command's settings that `load` takes. */
export const loadSettingsOf = (settings: Omit<ModelSettings, "model">): Omit<ModelSettings, "model"> =>
  Object.fromEntries(Object.keys(loadFields).map((key) => [key, settings[key as keyof typeof settings]])) as Omit<
    ModelSettings,
    "model"
  >;

/** Loads the model that the settings name, with progress bars. */
export async function loadModel(
  settings: ModelSettings,
  terminal: Terminal,
  { slots, keep }: { readonly slots?: number; readonly keep?: number } = {},
): Promise<LanguageModel> {
  const { load } = await import("../generate/load.ts"); // with ONNX Runtime, which help and info do without
  const model = await load(chooseModel(settings.model), {
    ...loadSettingsOf(settings),
    slots,
    keep,
    onProgress: terminal.progress,
    onWarning: terminal.note,
    signal: terminal.signal,
  });
  terminal.endProgress();
  return model;
}
