/**
 * The transformer of the Llama family, the one definition of the model: norms, attention, the gated feed-forward block and the
 * residual stream around them (Touvron et al., arXiv:2302.13971, section 2.2), with the differences that a configuration asks
 * for. Decoding and training give it their parts: where weights come from, how a product is made in a precision, what
 * attention sees. Knows neither.
 */
import type { Graph, Value } from "../graph/graph.ts";
import type { ModelConfig } from "./config.ts";
import type { Rows } from "./products.ts";
import type { LayerNorms } from "./tensors.ts";

/** One layer's parts, each from the normalized stream `(..., D)` or what its name says. */
export interface LayerParts {
  readonly norms: LayerNorms<Value>;
  /** Attention with its projections. */
  attention(x: Value): Value;
  /** Gate and up, `(..., intermediateSize)`. Up may leave the rows' scales to `down`. */
  gateAndUp(x: Value): { readonly gate: Value; readonly up: Rows };
  down(hidden: Rows): Value;
}

export interface TransformerParts {
  readonly graph: Graph;
  layer(index: number): Promise<LayerParts>;
  finalNorm(): Promise<Value>; // (D,)
  /** A number of the activations' type. */
  scalar(value: number): Value;
}

/** From the vectors of tokens, `(1, S, D)` or `(N, D)`, to the normalized stream that the head reads, in the same shape. */
export async function transformer(
  config: Pick<
    ModelConfig,
    "layers" | "normEpsilon" | "activation" | "embeddingScale" | "residualScale" | "logitScale"
  >,
  { graph, ...parts }: TransformerParts,
  embedded: Value,
): Promise<Value> {
  const { layers, activation = "silu", embeddingScale = 1, residualScale = 1, logitScale = 1 } = config;
  const epsilon = { epsilon: { float: config.normEpsilon } };
  const times = (x: Value, factor: number): Value => (factor === 1 ? x : graph.op("Mul", [x, parts.scalar(factor)]));
  const normOf = (x: Value, weight: Value | null): Value =>
    weight === null ? x : graph.op("SimplifiedLayerNormalization", [x, weight], { axis: -1, ...epsilon });

  /** What a block adds to the stream. */
  const added = (x: Value, norm: Value | null): Value => times(normOf(x, norm), residualScale);

  /** residual + x, and the same normalized. */
  const addAndNorm = (residual: Value, x: Value, weight: Value | null): { sum: Value; norm: Value } => {
    if (weight === null) {
      const sum = graph.op("Add", [residual, x]);
      return { sum, norm: sum };
    }
    const [norm, , , sum] = graph.ops("SkipSimplifiedLayerNormalization", [residual, x, weight], 4, epsilon);
    return { sum: sum as Value, norm: norm as Value };
  };

  /** down(activation(gate(x)) * up(x)) (Shazeer, arXiv:2002.05202). */
  const feedForward = (x: Value, layer: LayerParts): Value => {
    const { gate, up } = layer.gateAndUp(x);
    const active =
      activation === "gelu" ? graph.op("FastGelu", [gate]) : graph.op("QuickGelu", [gate], { alpha: { float: 1 } });
    return layer.down({ value: graph.op("Mul", [active, up.value]), scale: up.scale });
  };

  let residual = times(embedded, embeddingScale);
  let layer = await parts.layer(0);
  let x = normOf(residual, layer.norms.input);
  for (let index = 0; index < layers; index++) {
    const { norms } = layer;
    const attended = addAndNorm(residual, added(layer.attention(x), norms.attended), norms.feedForward);
    const fed = added(feedForward(attended.norm, layer), norms.fed);
    const next = index + 1 < layers ? await parts.layer(index + 1) : null;
    const after = addAndNorm(attended.sum, fed, next === null ? await parts.finalNorm() : next.norms.input);
    ({ sum: residual, norm: x } = after);
    if (next !== null) layer = next;
  }
  return times(x, logitScale);
}
