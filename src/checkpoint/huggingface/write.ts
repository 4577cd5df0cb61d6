/**
 * Writing a Hugging Face directory: configuration, safetensors, tokenizer, chat template and card, as transformers, vLLM
 * and llama.cpp's converter read them. The folder appears whole or not at all. Knows no other format.
 */
import { join } from "node:path";
import { CllmError } from "../../error.ts";
import { checkFolderFree, type WriteFolderOptions, writeText, writeWholeFolder } from "../../files/write-whole.ts";
import type { ModelConfig } from "../../model/config.ts";
import { expectedTensors } from "../../model/tensors.ts";
import type { FloatType } from "../encoders.ts";
import {
  CONFIG,
  GENERATION_CONFIG,
  TEMPLATE,
  TEMPLATE_JSON,
  TOKENIZER,
  TOKENIZER_CONFIG,
  WEIGHTS,
  WEIGHTS_INDEX,
} from "../select-files.ts";
import type { OnWrite, TensorSource } from "../tensor-source.ts";
import type { HuggingFaceTokenizerSource } from "../tokenizer-source.ts";
import { toHuggingFaceConfig } from "./write-config.ts";
import { writeSafetensors } from "./write-safetensors.ts";

export interface HuggingFaceContent {
  readonly config: ModelConfig;
  /** The model's tensors by Hugging Face's names; others are left out. */
  readonly weights: TensorSource;
  /** That of a GGUF file is to be converted before, by `toHuggingFaceTokenizer` of the text room. */
  readonly tokenizer: HuggingFaceTokenizerSource;
  /** Content of `README.md`. */
  readonly card?: string | undefined;
  /** Further files by name: text or bytes. */
  readonly files?: Readonly<Record<string, string | Uint8Array>> | undefined;
}

export interface WriteHuggingFaceOptions {
  /** The element type of all tensors. Default: F32, which loses nothing. */
  readonly dtype?: FloatType | undefined;
  /** Take the place of a model directory that is there. Default: false. */
  readonly overwrite?: boolean | undefined;
  readonly onWrite?: OnWrite | undefined;
  readonly signal?: AbortSignal | undefined;
}

const CARD = "README.md";
const OWN: readonly string[] = [
  ...[CONFIG, GENERATION_CONFIG, WEIGHTS, WEIGHTS_INDEX, TOKENIZER, TOKENIZER_CONFIG, TEMPLATE, TEMPLATE_JSON, CARD],
];

/**
 * Write a directory. Throws `usage` where it exists, `unsupported` where the configuration has no words there,
 * `bad-weights` for tensors that are missing, of another shape or do not fit the type, `disk`, `aborted`.
 *
 * @example
 * const { config, weights, tokenizer } = await openCheckpoint("model.gguf");
 * const content = { config, weights, tokenizer: toHuggingFaceTokenizer(tokenizer, config) };
 * await writeHuggingFace("./model", content, { dtype: "BF16" });
 */
export async function writeHuggingFace(
  folder: string,
  content: HuggingFaceContent,
  { dtype = "F32", overwrite, onWrite, signal }: WriteHuggingFaceOptions = {},
): Promise<void> {
  const { config, text, generation } = toHuggingFaceConfig(content.config, dtype);
  const weights = modelTensors(config, content.weights);
  const { card, files = {} } = content;
  const taken = Object.keys(files).find((name) => OWN.includes(name) || name !== join("/", name).slice(1));
  if (taken !== undefined) {
    throw new CllmError("bad-input", `a further file cannot be called ${taken}: give it a plain name of its own`);
  }
  await writeWholeFolder(
    folder,
    async (partial) => {
      await writeText(partial, CONFIG, text);
      await writeJson(partial, GENERATION_CONFIG, { _from_model_config: true, ...generation });
      await writeTokenizer(partial, content.tokenizer);
      if (card !== undefined) await writeText(partial, CARD, card);
      for (const [name, file] of Object.entries(files)) await writeText(partial, name, file);
      await writeSafetensors(join(partial, WEIGHTS), weights, { dtype, onWrite, signal });
    },
    { overwrite, marker: CONFIG },
  );
}

/** Throws `usage` where `writeHuggingFace` would find something in its way: for a check before long work. */
export function checkHuggingFaceTarget(
  folder: string,
  { overwrite }: Pick<WriteFolderOptions, "overwrite"> = {},
): Promise<void> {
  return checkFolderFree(folder, { overwrite, marker: CONFIG });
}

/** Without a class, transformers would take the family's, some of which put tokens of their own around every text. */
const AS_IT_STANDS = { tokenizer_class: "PreTrainedTokenizerFast" };

/** `tokenizer.json` and what goes with it, into a folder. */
export async function writeTokenizer(
  folder: string,
  { tokenizerJson, tokenizerConfig, chatTemplate, namedTemplates }: HuggingFaceTokenizerSource,
): Promise<void> {
  await writeText(folder, TOKENIZER, `${JSON.stringify(tokenizerJson)}\n`);
  // A single template stands in both places: old readers know one of them, new ones the other. All read a list.
  const list = namedTemplates && Object.entries(namedTemplates).map(([name, template]) => ({ name, template }));
  const template = chatTemplate === null && !list ? {} : { chat_template: list ?? chatTemplate };
  await writeJson(folder, TOKENIZER_CONFIG, { ...AS_IT_STANDS, ...tokenizerConfig, ...template });
  if (chatTemplate !== null && !list) await writeText(folder, TEMPLATE, chatTemplate);
}

export async function writeJson(folder: string, name: string, value: unknown): Promise<void> {
  await writeText(folder, name, `${JSON.stringify(value, null, 2)}\n`);
}

/** The tensors that the configuration calls for, in its order. Throws `bad-weights` for one of another shape. */
export function modelTensors(config: ModelConfig, weights: TensorSource): TensorSource {
  const names: string[] = [];
  for (const [name, shape] of expectedTensors(config)) {
    const found = weights.shape(name); // throws where there is none
    if (found.join() !== shape.join()) {
      const message = `tensor ${name} is [${found}], but the configuration says [${shape}]: they are not of one model`;
      throw new CllmError("bad-weights", message);
    }
    names.push(name);
  }
  return {
    names: () => names,
    shape: (name) => weights.shape(name),
    read: (name, from, to) => weights.read(name, from, to),
  };
}
