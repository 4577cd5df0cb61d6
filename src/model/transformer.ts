/**
 * The transformer of the Llama family, the one definition of the model: norms, attention, SwiGLU and the residual stream
 * around them (Touvron et al., arXiv:2302.13971, section 2.2). Decoding and training give it their parts: where weights come
 * from, how a product is made in a precision, what attention sees. Knows neither.
 */
import type { Graph, Value } from "../graph/graph.ts";
import type { ModelConfig } from "./config.ts";
import type { Rows } from "./products.ts";

/** One layer's parts, each from the normalized stream `(..., D)` or what its name says. */
export interface LayerParts {
  readonly inputNorm: Value; // (D,)
  readonly postNorm: Value; // (D,)
  /** Attention with its projections. */
  attention(x: Value): Value;
  gate(x: Value): Value; // (..., intermediateSize)
  /** May leave the rows' scales to `down`. */
  up(x: Value): Rows;
  down(hidden: Rows): Value;
}

export interface TransformerParts {
  readonly graph: Graph;
  layer(index: number): Promise<LayerParts>;
  finalNorm(): Promise<Value>; // (D,)
}

/** From the vectors of tokens, `(1, S, D)` or `(N, D)`, to the normalized stream that the head reads, in the same shape. */
export async function transformer(
  { layers, normEpsilon }: Pick<ModelConfig, "layers" | "normEpsilon">,
  { graph, ...parts }: TransformerParts,
  embedded: Value,
): Promise<Value> {
  const epsilon = { epsilon: { float: normEpsilon } };

  /** residual + x, and the same normalized. */
  const addAndNorm = (residual: Value, x: Value, weight: Value): { sum: Value; norm: Value } => {
    const [norm, , , sum] = graph.ops("SkipSimplifiedLayerNormalization", [residual, x, weight], 4, epsilon);
    return { sum: sum as Value, norm: norm as Value };
  };

  /** SwiGLU: down(silu(gate(x)) * up(x)). */
  const feedForward = (x: Value, layer: LayerParts): Value => {
    const gate = layer.gate(x);
    const up = layer.up(x);
    const silu = graph.op("QuickGelu", [gate], { alpha: { float: 1 } });
    return layer.down({ value: graph.op("Mul", [silu, up.value]), scale: up.scale });
  };

  let residual = embedded;
  let layer = await parts.layer(0);
  let x = graph.op("SimplifiedLayerNormalization", [residual, layer.inputNorm], { axis: -1, ...epsilon });
  for (let index = 0; index < layers; index++) {
    const attended = addAndNorm(residual, layer.attention(x), layer.postNorm);
    const fed = feedForward(attended.norm, layer);
    const next = index + 1 < layers ? await parts.layer(index + 1) : null;
    const after = addAndNorm(attended.sum, fed, next === null ? await parts.finalNorm() : next.inputNorm);
    ({ sum: residual, norm: x } = after);
    if (next !== null) layer = next;
  }
  return x;
}

/** RMS norms of their own over each head's channels (Qwen3): x is `(..., count * headSize)`, the weight `(headSize,)`. */
export function headNorm(
  graph: Graph,
  { headSize, normEpsilon }: Pick<ModelConfig, "headSize" | "normEpsilon">,
  x: Value,
  weight: Value,
  count: number,
): Value {
  const split = graph.op("Reshape", [x, graph.integers(-1, headSize)]); // two dimensions
  const norm = graph.op("SimplifiedLayerNormalization", [split, weight], { epsilon: { float: normEpsilon } });
  return graph.op("Reshape", [norm, graph.integers(1, -1, count * headSize)]);
}
