/**
 * A GPU by WebGPU, as ONNX Runtime has it: graphs of the resident form, the cache in the GPU's memory, everything on the device.
 *
 * Every pass has the same number of rows, those of `ar` too: the same shapes run the same kernels, and these compute a row from
 * its own row and the places that it sees. That is why rows keep their bits; `probe.ts` tries it on each model. From 32 rows on
 * attention takes kernels that were found wrong on some drivers.
 */
import { CllmError } from "../../error.ts";
import { Graph } from "../../graph/graph.ts";
import type { ProductPlan } from "../../model/product-plan.ts";
import { HOST } from "../host.ts";
import { type CompileOptions, compile, float32Tensor, type Program } from "../ort.ts";
import { type Programs, resident } from "../pass-runner.ts";
import { openResidentCaches } from "../resident-cache.ts";
import { openResidentMemory } from "../resident-memory.ts";
import type { Device } from "./device.ts";

/** Rows of every pass. */
export const WIDTH = 16;
const WIDEST = 31;
/** A node that the GPU cannot run is an error, and not run on the processor. */
const ON_GPU: CompileOptions = { threads: 1, provider: "webgpu", entries: { disable_cpu_ep_fallback: "1" } };

/** Opens the GPU. Throws `unsupported` where there is none that can be used. */
export async function openWebgpu({ width = WIDTH }: { readonly width?: number } = {}): Promise<Device> {
  if (!Number.isInteger(width) || width < 2 || width > WIDEST)
    throw new CllmError("bad-input", `passes of ${width} rows: a GPU's have 2 to ${WIDEST}`);
  await tryProgram("float32");
  let halves: Promise<boolean> | null = null;
  const hasHalves = (): Promise<boolean> => {
    halves ??= tryProgram("float16").then(
      () => true,
      () => false,
    );
    return halves;
  };
  return {
    name: "webgpu",
    shares: false,
    rows: { most: width, head: width, padded: () => width },
    async plan(precision): Promise<ProductPlan> {
      if (precision === "stored") {
        const next = "take int8 or int4, or device cpu";
        throw new CllmError("unsupported", `precision stored is not built for GPUs: ${next}`);
      }
      const half = precision !== "fp32" && (await hasHalves());
      if (precision === "f16" && !half) {
        const next = "take int8, which runs in float32 here, or device cpu";
        throw new CllmError("unsupported", `this GPU, or its driver, has no half floats for precision f16: ${next}`);
      }
      return { form: "resident", precision, half };
    },
    compile: (model) => explained(compile(model, ON_GPU)).then(watched),
    caches: (shape, plan) =>
      openResidentCaches(shape, {
        dtype: plan.form === "resident" && plan.half ? "float16" : "float32",
        beyond: width, // rows that only pad a pass may stand behind the context's end
        compile: (model) => compile(model, { ...ON_GPU, outputsOnDevice: true }).then(watched),
      }),
    memory: () =>
      openResidentMemory({
        compile: (model, { outputsOnDevice }) =>
          explained(compile(model, { ...ON_GPU, outputsOnDevice })).then(watched),
      }),
    // One width of passes for all, so all go through the graph with the draft adapter where there is one.
    runner: ([programs], { plan }) => resident((programs as Programs).plain, plan.form === "resident" && plan.half),
  };
}

/** A graph of one addition, to see whether there is a device, and whether it has this type. */
async function tryProgram(dtype: "float32" | "float16"): Promise<void> {
  const graph = new Graph();
  const x = graph.input("x", "float32", [2]);
  const to = dtype === "float32" ? 1 : 10;
  const typed = graph.op("Cast", [x], { to });
  const y = graph.op("Cast", [graph.op("Add", [typed, typed])], { to: 1 });
  graph.output(y, "y", "float32", [2]);
  const program = await explained(compile(graph.encode(), ON_GPU));
  try {
    await program.run({ x: float32Tensor(Float32Array.of(1, 2), [2]) }, ["y"]);
  } finally {
    await program.release();
  }
}

/** What went wrong with a GPU, in words that say what to do. Other errors stay as they are. */
export function gpuError(error: unknown): unknown {
  if (!(error instanceof CllmError) || error.code !== "engine") return error;
  const { message } = error;
  const as = (code: "unsupported" | "engine", text: string): CllmError => new CllmError(code, text, { cause: error });
  if (/no supported adapters|failed to get a webgpu adapter/i.test(message)) {
    return as(
      "unsupported",
      "no GPU that WebGPU can use was found: install the GPU's driver (on Linux, of Vulkan), or take device cpu",
    );
  }
  if (
    /webgpu.*(not (supported|available|built|enabled|found)|unsupported)|unsupported.*webgpu|backend not found/i.test(
      message,
    )
  ) {
    return as("unsupported", `ONNX Runtime has no WebGPU on ${HOST}: take device cpu`);
  }
  if (/assigned to the default CPU EP/i.test(message)) {
    return as("unsupported", "this model has an operator that ONNX Runtime does not have on a GPU: take device cpu");
  }
  if (
    /out of memory|outofmemory|out_of_(device_)?memory|allocat|exceeds the max|\[invalid buffer|too many storage buffers/i.test(
      message,
    )
  ) {
    return as(
      "engine",
      `the GPU has too little memory: take int4, a smaller model or a shorter context, or device cpu (${message})`,
    );
  }
  if (/device.{0,20}lost|lost device|device is lost|removed/i.test(message)) {
    return as(
      "engine",
      "the GPU was lost in the middle of a pass, as by a reset of its driver: start anew, or take device cpu",
    );
  }
  return error;
}

const explained = async <T>(promise: Promise<T>): Promise<T> => {
  try {
    return await promise;
  } catch (error) {
    throw gpuError(error);
  }
};

/** The same program with errors in a GPU's words. */
const watched = (program: Program): Program => ({
  ...program,
  run: (...args) => explained(program.run(...args)),
});
