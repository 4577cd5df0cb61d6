/**
 * What an opened checkpoint is, whatever its format, and facts about it for people. Knows no file format.
 */
import type { ModelConfig } from "../model/config.ts";
import type { Weights } from "../model/weights.ts";
import type { StoredNgrams } from "./ngrams.ts";
import type { OwnFacts } from "./own-facts.ts";
import type { TokenizerSource } from "./tokenizer-source.ts";

/** How a model's authors want it sampled, as `generation_config.json` says. */
export interface ModelSampling {
  readonly temperature: number;
  /** 0 keeps all. */
  readonly topK: number;
  readonly topP: number;
  readonly minP: number;
  /** Further keys of theirs that change the choice and are not built. */
  readonly ignored: readonly string[];
}

export interface Checkpoint {
  /** For people and results: the hub id, or the name of the directory or file. */
  readonly name: string;
  readonly format: "safetensors" | "gguf";
  /** The local directory or file that was opened. */
  readonly path: string;
  readonly config: ModelConfig;
  readonly weights: Weights;
  readonly tokenizer: TokenizerSource;
  /** What only this project knows about the model. */
  readonly own: OwnFacts;
  /** Reads what was counted of the model's answers, in its folder; null for nothing. Default: nothing. */
  readonly ngrams?: () => Promise<StoredNgrams | null>;
  /** What was wrong in the files and passed over, one line each. */
  readonly warnings: readonly string[];
  /** null where the checkpoint says nothing, or asks for the likeliest token. */
  readonly sampling: ModelSampling | null;
  /** Close all files. Reading weights afterwards is an error. */
  close(): Promise<void>;
}

export interface CheckpointFacts {
  readonly name: string;
  readonly format: "safetensors" | "gguf";
  readonly path: string;
  /** The demonstration that the model is for, if any. */
  readonly demonstration: string | null;
  /** Numbers in all tensors; a tied head counts once. */
  readonly parameters: number;
  /** Bytes of all tensors on disk. */
  readonly byteLength: number;
  /** By stored element type, most parameters first. */
  readonly dtypes: readonly { readonly dtype: string; readonly tensors: number; readonly parameters: number }[];
}

/**
 * What a checkpoint holds, from its headers alone.
 *
 * @example const { parameters, byteLength } = describeCheckpoint(await openCheckpoint("model.gguf"));
 */
export function describeCheckpoint({ name, format, path, own, weights }: Checkpoint): CheckpointFacts {
  const dtypes = new Map<string, { dtype: string; tensors: number; parameters: number }>();
  let parameters = 0;
  for (const tensor of weights.names()) {
    const dtype = weights.dtype(tensor);
    const elements = weights.shape(tensor).reduce((product, length) => product * length, 1);
    const entry = dtypes.get(dtype) ?? { dtype, tensors: 0, parameters: 0 };
    entry.tensors++;
    entry.parameters += elements;
    parameters += elements;
    dtypes.set(dtype, entry);
  }
  const byParameters = [...dtypes.values()].sort((a, b) => b.parameters - a.parameters);
  const { demonstration } = own;
  return { name, format, path, demonstration, parameters, byteLength: weights.byteLength, dtypes: byParameters };
}
