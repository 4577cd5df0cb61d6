/**
 * The words that transformers.js has for what is called precision here, and for where a model runs: `dtype` and `device`.
 * What it has and this version lacks is refused by its name, with what to take instead.
 */
import * as z from "zod";
import { CllmError } from "../error.ts";
import type { Precision } from "../model/precision.ts";
import { check } from "./check.ts";

export type Dtype = "fp32" | "fp16" | "f16" | "q8" | "int8" | "q4" | "int4";
/** `gpu` means `webgpu`. */
export type Device = "cpu" | "webgpu" | "gpu" | "auto";

const MEANT: Readonly<Record<Dtype, Precision>> = {
  ...{ fp32: "fp32", fp16: "f16", f16: "f16" },
  ...{ q8: "int8", int8: "int8", q4: "int4", int4: "int4" },
};

const otherHalves = "these half floats are not built; give fp16 on a GPU, or int8";
const noOther = "GPUs are reached by WebGPU here; give webgpu";

export const dtypeSchema: z.ZodType<Dtype> = z.enum(Object.keys(MEANT) as [Dtype, ...Dtype[]]).meta({
  description: "another name of precision, with transformers.js' values: q8 is int8, q4 is int4, fp16 is f16",
  refused: Object.fromEntries(["bf16", "float16", "q4f16"].map((name) => [name, otherHalves])),
});

export const deviceSchema: z.ZodType<Device> = z.enum(["cpu", "webgpu", "gpu", "auto"]).meta({
  description: "where the model runs; gpu means webgpu, auto takes the GPU if it is exact and faster",
  refused: {
    ...Object.fromEntries(["cuda", "dml", "coreml", "webnn"].map((name) => [name, noOther])),
    wasm: "ONNX Runtime runs as native code here; give cpu, which is the default",
  },
});

/** Throws `usage` for a precision that the device lacks, as far as that is known before it is opened. */
export function requirePrecision({
  precision,
  device,
}: {
  readonly precision: Precision;
  readonly device: Device;
}): void {
  if (precision !== "f16" || device !== "cpu") return;
  throw new CllmError("usage", "precision f16 is not built for cpu; give int8 or fp32, or device webgpu for a GPU");
}

/**
 * The same options with `dtype` as `precision`, whose other name it is. Throws `usage` for a value that is none, and where
 * both are given and differ.
 *
 * @example
 * unitePrecision({ dtype: "q8", threads: 2 }); // { precision: "int8", threads: 2 }
 */
export function unitePrecision<O extends { readonly dtype?: unknown; readonly precision?: unknown }>(
  options: O,
  nameOf: (key: string) => string = (key) => key,
): Omit<O, "dtype"> {
  const { dtype, ...rest } = options;
  if (dtype === undefined) return rest;
  const { dtype: named } = check(z.strictObject({ dtype: dtypeSchema }), { dtype }, { what: "load", nameOf });
  const precision: Precision = MEANT[named];
  if (rest.precision !== undefined && rest.precision !== precision) {
    const both = `${nameOf("precision")} is ${String(rest.precision)} and ${nameOf("dtype")} is ${named}`;
    throw new CllmError("usage", `${both}: two names of the same, with different values; give one of them`);
  }
  return { ...rest, precision };
}
