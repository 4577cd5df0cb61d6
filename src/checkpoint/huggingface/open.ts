/**
 * A Hugging Face directory as a checkpoint: `config.json`, safetensors whole or sharded, `tokenizer.json` and the chat
 * template in its several places. Knows which files there are; the files beside it read their contents.
 */
import * as z from "zod";
import { CllmError } from "../../error.ts";
import type { BinaryFile } from "../../files/binary-file.ts";
import { type Folder, fileIn, jsonIn, optionalJsonIn, textIn } from "../../files/folder.ts";
import { shorten } from "../../files/near-miss.ts";
import { familyOf } from "../../model/families/index.ts";
import { expectedTensors } from "../../model/tensors.ts";
import type { Checkpoint } from "../checkpoint.ts";
import { selectTensors } from "../expected-tensors.ts";
import { readNgramsIn } from "../ngrams.ts";
import { readOwnFacts } from "../own-facts.ts";
import {
  ADDITIONAL_TEMPLATES,
  CONFIG,
  GENERATION_CONFIG,
  SPECIAL_TOKENS,
  TEMPLATE,
  TEMPLATE_JSON,
  TOKENIZER,
  TOKENIZER_CONFIG,
  WEIGHTS,
  WEIGHTS_INDEX,
} from "../select-files.ts";
import type { StoredTensor } from "../stored-weights.ts";
import { storedWeights } from "../stored-weights.ts";
import type { HuggingFaceTokenizerSource } from "../tokenizer-source.ts";
import { readHuggingFaceConfig } from "./config.ts";
import { rejectQuantizedTensors, withScales } from "./quantized.ts";
import { readSafetensorsHeader } from "./safetensors.ts";
import { readSampling } from "./sampling.ts";
import { tokenizerEndIds, withSpecialTokens } from "./special-tokens.ts";

const MAX_CONFIG_BYTES = 4 * 2 ** 20;
const MAX_TOKENIZER_BYTES = 128 * 2 ** 20;
const MAX_SHARDS = 1000;
const MAX_TEMPLATES = 64;

/** Open a folder with `config.json`; `name` is for people. Errors as those of `openCheckpoint`. */
export async function openHuggingFace(folder: Folder, name: string): Promise<Checkpoint> {
  const { path } = folder;
  const config = await jsonIn(folder, CONFIG, MAX_CONFIG_BYTES);
  const generation = await optionalJsonIn(folder, GENERATION_CONFIG, MAX_CONFIG_BYTES);
  const files: BinaryFile[] = [];
  const close = async (): Promise<void> => {
    for (const file of files) await file.close();
  };
  const warnings: string[] = [];
  const warn = (message: string): void => void warnings.push(message);
  try {
    const { tensors: stored, missing } = await readTensors(folder, files);
    const named = causalNames(stored, config["tie_word_embeddings"] === true);
    const scaled = withScales(named, config["quantization_config"]);
    const hasHead = scaled.some((tensor) => tensor.name === "lm_head.weight");
    const { tokenizer, endIds: tokenizerEnds } = await readTokenizer(folder);
    const modelConfig = readHuggingFaceConfig({ config, generation, hasHead, tokenizerEnds, path, warn });
    rejectQuantizedTensors(scaled);
    const tensors = unpacked(scaled, familyOf(modelConfig).huggingFace.packed ?? {});
    for (const [name] of expectedTensors(modelConfig)) if (missing.has(name)) throw missing.get(name);
    const weights = storedWeights(selectTensors(modelConfig, tensors, path), close);
    return {
      name,
      format: "safetensors",
      path,
      config: modelConfig,
      weights,
      tokenizer,
      own: await readOwnFacts(folder),
      ngrams: () => readNgramsIn(folder),
      warnings,
      sampling: readSampling(generation),
      close,
    };
  } catch (error) {
    await close();
    throw error;
  }
}

interface Tensors {
  readonly tensors: StoredTensor[];
  /**
   * By name, the error for a tensor that the index names and its shard lacks. It is thrown only if the tensor is
   * needed.
   */
  readonly missing: ReadonlyMap<string, CllmError>;
}

