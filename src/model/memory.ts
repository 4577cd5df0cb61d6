/**
 * What a model takes in memory, from its configuration alone: the same bookkeeping as `products.ts` and the KV cache, in
 * bytes. An estimate, within a few per cent; the engine's own buffers come on top. Knows no tensors.
 */
import type { ModelConfig } from "./config.ts";
import type { Precision } from "./precision.ts";

/** Bytes of a number in each kind of product, scales apart or, in blocks of 32, included. */
interface Layout {
  readonly qkv: number;
  readonly other: number;
  /** Bytes of the scale of each output channel. */
  readonly scale: number;
  /** The table that ids become vectors by, and the head's matrix. */
  readonly table: number;
  readonly head: number;
}

const LAYOUTS: Readonly<Record<Precision, Layout>> = {
  fp32: { qkv: 4, other: 4, scale: 0, table: 4, head: 4 },
  int8: { qkv: 2, other: 1, scale: 4, table: 2, head: 1 },
  int4: { qkv: 0.5 + 4 / 32, other: 0.5 + 4 / 32, scale: 0, table: 2, head: 1 + 4 / 32 },
};

/** Bytes of the compiled weights. */
export function weightBytes(config: ModelConfig, precision: Precision): number {
  const { layers, hiddenSize, intermediateSize, vocabSize, contextLength, heads, kvHeads, headSize } = config;
  const layout = LAYOUTS[precision];
  const qkvRows = (heads + 2 * kvHeads) * headSize;
  const qkvPlanes = Math.max(1, layout.qkv / layout.other);
  const otherNumbers = hiddenSize * (heads * headSize + 3 * intermediateSize);
  const scales = layout.scale * (qkvPlanes * qkvRows + 2 * hiddenSize + 2 * intermediateSize);
  const layer = qkvRows * hiddenSize * layout.qkv + otherNumbers * layout.other + scales + 4 * 2 * hiddenSize;
  // Where the precision is low, the head's best candidates are ranked by the vectors of a table, which tied heads share.
  const tables = precision === "fp32" || config.tiedHead ? 1 : 2;
  const vocabulary = vocabSize * (hiddenSize * (tables * layout.table + layout.head) + layout.scale);
  const rope = 4 * contextLength * headSize;
  return Math.round(layers * layer + vocabulary + rope);
}

/** Bytes of the KV cache for so many tokens: keys and values in float32. */
export function cacheBytes({ layers, kvHeads, headSize }: ModelConfig, tokens: number): number {
  return 2 * layers * kvHeads * headSize * 4 * tokens;
}
