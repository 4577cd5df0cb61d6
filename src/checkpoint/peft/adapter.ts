/**
 * Low-rank adapters as PEFT's directories (Hu et al., arXiv:2106.09685; huggingface.co/docs/peft): read, written, and
 * merged into a model's weights as those are read. W becomes W + scale · B A, with scale = alpha / rank, or
 * alpha / √rank (rsLoRA, arXiv:2312.03732). Everything else that PEFT can do is refused by name. Knows no graph.
 */
import { join } from "node:path";
import { CllmError } from "../../error.ts";
import { type Folder, fileIn, jsonIn, optionalJsonIn } from "../../files/folder.ts";
import { shorten } from "../../files/near-miss.ts";
import { checkFolderFree, writeText, writeWholeFolder } from "../../files/write-whole.ts";
import type { ModelConfig } from "../../model/config.ts";
import { addLowRank } from "../../model/lora.ts";
import type { NamedTensor } from "../../model/memory-weights.ts";
import type { Weights } from "../../model/weights.ts";
import type { FloatType } from "../encoders.ts";
import { readSafetensorsHeader } from "../huggingface/safetensors.ts";
import { writeJson } from "../huggingface/write.ts";
import { writeSafetensors } from "../huggingface/write-safetensors.ts";
import { readNgramsIn, writeNgrams } from "../ngrams.ts";
import { ADAPTER_CONFIG } from "../select-files.ts";
import { storedWeights } from "../stored-weights.ts";
import { sourceOf, type TensorSource } from "../tensor-source.ts";
import { adapterConfigJson, draftConfigJson, readAdapterConfig, readDraftConfig } from "./config.ts";
import { draftCard } from "./draft-card.ts";
import type { Adapter, AdapterConfig, LoraModule } from "./types.ts";

const ADAPTER_WEIGHTS = "adapter_model.safetensors";
/** What PEFT's configuration has no key for. */
const OWN_CONFIG = "cllm.json";
const MAX_CONFIG_BYTES = 4 * 2 ** 20;
const PREFIX = "base_model.model.";

/**
 * Read the adapter in a folder. Throws `not-found`, `bad-file` for a damaged one, `bad-weights` for tensors that do not fit each
 * other, and `unsupported` naming what is more than low-rank matrices.
 */
export async function readAdapterIn(folder: Folder): Promise<Adapter> {
  const { path } = folder;
  const json = await jsonIn(folder, ADAPTER_CONFIG, MAX_CONFIG_BYTES);
  const config = readAdapterConfig(json, fileIn(folder, ADAPTER_CONFIG));
  const file = await folder.open(ADAPTER_WEIGHTS);
  try {
    const weights = storedWeights(await readSafetensorsHeader(file), async () => {});
    const adapter = await gather(path, config, weights, (name) => {
      if (name.startsWith(PREFIX)) return name.slice(PREFIX.length);
      throw new CllmError("unsupported", `${path}: the tensor ${shorten(name)} is not one of PEFT's ${PREFIX}...`);
    });
    const own = await optionalJsonIn(folder, OWN_CONFIG, MAX_CONFIG_BYTES);
    if (own === null) return adapter;
    const drafting = { ...adapter, ...readDraftConfig(own, fileIn(folder, OWN_CONFIG)) };
    const ngrams = drafting.drafts ? await readNgramsIn(folder) : null;
    return ngrams === null ? drafting : { ...drafting, ngrams };
  } finally {
    await file.close();
  }
}

export interface AdapterContent {
  readonly name: string;
  readonly baseModel?: string | null;
  readonly rank: number;
  readonly alpha: number;
  readonly rankStabilized?: boolean;
  readonly draftTokenId?: number | undefined;
  readonly leadingDraft?: boolean | undefined;
  readonly drafts?: boolean | undefined;
  readonly baseAdapter?: string | undefined;
}

/**
 * An adapter from tensors in memory, named as in `model/lora.ts`: `model.layers.0.self_attn.q_proj.lora_A.weight` and
 * `...lora_B.weight`. Throws `bad-weights` for tensors that do not fit each other.
 *
 * @example
 * const adapter = await adapterOf({ name: "mine", rank: 8, alpha: 16 }, tensors);
 * await writeAdapter("./mine", adapter);
 */
export async function adapterOf(
  { name, baseModel = null, rank, alpha, rankStabilized = false, ...drafting }: AdapterContent,
  tensors: Parameters<typeof sourceOf>[0],
): Promise<Adapter> {
  const config = { baseModel, rankStabilized, rankOf: () => rank, alphaOf: () => alpha };
  return { ...(await gather(name, config, sourceOf(tensors), (tensor) => tensor)), ...drafting };
}

/** What an adapter may hold whole; `base_layer` is what PEFT calls the matrix under an adapter. */
const COPY = /^(model\.embed_tokens|lm_head)(?:\.base_layer)?\.weight$/;

