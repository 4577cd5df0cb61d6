/**
 * A GGUF file, or a set split into `-00001-of-0000N.gguf` parts, as a checkpoint: tensors under Hugging Face's names,
 * query and key rows of the Llama family back in Hugging Face's order. Knows no metadata keys but those of splits.
 */
import { basename } from "node:path";
import { CllmError } from "../../error.ts";
import type { BinaryFile } from "../../files/binary-file.ts";
import { openBinaryFile } from "../../files/binary-file.ts";
import type { Family } from "../../model/families/family.ts";
import type { Checkpoint } from "../checkpoint.ts";
import { selectTensors } from "../expected-tensors.ts";
import { NO_FACTS } from "../own-facts.ts";
import { partsOf, withoutPart } from "../select-files.ts";
import type { StoredTensor } from "../stored-weights.ts";
import { storedWeights } from "../stored-weights.ts";
import { readFamily, readGgufConfig, readHeads } from "./config.ts";
import type { GgufHeader } from "./header.ts";
import { readGgufHeader } from "./header.ts";
import { readGgufTokenizer } from "./tokenizer.ts";

/** Open a GGUF file, or all parts of its set. Errors as those of `openCheckpoint`. */
export function openGguf(path: string, name: string = basename(withoutPart(path))): Promise<Checkpoint> {
  return openGgufWith(openBinaryFile, path, name);
}

/** The same, wherever the parts are. */
export async function openGgufWith(
  open: (path: string) => Promise<BinaryFile>,
  path: string,
  name: string,
): Promise<Checkpoint> {
  const paths = partsOf(path);
  const files: BinaryFile[] = [];
  const close = async (): Promise<void> => {
    for (const file of files) await file.close();
  };
  try {
    const headers: GgufHeader[] = [];
    for (const part of paths) {
      const file = await open(part);
      files.push(file);
      headers.push(await readGgufHeader(file));
    }
    return await assemble(path, name, headers, close);
  } catch (error) {
    await close();
    throw error;
  }
}

async function assemble(
  path: string,
  name: string,
  headers: readonly GgufHeader[],
  close: () => Promise<void>,
): Promise<Checkpoint> {
  const { metadata } = headers[0]!;
  checkParts(path, headers);
  const family = readFamily(metadata, path);
  const { headSize } = readHeads(metadata, path);
  const tensors = headers.flatMap((header) => header.tensors);
  const divisorsIn = async (name: string): Promise<number[] | null> => {
    const found = tensors.find((tensor) => tensor.name === name);
    return found ? readDivisors(found) : null;
  };
  const [short, long] = [await divisorsIn(SHORT), await divisorsIn(LONG)];
  const translated = tensors
    .filter(({ name }) => !ROPE_TENSORS.has(name) && !ROTATIONS.test(name))
    .map((tensor) => translate(tensor, family, headSize, path));

  const find = (wanted: string): StoredTensor | undefined => translated.find((tensor) => tensor.name === wanted);
  const embedding = find("model.embed_tokens.weight");
  if (!embedding) {
    const message = `${path} lacks the tensor token_embd.weight, the embedding`;
    throw new CllmError("bad-weights", `${message}; it may be an adapter or a projector: name the model's own file`);
  }
  const facts = {
    path,
    vocabSize: embedding.shape[0]!,
    tiedHead: !find("lm_head.weight"),
    attentionBias: find("model.layers.0.self_attn.q_proj.bias") !== undefined,
    outputBias: find("model.layers.0.self_attn.o_proj.bias") !== undefined,
    ropeDivisors: await divisorsIn(FREQUENCIES),
    ropeFactors: short && long ? { short, long } : null,
    strips: family.gguf.strips,
  };
  const warnings: string[] = [];
  const warn = (message: string): void => void warnings.push(message);
  const tokenizer = readGgufTokenizer(metadata, facts, warn);
  const config = readGgufConfig(metadata, facts, tokenizer, warn);
  const weights = storedWeights(selectTensors(config, translated, path), close);
  return {
    name,
    format: "gguf",
    path,
    config,
    weights,
    tokenizer: tokenizer.source,
    own: NO_FACTS,
    warnings,
    sampling: null,
    close,
  };
}

/** Every part says how many there are and which it is; together they hold the announced number of tensors. */
function checkParts(path: string, headers: readonly GgufHeader[]): void {
  const bad = (problem: string): CllmError =>
    new CllmError("bad-file", `${path}: ${problem}; name the first part of a complete set, or merge the parts`);
  headers.forEach(({ metadata }, i) => {
    const count = metadata.get("split.count") ?? 1;
    if (count !== headers.length) throw bad(`it belongs to a set of ${count} parts, but ${headers.length} are here`);
    const no = metadata.get("split.no") ?? 0;
    if (no !== i) throw bad(`part ${i + 1} says that it is number ${Number(no) + 1}`);
  });
  const announced = headers[0]!.metadata.get("split.tensors.count");
  const found = headers.reduce((sum, header) => sum + header.tensors.length, 0);
  if (announced !== undefined && announced !== found)
    throw bad(`the set announces ${announced} tensors; ${found} are here`);
}

async function readDivisors(tensor: StoredTensor): Promise<number[]> {
  if (tensor.shape.length !== 1 || tensor.shape[0]! > 4096) {
    const message = `tensor ${tensor.name} of ${tensor.file.path} is [${tensor.shape}]; one divisor per frequency fits`;
    throw new CllmError("bad-weights", `${message}; convert the model again`);
  }
  const divisors = await storedWeights([tensor], async () => {}).read(tensor.name);
  return [...divisors];
}

const FREQUENCIES = "rope_freqs.weight";
const SHORT = "rope_factors_short.weight";
const LONG = "rope_factors_long.weight";
/** What rotary frequencies are divided by. */
const ROPE_TENSORS: ReadonlySet<string> = new Set([FREQUENCIES, SHORT, LONG]);

/** GGUF's names of tensors outside the layers, as Hugging Face's. */
const OUTER: ReadonlyMap<string, string> = new Map([
  ["token_embd", "model.embed_tokens"],
  ["output_norm", "model.norm"],
  ["output", "lm_head"],
]);
/** Buffers of old files, which follow from the configuration. */
const ROTATIONS = /^blk\.\d{1,4}\.attn_rot_embd\.weight$/;

/** A tensor under Hugging Face's name. */
function translate(tensor: StoredTensor, { name: family, gguf }: Family, headSize: number, path: string): StoredTensor {
  const match = /^(?:blk\.(\d{1,4})\.)?([a-z_]+)\.(weight|bias)$/.exec(tensor.name);
  const [, layer, part, kind] = match ?? [];
  const inner = (): string | undefined => Object.entries(gguf.tensors).find(([, stored]) => stored === part)?.[0];
  const name = layer === undefined ? OUTER.get(part ?? "") : inner();
  if (name === undefined) {
    const message = `${path} holds the tensor ${tensor.name}, which a ${family} model does not have`;
    throw new CllmError("unsupported", `${message}; its architecture differs from ${family}: use another model`);
  }
  const full = layer === undefined ? `${name}.${kind}` : `model.layers.${Number(layer)}.${name}.${kind}`;
  const interleaved = gguf.interleaved && (part === "attn_q" || part === "attn_k");
  return {
    ...tensor,
    name: full,
    ...(interleaved && { interleavedHeadSize: headSize }),
    ...(gguf.normsWithOne && full.endsWith("norm.weight") && { added: -1 }),
  };
}
