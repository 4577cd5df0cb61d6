/**
 * What a model takes in memory, from its configuration alone: the same bookkeeping as `products.ts` and the KV cache, in
 * bytes. An estimate for processors, within a few per cent; the engine's own buffers come on top. Knows no tensors.
 */
import type { ModelConfig } from "./config.ts";
import type { Precision } from "./precision.ts";
import { WHOLE_WEIGHTS } from "./products.ts";
import { segmentOf } from "./rotation.ts";

/** Bytes of a number in each kind of product, the scales of blocks included. */
interface Layout {
  readonly qkv: number;
  /** Gate and up. */
  readonly gated: number;
  /** What writes to the residual stream: the output projection and down. */
  readonly writing: number;
  readonly head: number;
  /** Of the table that ids become vectors by. */
  readonly table: number;
  /** Scales of output channels, in bytes for each channel of qkv, gate, up and head. */
  readonly channel: number;
}

const BLOCK_SCALE = 4 / 32;
const LAYOUTS: Readonly<Record<Precision, Layout>> = {
  fp32: { qkv: 4, gated: 4, writing: 4, head: 4, table: 4, channel: 0 },
  f16: { qkv: 2, gated: 2, writing: 2, head: 2, table: 2, channel: 0 },
  int8: { qkv: 2, gated: 1, writing: 1 + BLOCK_SCALE, head: 1, table: 2, channel: 4 },
  int4: {
    qkv: 0.5 + BLOCK_SCALE,
    gated: 0.5 + BLOCK_SCALE,
    writing: 0.5 + BLOCK_SCALE,
    head: 1 + BLOCK_SCALE,
    table: 2,
    channel: 0,
  },
  // 8 bits in blocks of 16 in the layers; a file of Q4_0 takes half of it.
  stored: {
    qkv: 1 + 2 * BLOCK_SCALE,
    gated: 1 + 2 * BLOCK_SCALE,
    writing: 1 + 2 * BLOCK_SCALE,
    head: 1 + BLOCK_SCALE,
    table: 2,
    channel: 0,
  },
};

/** Bytes of the compiled weights. */
export function weightBytes(config: ModelConfig, precision: Precision): number {
  const { layers, hiddenSize, intermediateSize, vocabSize, contextLength, heads, kvHeads, headSize } = config;
  const { qkv: quantized, gated, writing, head, table, channel } = LAYOUTS[precision];
  const qkvRows = (heads + 2 * kvHeads) * headSize;
  const qkv = (precision === "int8" || precision === "stored") && qkvRows * hiddenSize <= WHOLE_WEIGHTS ? 4 : quantized;
  const qkvScales = qkv === 2 ? 2 * qkvRows : 0; // each of two planes has its own
  const layer =
    qkvRows * hiddenSize * qkv +
    2 * intermediateSize * hiddenSize * gated +
    (heads * headSize + intermediateSize) * hiddenSize * writing +
    (qkvScales + 2 * intermediateSize) * channel +
    2 * hiddenSize * 4; // norms
  // Where the precision is low, the head's best candidates are ranked by the vectors of a table, which tied heads share.
  const tables = precision === "fp32" || precision === "f16" || config.tiedHead ? 1 : 2;
  const vocabulary = vocabSize * (hiddenSize * (tables * table + head) + channel);
  const rope = 4 * contextLength * headSize;
  const rotation = precision === "int8" ? 4 * segmentOf(hiddenSize) ** 2 : 0;
  return Math.round(layers * layer + vocabulary + rope + rotation);
}

/** Bytes of the KV cache for so many tokens: keys and values in float32. */
export function cacheBytes({ layers, kvHeads, headSize }: ModelConfig, tokens: number): number {
  return 2 * layers * kvHeads * headSize * 4 * tokens;
}