/** Pairs up the tensors. `moduleName` gives a tensor's name without the prefix of its file. */
async function gather(
  name: string,
  { baseModel, rankStabilized, rankOf, alphaOf }: AdapterConfig,
  source: TensorSource,
  moduleName: (tensor: string) => string,
): Promise<Adapter> {
  const bad = (problem: string): CllmError =>
    new CllmError("bad-weights", `${name}: ${problem}; save the adapter again, or use another`);
  const parts = new Map<string, { A?: string; B?: string }>();
  const copies = new Map<string, NamedTensor>();
  for (const tensor of source.names()) {
    const copied = COPY.exec(moduleName(tensor))?.[1];
    if (copied !== undefined) {
      const copy = `${copied}.weight`;
      copies.set(copy, { name: copy, shape: source.shape(tensor), data: await source.read(tensor) });
      continue;
    }
    const [, module, part] = /^(.+)\.lora_([AB])\.weight$/.exec(moduleName(tensor)) ?? [];
    if (module === undefined) {
      const message = `${name}: the tensor ${shorten(tensor)} is neither lora_A nor lora_B of a matrix`;
      throw new CllmError("unsupported", `${message}, and nothing else is supported; merge the adapter with PEFT`);
    }
    parts.set(module, { ...parts.get(module), [part as "A" | "B"]: tensor });
  }
  if (parts.size === 0) throw bad("it has no low-rank matrices");
  const modules = new Map<string, LoraModule>();
  for (const [module, { A, B }] of parts) {
    if (A === undefined || B === undefined) throw bad(`${module} has lora_${A ? "A" : "B"} and not the other`);
    const rank = rankOf(module);
    const alpha = alphaOf(module);
    const [shapeA, shapeB] = [source.shape(A), source.shape(B)];
    const [inputs, outputs] = [shapeA[1], shapeB[0]];
    const fits = shapeA.length === 2 && shapeB.length === 2 && shapeA[0] === rank && shapeB[1] === rank;
    if (!fits || inputs === undefined || outputs === undefined) {
      throw bad(
        `${module} has A of [${shapeA}] and B of [${shapeB}], which are not of the configuration's rank ${rank}`,
      );
    }
    const scale = rankStabilized ? alpha / Math.sqrt(rank) : alpha / rank;
    modules.set(module, { rank, alpha, scale, a: await source.read(A), b: await source.read(B), inputs, outputs });
  }
  return { name, baseModel, rankStabilized, modules, ...(copies.size > 0 && { copies }) };
}

/**
 * The weights with the adapter merged in as they are read. Throws `usage` for a draft adapter, `bad-weights` where the adapter is not for these
 * weights: modules that they do not have, or matrices of another shape; `unsupported` where it would part an embedding and
 * a head that are one matrix.
 *
 * @example
 * const { weights } = await openCheckpoint("model.gguf");
 * const merged = withAdapter(weights, await readAdapter("./my-adapter"));
 */
export function withAdapter(weights: Weights, adapter: Adapter): Weights {
  const { name, modules } = adapter;
  if (adapter.drafts) {
    const next = "give it as draftAdapter (--draft-adapter), which leaves the text as it is";
    throw new CllmError(
      "usage",
      `${name} is a draft adapter, and merging it would change what the model says: ${next}`,
    );
  }
  const tied = !weights.has(HEAD);
  if (tied) refuseParting(adapter);
  const copies = new Map([...(adapter.copies ?? [])].filter(([tensor]) => !(tied && tensor === HEAD)));
  requireFit(weights, adapter, copies);
  return {
    names: () => weights.names(),
    has: (tensor) => weights.has(tensor),
    shape: (tensor) => weights.shape(tensor),
    dtype: (tensor) => weights.dtype(tensor),
    byteLength: weights.byteLength,
    close: () => weights.close(),
    recycle: () => weights.recycle?.(),
    // A merged matrix is in no blocks any more.
    blocks: (tensor) =>
      copies.has(tensor) || modules.has(tensor.replace(/\.weight$/, "")) ? null : (weights.blocks?.(tensor) ?? null),
    async read(tensor, from = 0, to) {
      const copy = copies.get(tensor);
      const values = copy === undefined ? await weights.read(tensor, from, to) : rowsOf(copy, from, to);
      const module = tensor.endsWith(".weight") ? modules.get(tensor.slice(0, -".weight".length)) : undefined;
      if (module !== undefined) merge(values, module, from, `${tensor} with ${name}`);
      return values;
    },
  };
}

/**
 * Throws `bad-weights` where the adapter is for another model: for modules that these weights do not have, or matrices of another shape.
 *
 * @example requireFit(checkpoint.weights, await readAdapter("./my-adapter"));
 */
export function requireFit(
  weights: Pick<Weights, "has" | "shape">,
  { name, baseModel, modules }: Adapter,
  copies?: Adapter["copies"],
): void {
  const matrices = [...modules].map(
    ([module, { inputs, outputs }]) => [`${module}.weight`, [outputs, inputs]] as const,
  );
  const whole = [...(copies ?? [])].map(([tensor, copy]) => [tensor, copy.shape] as const);
  for (const [tensor, wanted] of [...matrices, ...whole]) {
    const next = baseModel === null ? "load the model that it was trained on" : `it was trained on ${baseModel}`;
    if (!weights.has(tensor)) {
      throw new CllmError(
        "bad-weights",
        `the adapter ${name} is for another model: this one has no ${tensor}; ${next}`,
      );
    }
    const shape = weights.shape(tensor);
    if (`${shape}` === `${wanted}`) continue;
    const module = tensor.replace(/\.weight$/, "");
    const message = `the adapter ${name} is for another model: its ${module} is [${wanted}], here it is [${shape}]`;
    throw new CllmError("bad-weights", `${message}; ${next}`);
  }
}