/** All tensors of the one file or of the shards that the index names. Files opened are added to `files`. */
async function readTensors(folder: Folder, files: BinaryFile[]): Promise<Tensors> {
  const open = async (name: string): Promise<StoredTensor[]> => {
    const file = await folder.open(name);
    files.push(file);
    return readSafetensorsHeader(file);
  };
  if ((await folder.has(WEIGHTS)) || !(await folder.has(WEIGHTS_INDEX))) {
    return { tensors: await open(WEIGHTS), missing: new Map() };
  }
  const map = await readShardMap(folder);
  const tensors: StoredTensor[] = [];
  for (const shard of new Set(map.values())) {
    for (const tensor of await open(shard)) if (map.get(tensor.name) === shard) tensors.push(tensor);
  }
  const found = new Set(tensors.map((tensor) => tensor.name));
  const missing = new Map<string, CllmError>();
  for (const [name, shard] of map) {
    if (found.has(name)) continue;
    const message = `${fileIn(folder, shard)} lacks the tensor ${shorten(name)} that ${WEIGHTS_INDEX} places there`;
    missing.set(name, new CllmError("bad-file", `${message}; fetch the shards again`));
  }
  return { tensors, missing };
}

/** Shards name plain files beside the index, so that an index cannot reach out of its directory. */
const indexSchema = z.looseObject({ weight_map: z.record(z.string(), z.string().regex(/^[\w.-]+\.safetensors$/)) });

/** Tensor names and the shard that holds each, of the index file of a folder. */
export async function readShardMap(folder: Folder): Promise<ReadonlyMap<string, string>> {
  const path = fileIn(folder, WEIGHTS_INDEX);
  const result = indexSchema.safeParse(await jsonIn(folder, WEIGHTS_INDEX, MAX_CONFIG_BYTES * 4));
  if (!result.success) {
    const issue = result.error.issues[0]!;
    const message = `${path}: ${shorten(issue.path.join("."))}: ${issue.message}`;
    throw new CllmError("bad-file", `${message}; it must map tensors to .safetensors files beside it; fetch it again`);
  }
  const map = new Map(Object.entries(result.data.weight_map));
  const shards = new Set(map.values()).size;
  if (shards >= 1 && shards <= MAX_SHARDS) return map;
  const message = `${path} names ${shards} shards; 1 to ${MAX_SHARDS} are possible`;
  throw new CllmError("bad-file", `${message}; fetch it again`);
}

/**
 * The names of a causal language model's tensors. Those that were saved from the model below the head lack the prefix, and
 * where embedding and head are one matrix, some files call it by the head's name alone.
 */
function causalNames(tensors: readonly StoredTensor[], tied: boolean): StoredTensor[] {
  const names = new Set(tensors.map(({ name }) => name));
  const bare = names.has("embed_tokens.weight") && names.has("norm.weight");
  const headAlone = tied && !names.has("model.embed_tokens.weight") && !bare;
  return tensors.map((tensor) => {
    if (headAlone && tensor.name === "lm_head.weight") return { ...tensor, name: "model.embed_tokens.weight" };
    return bare && /^(embed_tokens|layers|norm)\./.test(tensor.name)
      ? { ...tensor, name: `model.${tensor.name}` }
      : tensor;
  });
}

/** The tensors with those in place of a packed one that are stored in it, one below the other. `packed`: see `Family`. */
function unpacked(
  tensors: readonly StoredTensor[],
  packed: Readonly<Record<string, readonly string[]>>,
): readonly StoredTensor[] {
  return tensors.flatMap((tensor) => {
    const [, layer, part = ""] = /^(model\.layers\.\d{1,4})\.(.+)\.weight$/.exec(tensor.name) ?? [];
    const parts = Object.hasOwn(packed, part) ? packed[part]! : [];
    const [rows = 0, ...columns] = tensor.shape;
    if (parts.length === 0 || rows % parts.length !== 0 || (parts.length > 1 && tensor.scales)) return [tensor];
    const [shape, byteLength] = [[rows / parts.length, ...columns], tensor.byteLength / parts.length];
    return parts.map((name, i) => {
      return { ...tensor, name: `${layer}.${name}.weight`, shape, byteLength, offset: tensor.offset + i * byteLength };
    });
  });
}

