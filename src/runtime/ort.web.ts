/**
 * The one file that knows `onnxruntime-web`: compile an encoded graph, run it, release it, in WebAssembly or by WebGPU, which is
 * another build of the engine that is loaded where it is asked for. The twin of `ort.ts`.
 */
import * as ort from "onnxruntime-web/wasm";
import { CllmError } from "../error.ts";
import type { EncodedModel } from "../graph/graph.ts";
import type { CompileOptions, Feeds, ModelFile, Program } from "./ort.ts";

export type { CompileOptions, Feeds, ModelFile, Program } from "./ort.ts";
export type Tensor = ort.Tensor;

let spentMs = 0;

/** Milliseconds that this page has spent in runs of the engine so far. */
export function engineTime(): number {
  return spentMs;
}

export const ENGINE_VERSION: string = ort.env.versions.web ?? ort.env.versions.common;

/**
 * Where the engine's files are: the address of a folder with `ort-wasm-simd-threaded.wasm` and `ort-wasm-simd-threaded.mjs` of
 * this version of onnxruntime-web. To be called before the first model is loaded. Default: beside the engine's own script.
 */
export function engineFilesAt(address: string): void {
  ort.env.wasm.wasmPaths = `${new URL(address, self.location.href).href.replace(/\/+$/, "")}/`;
}

/** The engine with WebGPU: some 27 MB of its own, with which the processor's graphs run as before. */
async function gpuEngine(): Promise<Pick<typeof ort, "InferenceSession">> {
  const { gpu } = navigator as { readonly gpu?: { requestAdapter(): Promise<object | null> } };
  const adapter = (await gpu?.requestAdapter().catch(() => null)) ?? null;
  if (adapter === null) throw new CllmError("engine", "no supported adapters in this page"); // before 27 MB are loaded
  const engine = await import("onnxruntime-web/webgpu");
  const { wasmPaths } = ort.env.wasm;
  if (wasmPaths !== undefined) engine.env.wasm.wasmPaths = wasmPaths;
  engine.env.wasm.numThreads = 1;
  return engine as unknown as typeof ort;
}

/** A function that makes a vector: browsers without SIMD refuse it. */
const VECTOR = Uint8Array.of(
  0,
  97,
  115,
  109,
  1,
  0,
  0,
  0,
  1,
  5,
  1,
  96,
  0,
  1,
  123,
  3,
  2,
  1,
  0,
  10,
  8,
  1,
  6,
  0,
  65,
  0,
  253,
  15,
  11,
);
/** WebAssembly has 4 GB, and what is not weights needs some. */
const MOST_BYTES = 3.5e9;

/** Throws `unsupported` for what the engine would only trip over. */
function checkRoom(model: EncodedModel): void {
  if (!WebAssembly.validate(VECTOR)) {
    const next = "take Chrome 91, Firefox 89, Safari 16.4 or a later one";
    throw new CllmError("unsupported", `this browser has no SIMD in WebAssembly, which the engine needs: ${next}`);
  }
  const bytes = model.externalData.reduce((sum, { data }) => sum + data.byteLength, model.bytes.byteLength);
  if (bytes <= MOST_BYTES) return;
  const limit = `a page has room for ${MOST_BYTES / 1e9} GB`;
  const next = "take a smaller model, or precision int8 or int4";
  throw new CllmError("unsupported", `the model needs ${(bytes / 1e9).toFixed(1)} GB, and ${limit}: ${next}`);
}

/** The engine runs one thing at a time. */
let last: Promise<unknown> = Promise.resolve();

function inTurn<T>(work: () => Promise<T>): Promise<T> {
  const result = last.then(work);
  last = result.catch(() => {});
  return result;
}