const HEAD = "lm_head.weight";
const EMBEDDING = "model.embed_tokens.weight";

/** A model whose head is its embedding has one matrix for both: what changes one of them alone cannot be merged. */
function refuseParting({ name, modules, copies }: Adapter): void {
  const [head, embedding] = [copies?.get(HEAD)?.data, copies?.get(EMBEDDING)?.data];
  const same = head?.length === embedding?.length && (head?.every((value, i) => value === embedding?.[i]) ?? true);
  if (!modules.has("lm_head") && !modules.has("model.embed_tokens") && same) return;
  const message = `the adapter ${name} changes the head (lm_head) or the embedding, which are one matrix in this model`;
  const next = "train it without lm_head and embed_tokens in target_modules and modules_to_save";
  const or = "merge it with PEFT into a base saved with tie_word_embeddings false";
  throw new CllmError("unsupported", `${message}; ${next}, or ${or}`);
}

/** Rows `[from, to)` of a matrix in memory. */
function rowsOf({ shape, data }: NamedTensor, from: number, to: number = shape[0] ?? 0): Float32Array {
  const columns = data.length / (shape[0] || 1);
  return Float32Array.from(data.slice(from * columns, to * columns));
}

/** The base's configuration, with what the adapter says beside its matrices. */
export function adaptedConfig(config: ModelConfig, { draftTokenId, leadingDraft = false }: Adapter): ModelConfig {
  if (draftTokenId === undefined) return config;
  if (draftTokenId < config.vocabSize) return { ...config, draftTokenId, ...(leadingDraft && { leadingDraft }) };
  const message = `the adapter drafts token ${draftTokenId}, but the model has ${config.vocabSize}`;
  throw new CllmError("bad-weights", `${message}; load the model that it was trained on`);
}

/** As `addLowRank`. Throws `bad-weights` where the result has values that are not finite. */
function merge(values: Float32Array, module: LoraModule, from: number, what: string): void {
  addLowRank(values, module, from);
  let zero = 0;
  for (let i = 0; i < values.length; i++) zero += values[i]! * 0; // stays zero unless a value is NaN or infinite
  if (zero === 0) return;
  throw new CllmError(
    "bad-weights",
    `${what} has a value that is not finite: use an earlier checkpoint of the adapter`,
  );
}

export interface WriteAdapterOptions {
  /** The element type of all tensors. Default: F32. */
  readonly dtype?: FloatType | undefined;
  /** Take the place of an adapter directory that is there. Default: false. */
  readonly overwrite?: boolean | undefined;
  /** Content of `README.md`. Default: none, or for a draft adapter what must be known of it. */
  readonly card?: string | undefined;
}

/**
 * Write a PEFT directory; it appears whole or not at all. Throws `usage` where it exists, `bad-weights`, `disk`.
 *
 * @example await writeAdapter("./copy", await readAdapter("./my-adapter"), { dtype: "F16" });
 */
export async function writeAdapter(
  folder: string,
  adapter: Adapter,
  {
    dtype = "F32",
    overwrite,
    card = adapter.drafts ? draftCard({ ...adapter, name: folder }) : undefined,
  }: WriteAdapterOptions = {},
): Promise<void> {
  const tensors: NamedTensor[] = [...adapter.modules].flatMap(([module, { rank, inputs, outputs, a, b }]) => [
    { name: `${PREFIX}${module}.lora_A.weight`, shape: [rank, inputs], data: a },
    { name: `${PREFIX}${module}.lora_B.weight`, shape: [outputs, rank], data: b },
  ]);
  for (const [tensor, copy] of adapter.copies ?? []) {
    const module = tensor.replace(/\.weight$/, "");
    tensors.push({ ...copy, name: `${PREFIX}${module}${adapter.modules.has(module) ? ".base_layer" : ""}.weight` });
  }
  await writeWholeFolder(
    folder,
    async (partial) => {
      await writeJson(partial, ADAPTER_CONFIG, adapterConfigJson(adapter));
      if (card !== undefined) await writeText(partial, "README.md", card);
      const own = draftConfigJson(adapter);
      if (own !== null) await writeJson(partial, OWN_CONFIG, own);
      if (adapter.ngrams !== undefined) await writeNgrams(partial, adapter.ngrams.table);
      await writeSafetensors(join(partial, ADAPTER_WEIGHTS), tensors, { dtype });
    },
    { overwrite, marker: ADAPTER_CONFIG },
  );
}

/** Throws `usage` where `writeAdapter` would find something in its way: for a check before long work. */
export function checkAdapterTarget(folder: string, overwrite = false): Promise<void> {
  return checkFolderFree(folder, { overwrite, marker: ADAPTER_CONFIG });
}
