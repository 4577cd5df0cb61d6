/**
 * The one file that knows `onnxruntime-node`: compile an encoded graph, run it, release it. Everything the binding does
 * differently from what the project wants (bigint ids, blocking runs, copied outputs) is dealt with here or named here.
 */
import * as ort from "onnxruntime-node";
import { CllmError } from "../error.ts";
import type { EncodedModel } from "../graph/graph.ts";

/** What a run is fed and gives: the part of the engine's tensor that is used here, so that the engine's own types stay in this file. */
export interface Tensor {
  readonly type: string;
  readonly dims: readonly number[];
  readonly size: number;
  readonly location: string;
  readonly data: ArrayBufferView | readonly string[];
  dispose(): void;
}
export type Feeds = Record<string, Tensor>;

/** A compiled graph. */
export interface Program {
  /** Names of what a run is fed. */
  readonly inputs: readonly string[];
  /** Names of what a run can fetch. */
  readonly outputs: readonly string[];
  /**
   * Run once, fetching only `outputs`; those of `into` are written into these tensors of a device, and not fetched. Blocks this thread
   * while it computes. Throws `engine`, `disposed`.
   */
  run(feeds: Feeds, outputs: readonly string[], into?: Feeds): Promise<Record<string, Tensor>>;
  release(): Promise<void>;
}

ort.env.logLevel = "fatal"; // what goes wrong is an error here, and no line on the terminal

let spentMs = 0;

/** Milliseconds that this process has spent in runs of the engine so far: for benchmarks of what is around them. */
export function engineTime(): number {
  return spentMs;
}

export interface CompileOptions {
  /** Threads of one pass. */
  readonly threads: number;
  /** What runs the graph. Default: the processor. */
  readonly provider?: "cpu" | "webgpu";
  /** Entries of the session's configuration, beside ours. */
  readonly entries?: Readonly<Record<string, string>>;
  /** Outputs stay in the device's memory: they can be fed and disposed, and never read. */
  readonly outputsOnDevice?: boolean;
}

/** The engine's version, on which the form of optimized files depends. */
export const ENGINE_VERSION: string = ort.env.versions.node ?? ort.env.versions.common;

/** A model in a file, whose big constants lie in files beside it and are mapped into memory. */
export interface ModelFile {
  readonly path: string;
}

/**
 * Loads the model at `from` and saves it to `to`, and all big constants to `constants` beside it: as they are, and in the order
 * in which this processor's products want them. The latter hold for this engine and this kind of processor only.
 */
export async function savePrepacked(from: string, to: string, constants: string): Promise<void> {
  try {
    const session = await ort.InferenceSession.create(from, {
      ...sessionOptions(1),
      graphOptimizationLevel: "disabled",
      optimizedModelFilePath: to,
      extra: {
        session: {
          optimized_model_external_initializers_file_name: constants,
          optimized_model_external_initializers_min_size_in_bytes: "1024",
          save_external_prepacked_constant_initializers: "1",
        },
      },
    });
    await session.release();
  } catch (cause) {
    throw engineError("preparing the model failed", cause);
  }
}

function sessionOptions(threads: number): ort.InferenceSession.SessionOptions {
  return {
    intraOpNumThreads: threads,
    interOpNumThreads: 1,
    // A plan of the memory for each combination of input shapes pays where shapes come twice, and here hardly any does:
    // passes of 16 tokens are 4 % faster without, and training takes a quarter less memory.
    enableMemPattern: false,
    logSeverityLevel: 3,
  };
}

/** Compile `model`. Throws `engine` with ONNX Runtime's own message. */
export async function compile(
  model: EncodedModel | ModelFile,
  { threads, provider = "cpu", entries = {}, outputsOnDevice = false }: CompileOptions,
): Promise<Program> {
  let session: ort.InferenceSession;
  const options: ort.InferenceSession.SessionOptions = {
    ...sessionOptions(threads),
    executionProviders: [provider],
    ...(provider !== "cpu" && { logSeverityLevel: 4 as const }), // what a device lacks is an error here, and no line on the terminal
    ...(outputsOnDevice && { preferredOutputLocation: "gpu-buffer" }),
    // Idle threads of one model must not take the cores from whatever else the process runs between passes.
    extra: { session: { force_spinning_stop: "1", ...entries } },
  };
  try {
    session =
      "path" in model
        ? await ort.InferenceSession.create(model.path, options)
        : await ort.InferenceSession.create(model.bytes, { ...options, externalData: [...model.externalData] });
  } catch (cause) {
    throw engineError("compiling the model failed", cause);
  }
  let released = false;
  return {
    inputs: session.inputNames,
    outputs: session.outputNames,
    async run(fed, outputs, into) {
      const feeds = fed as Record<string, ort.Tensor>;
      const start = performance.now();
      try {
        if (into === undefined) return await session.run(feeds, outputs);
        const wanted = Object.fromEntries(outputs.map((name) => [name, null]));
        const results = await session.run(feeds, { ...wanted, ...(into as Record<string, ort.Tensor>) });
        for (const [name, given] of Object.entries(into)) {
          if (results[name] !== given) results[name]?.dispose(); // another handle of the same memory
        }
        return Object.fromEntries(outputs.map((name) => [name, results[name] as Tensor]));
      } catch (cause) {
        if (released) throw new CllmError("disposed", "this model was disposed: load it again", { cause });
        throw engineError("running the model failed", cause);
      } finally {
        spentMs += performance.now() - start;
      }
    },
    release() {
      released = true;
      return session.release();
    },
  };
}

function engineError(what: string, cause: unknown): CllmError {
  const reason = cause instanceof Error ? cause.message : String(cause);
  return new CllmError("engine", `${what}: ${reason}`, { cause });
}

export function float32Tensor(data: Float32Array, dimensions: readonly number[]): Tensor {
  return new ort.Tensor("float32", data, dimensions);
}

/** The same numbers of a device under another shape: a handle of its own to the same memory. */
export function reshaped(tensor: Tensor, dimensions: readonly number[]): Tensor {
  const { gpuBuffer } = tensor as ort.Tensor;
  return ort.Tensor.fromGpuBuffer(gpuBuffer, { dataType: "float32", dims: dimensions });
}

/** Half floats by their words. */
export function float16Tensor(data: Uint16Array, dimensions: readonly number[]): Tensor {
  return new ort.Tensor("float16", data, dimensions);
}

export function int32Tensor(data: Int32Array, dimensions: readonly number[]): Tensor {
  return new ort.Tensor("int32", data, dimensions);
}

/** A bool scalar. */
export function boolTensor(value: boolean): Tensor {
  return new ort.Tensor("bool", Uint8Array.of(Number(value)), []);
}

/** int64, which the binding takes as bigints. */
export function int64Tensor(values: ArrayLike<number> | BigInt64Array, dimensions: readonly number[]): Tensor {
  const data = values instanceof BigInt64Array ? values : BigInt64Array.from(values, BigInt);
  return new ort.Tensor("int64", data, dimensions);
}

export function float32Data(tensor: Tensor): Float32Array {
  return tensor.data as Float32Array;
}

export function int64Data(tensor: Tensor): Int32Array {
  return Int32Array.from(tensor.data as BigInt64Array, Number);
}
