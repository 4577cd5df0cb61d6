/** The arithmetic of a model's matrix products. Norms, rotation, attention and the KV cache are float32 in all of them. */
export type Precision = "fp32" | "int8" | "int4";
export const PRECISIONS: readonly Precision[] = ["fp32", "int8", "int4"];
