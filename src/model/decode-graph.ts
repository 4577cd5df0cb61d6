/**
 * The model as a graph for decoding: token ids and cached keys and values in, next tokens, logits and new keys and values
 * out. The layers are those of `transformer.ts`. Knows precisions only through `Products`, and no runtime.
 *
 * Inputs, for S tokens after P cached ones, total = P + S, and a cache of C slots:
 *   ids (1, S), positions (1, S)  int64 · bias (1, 1, S, total) float32, added to the attention scores
 *   last_slot (1) = total - 1, total (1)  int32 · new_from (1) = P, new_to (1) = total  int64
 *   head_from (1) int64: the first of the H rows that go on to the vocabulary
 *   past_{2l}, past_{2l+1} (1, kvHeads, C, headSize)  float32: keys and values of layer l
 * Outputs:
 *   next (1, H) int64 · logits (1, H, V) and, in low precisions, logit_scale (1, H, 1) to multiply them by
 *   rows (2 * layers, kvHeads, S, headSize) float32: what to append to the cache
 */
import { CllmError } from "../error.ts";
import type { EncodedModel, Value } from "../graph/graph.ts";
import type { ModelConfig } from "./config.ts";
import { constantParts } from "./constant-parts.ts";
import type { LayeredWeights, LayerWeights } from "./layered-weights.ts";
import type { Products } from "./products.ts";
import { ropeTables } from "./rope.ts";
import { headNorm, transformer } from "./transformer.ts";

export interface DecodeGraphOptions {
  /** Called before each layer is built, with layers done so far. */
  readonly onLayer?: (done: number) => void;
}

/** Attention takes heads of a multiple of this many channels. */
const HEAD_STEP = 16;
/** Beyond it, the engine splits sums by the number of cached tokens, and rows would not keep their bits. */
const LARGEST_HEAD = 128;

/** Build the graph, reading one layer's weights at a time. Throws `unsupported` for heads of odd sizes. */
export async function decodeGraph(
  config: ModelConfig,
  weights: LayeredWeights,
  products: Products,
  { onLayer }: DecodeGraphOptions = {},
): Promise<EncodedModel> {
  const { layers, heads, kvHeads, headSize, vocabSize, contextLength } = config;
  if (headSize % HEAD_STEP !== 0 || headSize > LARGEST_HEAD) {
    const limit = `multiples of ${HEAD_STEP} up to ${LARGEST_HEAD} can`;
    throw new CllmError("unsupported", `heads of ${headSize} channels cannot be run, ${limit}: use another model`);
  }
  const graph = products.graph;
  const ids = graph.input("ids", "int64", [1, "S"]);
  const positions = graph.input("positions", "int64", [1, "S"]);
  const bias = graph.input("bias", "float32", [1, 1, "S", "total"]);
  const lastSlot = graph.input("last_slot", "int32", [1]);
  const total = graph.input("total", "int32", [1]);
  const newFrom = graph.input("new_from", "int64", [1]);
  const newTo = graph.input("new_to", "int64", [1]);
  const headFrom = graph.input("head_from", "int64", [1]);
  const places = contextLength + 1; // one more for a row that only pads a pass
  const rope = ropeTables(config, places);
  const cos = graph.constant(rope.cos, [places, headSize / 2]);
  const sin = graph.constant(rope.sin, [places, headSize / 2]);
  const window = config.slidingWindow !== null && config.slidingWindow < contextLength ? config.slidingWindow : -1;
  const newRows: Value[] = [];

  /** Attention over cache and pass; x is normalized, `(1, S, D)`. */
  const attention = (x: Value, layer: LayerWeights, index: number): Value => {
    const qkv = products.apply(x, layer.qkv, "qkv");
    const past = [0, 1].map((i) => graph.input(`past_${2 * index + i}`, "float32", [1, kvHeads, "C", headSize])) as [
      Value,
      Value,
    ];
    let inputs: (Value | null)[] = [qkv, null, null]; // (1, S, (heads + 2 * kvHeads) * headSize)
    if (layer.queryNorm !== null && layer.keyNorm !== null) {
      const sizes = graph.integers(heads * headSize, kvHeads * headSize, kvHeads * headSize);
      const [q, k, v] = graph.ops("Split", [qkv, sizes], 3, { axis: -1 }) as [Value, Value, Value];
      const queryNorm = graph.constant(layer.queryNorm, [headSize]);
      const keyNorm = graph.constant(layer.keyNorm, [headSize]);
      inputs = [headNorm(graph, config, q, queryNorm, heads), headNorm(graph, config, k, keyNorm, kvHeads), v];
    }
    const [out, keys, values] = graph.ops(
      "GroupQueryAttention",
      [...inputs, ...past, lastSlot, total, cos, sin, positions, bias],
      3,
      { num_heads: heads, kv_num_heads: kvHeads, do_rotary: 1, local_window_size: window },
    ) as [Value, Value, Value];
    for (const cache of [keys, values]) {
      newRows.push(graph.op("Slice", [cache, newFrom, newTo, graph.integers(2)])); // (1, kvHeads, S, headSize)
    }
    return products.apply(out, layer.output, "output");
  };

  const parts = constantParts(config, weights, products, attention, onLayer);
  let x = await transformer(config, parts, products.embed(ids, await weights.embedding())); // (1, S, D)
  onLayer?.(layers);
  x = graph.op("Slice", [x, headFrom, graph.integers(2 ** 31), graph.integers(1)]); // (1, H, D)
  const { logits, scale, next } = products.head(x, await weights.head());
  graph.output(next, "next", "int64", [1, "H"]);
  graph.output(logits, "logits", "float32", [1, "H", vocabSize]);
  if (scale !== null) graph.output(scale, "logit_scale", "float32", [1, "H", 1]);
  graph.output(graph.op("Concat", newRows, { axis: 0 }), "rows", "float32", [2 * layers, kvHeads, "S", headSize]);
  return graph.encode();
}
