/**
 * A model compiled for ONNX Runtime: weights once, any number of sequences over them.
 */
import type { ModelConfig } from "../model/config.ts";
import type { Precision } from "../model/precision.ts";
import type { Weights } from "../model/weights.ts";
import type { Session } from "./session.ts";

export interface EngineOptions {
  readonly precision: Precision;
  readonly threads?: number;
  readonly onProgress?: (stage: "quantize" | "compile", what: string, done: number, total: number) => void;
  readonly signal?: AbortSignal;
}

export interface Engine extends AsyncDisposable {
  readonly config: ModelConfig;
  readonly precision: Precision;
  /** A new, empty sequence. Sessions share the weights; each owns its KV cache. */
  session(): Session;
  dispose(): Promise<void>;
}

/** Reads the weights, builds the decode graph in `precision` and compiles it. */
export async function createEngine(_config: ModelConfig, _weights: Weights, _options: EngineOptions): Promise<Engine> {
  throw new Error("under construction");
}