interface ReadTokenizer {
  readonly tokenizer: HuggingFaceTokenizerSource;
  /** See `tokenizerEndIds`. */
  readonly endIds: number[];
}

async function readTokenizer(folder: Folder): Promise<ReadTokenizer> {
  if (!(await folder.has(TOKENIZER))) {
    const message = `${folder.path} has no ${TOKENIZER}; other tokenizer files are not read`;
    throw new CllmError(
      "not-found",
      `${message}; save it with AutoTokenizer.from_pretrained(...).save_pretrained(...)`,
    );
  }
  const tokenizerJson = await jsonIn(folder, TOKENIZER, MAX_TOKENIZER_BYTES);
  const tokenizerConfig = (await optionalJsonIn(folder, TOKENIZER_CONFIG, MAX_TOKENIZER_BYTES)) ?? {};
  const specialTokens = await optionalJsonIn(folder, SPECIAL_TOKENS, MAX_CONFIG_BYTES);
  return {
    tokenizer: {
      kind: "huggingface",
      tokenizerJson,
      tokenizerConfig: withSpecialTokens(tokenizerConfig, specialTokens),
      ...(await readTemplates(folder, tokenizerConfig)),
    },
    endIds: tokenizerEndIds(tokenizerJson, [tokenizerConfig, specialTokens]),
  };
}

const namedTemplates = z.array(z.looseObject({ name: z.string(), template: z.string() }));

/**
 * The template: `chat_template.jinja`, else `chat_template.json`, else that of `tokenizer_config.json`. Several have names:
 * in a list of the JSON files, or as `additional_chat_templates/NAME.jinja` beside the first.
 */
async function readTemplates(folder: Folder, tokenizerConfig: Record<string, unknown>): Promise<Templates> {
  const more = await additionalTemplates(folder);
  if (await folder.has(TEMPLATE)) return templates(await textIn(folder, TEMPLATE, MAX_CONFIG_BYTES), more);
  const json = await optionalJsonIn(folder, TEMPLATE_JSON, MAX_CONFIG_BYTES);
  const [source, template] =
    json === null ? [TOKENIZER_CONFIG, tokenizerConfig["chat_template"]] : [TEMPLATE_JSON, json["chat_template"]];
  if (template === undefined || template === null) return templates(null, more);
  if (typeof template === "string") return templates(template, more);
  const named = namedTemplates.safeParse(template);
  if (!named.success) {
    const message = `${fileIn(folder, source)}: chat_template is neither a string nor a list of names and templates`;
    throw new CllmError("bad-file", `${message}; fetch it again`);
  }
  return templates(null, { ...Object.fromEntries(named.data.map((entry) => [entry.name, entry.template])), ...more });
}

type Templates = Pick<HuggingFaceTokenizerSource, "chatTemplate" | "namedTemplates">;

/** The default among the named ones is the one of that name, or the only one. */
function templates(unnamed: string | null, named: Readonly<Record<string, string>>): Templates {
  const all = Object.values(named);
  if (all.length === 0) return { chatTemplate: unnamed };
  const only = all.length === 1 ? all[0]! : null;
  const chatTemplate = unnamed ?? (Object.hasOwn(named, "default") ? named["default"]! : only);
  return { chatTemplate, namedTemplates: unnamed === null ? named : { default: unnamed, ...named } };
}

async function additionalTemplates(folder: Folder): Promise<Record<string, string>> {
  const names = (await folder.list(ADDITIONAL_TEMPLATES)).filter((name) => name.endsWith(".jinja"));
  const read = names.slice(0, MAX_TEMPLATES).map(async (name) => {
    const text = await textIn(folder, `${ADDITIONAL_TEMPLATES}/${name}`, MAX_CONFIG_BYTES);
    return [name.slice(0, -".jinja".length), text] as const;
  });
  return Object.fromEntries(await Promise.all(read));
}
