/**
 * Writing a directory with an ONNX model that other programs run on ONNX Runtime: the graph of `export-graph.ts`, which
 * says what goes in and out, its weights beside it in one file, and Hugging Face's configuration and tokenizer files.
 * The folder appears whole or not at all.
 */
import type { FileHandle } from "node:fs/promises";
import { join } from "node:path";
import { checkAborted, checkFolderFree, writeText, writeWhole, writeWholeFolder } from "../files/write-whole.ts";
import { Graph } from "../graph/graph.ts";
import { inOneFile } from "../graph/one-file.ts";
import type { ModelConfig } from "../model/config.ts";
import { exportGraph } from "../model/export-graph.ts";
import { layeredWeights } from "../model/layered-weights.ts";
import type { HostPrecision } from "../model/precision.ts";
import { productsFor } from "../model/products.ts";
import type { Weights } from "../model/weights.ts";
import { writeJson, writeTokenizer } from "./huggingface/write.ts";
import { toHuggingFaceConfig } from "./huggingface/write-config.ts";
import { CONFIG, GENERATION_CONFIG } from "./select-files.ts";
import type { OnWrite } from "./tensor-source.ts";
import type { HuggingFaceTokenizerSource } from "./tokenizer-source.ts";

export const ONNX_MODEL = "model.onnx";
const ONNX_DATA = "model.onnx_data";

export interface OnnxContent {
  readonly config: ModelConfig;
  readonly weights: Weights;
  /** That of a GGUF file is to be converted before, by `toHuggingFaceTokenizer` of the text room. */
  readonly tokenizer: HuggingFaceTokenizerSource;
  /** Content of `README.md`. */
  readonly card?: string | undefined;
}

export interface WriteOnnxOptions {
  /** Arithmetic of the graph. Default: fp32. The others use operators that only ONNX Runtime has, on the CPU. */
  readonly precision?: HostPrecision | undefined;
  /** Take the place of an ONNX directory that is there. Default: false. */
  readonly overwrite?: boolean | undefined;
  readonly onWrite?: OnWrite | undefined;
  readonly signal?: AbortSignal | undefined;
}

/**
 * Write a directory. Throws `usage` where it exists, `bad-weights` where tensors and configuration disagree,
 * `unsupported` for heads of odd sizes, `disk`, `aborted`.
 *
 * @example
 * const { config, weights, tokenizer } = await openCheckpoint("model.gguf");
 * const content = { config, weights, tokenizer: toHuggingFaceTokenizer(tokenizer, config) };
 * await writeOnnx("./model-onnx", content, { precision: "int8" });
 */
export async function writeOnnx(
  folder: string,
  content: OnnxContent,
  { precision = "fp32", overwrite, onWrite, signal }: WriteOnnxOptions = {},
): Promise<void> {
  const { text, generation } = toHuggingFaceConfig(content.config, "F32");
  await writeWholeFolder(
    folder,
    async (partial) => {
      await writeText(partial, CONFIG, text);
      await writeJson(partial, GENERATION_CONFIG, generation);
      await writeTokenizer(partial, content.tokenizer);
      if (content.card !== undefined) await writeText(partial, "README.md", content.card);
      await writeModel(partial, content, precision, onWrite, signal);
    },
    { overwrite, marker: ONNX_MODEL },
  );
}

/** Throws `usage` where `writeOnnx` would find something in its way: for a check before long work. */
export function checkOnnxTarget(folder: string, overwrite = false): Promise<void> {
  return checkFolderFree(folder, { overwrite, marker: ONNX_MODEL });
}

async function writeModel(
  folder: string,
  { config, weights }: OnnxContent,
  precision: HostPrecision,
  onWrite: OnWrite | undefined,
  signal: AbortSignal | undefined,
): Promise<void> {
  // `saturates` picks the form of int8 that is exact on every processor: the file may run on another than this one.
  const products = productsFor(precision, new Graph(), { tiedHead: config.tiedHead, saturates: true });
  const onLayer = (done: number): void => {
    checkAborted(signal, folder);
    onWrite?.(`layer ${done}`, done, config.layers + 1);
  };
  const encoded = await exportGraph(config, layeredWeights(config, weights), products, { onLayer });
  const { bytes: graph, pieces } = inOneFile(encoded, ONNX_DATA);
  const write = async (handle: FileHandle): Promise<void> => {
    let written = 0;
    for (const { offset, data } of pieces) {
      checkAborted(signal, folder);
      await handle.appendFile(new Uint8Array(offset - written));
      await handle.appendFile(data);
      written = offset + data.length;
    }
  };
  const bytes = pieces.reduce((_, { offset, data }) => offset + data.length, 0);
  await writeWhole(join(folder, ONNX_DATA), write, { bytes });
  await writeText(folder, ONNX_MODEL, graph);
  onWrite?.("", config.layers + 1, config.layers + 1);
}