/** Compile `model`. Throws `engine` with ONNX Runtime's own message. */
export async function compile(
  model: EncodedModel | ModelFile,
  { threads, provider = "cpu", entries = {}, outputsOnDevice = false }: CompileOptions,
): Promise<Program> {
  if ("path" in model) throw new CllmError("engine", `${model.path} is a file, and browsers keep models in memory`);
  checkRoom(model);
  ort.env.wasm.numThreads = threads; // the first model's number is that of all: the engine starts once
  const session = await inTurn(async () => {
    const { InferenceSession } = provider === "webgpu" ? await gpuEngine() : ort;
    return await InferenceSession.create(model.bytes, {
      executionProviders: [provider === "webgpu" ? "webgpu" : "wasm"],
      enableMemPattern: false,
      logSeverityLevel: provider === "webgpu" ? 4 : 3, // what a device lacks is an error here, and no line on the console
      externalData: [...model.externalData],
      ...(outputsOnDevice && { preferredOutputLocation: "gpu-buffer" as const }),
      extra: { session: entries },
    });
  }).catch((cause: unknown) => {
    throw noEngine(cause) ?? engineError("compiling the model failed", cause);
  });
  let released = false;
  return {
    inputs: session.inputNames,
    outputs: session.outputNames,
    run: (feeds, outputs, into) =>
      inTurn(async () => {
        if (released) throw new CllmError("disposed", "this model was disposed: load it again");
        const start = performance.now();
        try {
          const wanted = Object.fromEntries(outputs.map((name) => [name, null]));
          const fetches = { ...wanted, ...into } as ort.InferenceSession.FetchesType;
          const results = await session.run(feeds as ort.InferenceSession.FeedsType, fetches);
          return Object.fromEntries(outputs.map((name) => [name, results[name]])) as Awaited<
            ReturnType<Program["run"]>
          >;
        } catch (cause) {
          throw engineError("running the model failed", cause);
        } finally {
          spentMs += performance.now() - start;
        }
      }),
    release: () =>
      inTurn(async () => {
        released = true;
        await session.release();
      }),
  };
}

function engineError(what: string, cause: unknown): CllmError {
  const reason = cause instanceof Error ? cause.message : String(cause);
  return new CllmError("engine", `${what}: ${reason}`, { cause });
}

/** Where the engine's own files are missing or are something else; null for any other failure. */
function noEngine(cause: unknown): CllmError | null {
  const { message } = cause instanceof Error ? cause : { message: String(cause) };
  if (!/no available backend/i.test(message) || !/WebAssembly|fetch|import/i.test(message)) return null;
  const { wasmPaths } = ort.env.wasm;
  const where = typeof wasmPaths === "string" ? wasmPaths : "the address of the page's script";
  const next = `serve the ort-wasm-simd-threaded files of onnxruntime-web ${ENGINE_VERSION} there, or name their folder with engineFiles`;
  return new CllmError("engine", `the engine could not be loaded from ${where}: ${next}`, { cause });
}

const tensor = (type: ort.Tensor.Type, data: ort.Tensor.DataType, dimensions: readonly number[]): Feeds[string] =>
  new ort.Tensor(type, data, dimensions) as Feeds[string];

export const float32Tensor = (data: Float32Array, dimensions: readonly number[]): Feeds[string] =>
  tensor("float32", data, dimensions);

/** Half floats by their bits. */
export const float16Tensor = (data: Uint16Array, dimensions: readonly number[]): Feeds[string] =>
  tensor("float16", data, dimensions);

export const int32Tensor = (data: Int32Array, dimensions: readonly number[]): Feeds[string] =>
  tensor("int32", data, dimensions);

/** A bool scalar. */
export const boolTensor = (value: boolean): Feeds[string] => tensor("bool", Uint8Array.of(Number(value)), []);

/** int64, which the binding takes as bigints. */
export const int64Tensor = (values: ArrayLike<number> | BigInt64Array, dimensions: readonly number[]): Feeds[string] =>
  tensor("int64", values instanceof BigInt64Array ? values : BigInt64Array.from(values, BigInt), dimensions);

export const float32Data = (values: Feeds[string]): Float32Array => values.data as Float32Array;

export const int64Data = (values: Feeds[string]): Int32Array => Int32Array.from(values.data as BigInt64Array, Number);
