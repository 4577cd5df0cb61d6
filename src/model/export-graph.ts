/**
 * The model as a graph that other programs run: the inputs and outputs that Optimum, transformers.js and most examples for
 * ONNX Runtime expect of a decoder with a cache, for one sequence at a time. The layers are those of `transformer.ts`.
 * Knows precisions only through `Products`, and no runtime and no file.
 *
 * Inputs, for S tokens after P cached ones, P of 0 and more:
 *   input_ids (1, S), position_ids (1, S), attention_mask (1, P + S)  int64; a mask of 0 hides a place
 *   past_key_values.{l}.key, past_key_values.{l}.value (1, kvHeads, P, headSize)  float32
 * Outputs:
 *   logits (1, S, V) float32 · next_tokens (1, S) int64, the greedy ones, as `cllm` itself chooses them
 *   present.{l}.key, present.{l}.value (1, kvHeads, P + S, headSize)  float32: the next pass's past
 */
import { CllmError } from "../error.ts";
import type { EncodedModel, Graph, Value } from "../graph/graph.ts";
import { attentionAttributes, capped, headNorm, rotations } from "./attention.ts";
import type { ModelConfig } from "./config.ts";
import { constantParts } from "./constant-parts.ts";
import type { LayeredWeights, LayerWeights } from "./layered-weights.ts";
import type { Products } from "./products.ts";
import { projectionRows } from "./tensors.ts";
import { transformer } from "./transformer.ts";

/** The engine's attention takes heads of a multiple of this many channels. */
const HEAD_STEP = 8;
const FLOAT32 = 1;
const INT32 = 6;
/** Added to the scores of hidden places. */
const HIDDEN = 1e9;

/** Build the graph, reading one layer's weights at a time. Throws `unsupported` for heads of odd sizes. */
export async function exportGraph(
  config: ModelConfig,
  weights: LayeredWeights,
  products: Products,
  { onLayer }: { readonly onLayer?: (done: number) => void } = {},
): Promise<EncodedModel> {
  const { layers, heads, kvHeads, headSize, vocabSize, contextLength } = config;
  if (headSize % HEAD_STEP !== 0) {
    const limit = `multiples of ${HEAD_STEP} can`;
    throw new CllmError("unsupported", `heads of ${headSize} channels cannot be run by ONNX Runtime, ${limit}`);
  }
  const graph = products.graph;
  const ids = graph.input("input_ids", "int64", [1, "sequence_length"]);
  const mask = graph.input("attention_mask", "int64", [1, "total_sequence_length"]);
  const positions = graph.input("position_ids", "int64", [1, "sequence_length"]);
  const places = lengths(graph, ids, mask);
  const rotationIn = rotations(config, contextLength, (data, shape) => graph.constant(data, shape));

  /** Attention over past and pass; x is normalized, `(1, S, D)`. */
  const attention = (x: Value, layer: LayerWeights, index: number): Value => {
    const qkv = products.apply(x, layer.qkv, "qkv"); // (1, S, (heads + 2 * kvHeads) * headSize)
    const parts = ["key", "value"] as const;
    const past = parts.map((part) =>
      graph.input(`past_key_values.${index}.${part}`, "float32", [1, kvHeads, "past_sequence_length", headSize]),
    );
    let inputs: (Value | null)[] = [qkv, null, null];
    if (layer.queryNorm !== null && layer.keyNorm !== null) {
      const sizes = graph.integers(...projectionRows(config));
      const [q, k, v] = graph.ops("Split", [qkv, sizes], 3, { axis: -1 }) as [Value, Value, Value];
      const queryNorm = graph.constant(layer.queryNorm, [layer.queryNorm.length]);
      const keyNorm = graph.constant(layer.keyNorm, [layer.keyNorm.length]);
      inputs = [headNorm(graph, config, q, queryNorm, heads), headNorm(graph, config, k, keyNorm, kvHeads), v];
    }
    const rotation = rotationIn(index);
    const rotary = rotation === null ? [null, null, null] : [rotation.cos, rotation.sin, positions];
    const [out, ...present] = graph.ops(
      "GroupQueryAttention",
      [...inputs, ...past, places.last, places.total, ...rotary, places.bias],
      3,
      attentionAttributes(config, index, rotation !== null),
    ) as [Value, Value, Value];
    for (const [i, part] of parts.entries()) {
      const shape = [1, kvHeads, "total_sequence_length", headSize];
      graph.output(present[i]!, `present.${index}.${part}`, "float32", shape);
    }
    return products.apply(out, layer.output, "output");
  };

  const parts = constantParts(weights, products, attention, onLayer);
  const x = await transformer(config, parts, products.embed(ids, await weights.embedding())); // (1, S, D)
  onLayer?.(layers);
  const { logits, scale, next } = await products.head(x, () => weights.head());
  const scaled = scale === null ? logits : graph.op("Mul", [logits, scale]);
  const { logitCap } = config;
  const whole = logitCap === undefined ? scaled : capped(graph, scaled, logitCap, (value) => graph.scalar(value));
  graph.output(whole, "logits", "float32", [1, "sequence_length", vocabSize]);
  graph.output(next, "next_tokens", "int64", [1, "sequence_length"]);
  return graph.encode();
}

interface Places {
  /** The number of places, `(1,)` int32, and the index of the last. */
  readonly total: Value;
  readonly last: Value;
  /** What is added to the scores, `(1, 1, S, total)`: the mask, for causality is the operator's. */
  readonly bias: Value;
}

function lengths(graph: Graph, ids: Value, mask: Value): Places {
  const rows = graph.op("Shape", [ids], { start: 1 });
  const columns = graph.op("Shape", [mask], { start: 1 });
  const total = graph.op("Cast", [columns], { to: INT32 });
  const last = graph.op("Sub", [total, graph.constant(Int32Array.of(1), [1])]);
  const seen = graph.op("Cast", [mask], { to: FLOAT32 }); // (1, total), ones and zeros
  const added = graph.op("Mul", [graph.op("Sub", [seen, graph.scalar(1)]), graph.scalar(HIDDEN)]);
  const row = graph.op("Unsqueeze", [added, graph.integers(1, 2)]); // (1, 1, 1, total)
  const shape = graph.op("Concat", [graph.integers(1, 1), rows, columns], { axis: 0 });
  return { total, last, bias: graph.op("Expand", [row, shape]) };
}
