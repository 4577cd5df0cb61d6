/**
 * A model compiled for ONNX Runtime: weights once, any number of sequences over them.
 */
import { availableParallelism } from "node:os";
import { CllmError } from "../error.ts";
import { Graph } from "../graph/graph.ts";
import type { ModelConfig } from "../model/config.ts";
import { decodeGraph } from "../model/decode-graph.ts";
import { layeredWeights } from "../model/layered-weights.ts";
import type { Precision } from "../model/precision.ts";
import { productsFor, WHOLE_WEIGHTS } from "../model/products.ts";
import type { Weights } from "../model/weights.ts";
import { openSession } from "./onnx-session.ts";
import { compile, type Program } from "./ort.ts";
import { type PassRunner, single, together } from "./pass-runner.ts";
import { bytesSaturate } from "./saturation.ts";
import type { Session } from "./session.ts";

export interface EngineOptions {
  readonly precision: Precision;
  /** Threads of one pass. Default: the machine's cores, at most 8. */
  readonly threads?: number;
  /** Called as layers are prepared and while the engine compiles: for progress bars. */
  readonly onProgress?: (stage: "quantize" | "compile", what: string, done: number, total: number) => void;
  readonly signal?: AbortSignal;
  /**
   * Sequences whose passes may run together, where they are asked for in the same round of the event loop. With more than one, the
   * weights are in memory twice. Default: 1.
   */
  readonly slots?: number;
  /** See `ProductOptions`. */
  readonly wholeWeights?: number;
}

export interface Engine extends AsyncDisposable {
  readonly config: ModelConfig;
  readonly precision: Precision;
  /** Passes of all sequences: those that were begun so far, and those under way. */
  activity(): { readonly begun: number; readonly running: number };
  /** A new, empty sequence. Sessions share the weights; each owns its KV cache. */
  session(): Session;
  /** Free the weights. Sessions of this engine throw `disposed` from then on. */
  dispose(): Promise<void>;
}

/** Threads of one pass where none are asked for. */
export function defaultThreads(): number {
  return Math.min(availableParallelism(), 8);
}

/**
 * Reads the weights, layer by layer, builds the decode graph in `precision` and compiles it. The weights can be closed
 * afterwards. Throws `bad-weights` where the tensors do not fit the configuration, `engine`, `aborted`.
 */
export async function createEngine(
  config: ModelConfig,
  weights: Weights,
  { precision, threads = defaultThreads(), onProgress, signal, slots = 1, wholeWeights = WHOLE_WEIGHTS }: EngineOptions,
): Promise<Engine> {
  const saturates = precision === "int8" && (await bytesSaturate());
  const compiled = async (count: number): Promise<Program> => {
    const graph = new Graph();
    const products = productsFor(precision, graph, { tiedHead: config.tiedHead, saturates, wholeWeights });
    const encoded = await decodeGraph(config, layeredWeights(config, weights), products, {
      slots: count,
      onLayer(done) {
        if (signal?.aborted) throw new CllmError("aborted", "loading the model was aborted", { cause: signal.reason });
        onProgress?.("quantize", `layer ${done}`, done, config.layers);
      },
    });
    onProgress?.("compile", "graph", 0, 1);
    const program = await compile(encoded, { threads });
    onProgress?.("compile", "graph", 1, 1);
    return program;
  };
  const programs = [await compiled(1)];
  let runner = single(programs[0]!);
  if (slots > 1) {
    const several = await compiled(slots).catch(async (error: unknown) => {
      await programs[0]!.release();
      throw error;
    });
    programs.push(several);
    runner = together(several, config, slots, runner);
  }

  let begun = 0;
  let running = 0;
  const counted: PassRunner = {
    async run(pass, logits) {
      begun++;
      running++;
      try {
        return await runner.run(pass, logits);
      } finally {
        running--;
      }
    },
  };
  let disposed = false;
  const dispose = async (): Promise<void> => {
    if (disposed) return;
    disposed = true;
    for (const program of programs) await program.release();
  };
  return {
    config,
    precision,
    activity: () => ({ begun, running }),
    session() {
      if (disposed) throw new CllmError("disposed", "this model was disposed: load it again");
      return openSession(counted, config);
    },
    dispose,
    [Symbol.asyncDispose]: dispose,
  };
}
