/**
 * The arithmetic of a model's matrix products. Around them, norms, rotation, attention and the KV cache are float32 on a
 * processor, and on a device with half floats those in all but `fp32`.
 */
export type Precision = "fp32" | "f16" | "int8" | "int4" | "stored";
/** Those that a processor multiplies by. */
export type HostPrecision = Exclude<Precision, "f16">;
/** Those that a GPU multiplies by. */
export type ResidentPrecision = Exclude<Precision, "stored">;
/** Those of every device. */
export const PRECISIONS: readonly Exclude<Precision, "f16" | "stored">[] = ["fp32", "int8", "int4"];
/** All there are: half floats on GPUs only, the blocks that a file stores on processors only. */
export const ALL_PRECISIONS: readonly Precision[] = ["fp32", "f16", "int8", "int4", "stored"];
