/**
 * What attention is in each layer, for all graphs alike: the rotation, the window, the scale of scores, and the norms of
 * queries and keys. Knows neither cache nor mask.
 */
import type { Attribute, Graph, Value } from "../graph/graph.ts";
import type { ModelConfig } from "./config.ts";
import { ropeTables } from "./rope.ts";

/** Tables of cosines and sines, `(places, rotarySize / 2)`. */
export interface Rotation {
  readonly cos: Value;
  readonly sin: Value;
}

/** Whether a layer looks back no further than the window. */
export function slides({ slidingWindow, slidingLayers, contextLength }: ModelConfig, layer: number): boolean {
  return slidingWindow !== null && slidingWindow < contextLength && (slidingLayers?.[layer] ?? true);
}

/** Which masks the layers ask for: the causal one, and the one that also hides what is beyond the window. */
export function masksOf(config: ModelConfig): { readonly causal: boolean; readonly window: boolean } {
  const layers = Array.from({ length: config.layers }, (_, layer) => slides(config, layer));
  return { causal: layers.includes(false), window: layers.includes(true) };
}

/** By layer, the tables of its rotation: each kind is made once. Null where a layer does not rotate. */
export function rotations(
  config: ModelConfig,
  places: number,
  table: (data: Float32Array, shape: readonly number[]) => Value,
): (layer: number) => Rotation | null {
  const { slidingRopeTheta, slidingLayers, rotatedLayers, headSize, rotarySize = headSize } = config;
  const made = new Map<boolean, Rotation>();
  return (layer) => {
    if (rotatedLayers?.[layer] === false) return null;
    const own = slidingRopeTheta !== undefined && (slidingLayers?.[layer] ?? true);
    let rotation = made.get(own);
    if (rotation === undefined) {
      const settings = own ? { ...config, ropeTheta: slidingRopeTheta, ropeScaling: null } : config;
      const { cos, sin } = ropeTables(settings, places);
      const shape = [places, rotarySize / 2];
      rotation = { cos: table(cos, shape), sin: table(sin, shape) };
      made.set(own, rotation);
    }
    return rotation;
  };
}

/** Attributes of `RotaryEmbedding` for `count` heads. */
export function rotationOf(
  { headSize, rotarySize = headSize }: Pick<ModelConfig, "headSize" | "rotarySize">,
  count: number,
): Record<string, Attribute> {
  return rotarySize === headSize ? { num_heads: count } : { num_heads: count, rotary_embedding_dim: rotarySize };
}

/** Attributes of `GroupQueryAttention` in a layer; `rotates` where it is to rotate queries and keys itself. */
export function attentionAttributes(config: ModelConfig, layer: number, rotates: boolean): Record<string, Attribute> {
  const { heads, kvHeads, slidingWindow, attentionScale, attentionCap } = config;
  return {
    num_heads: heads,
    kv_num_heads: kvHeads,
    do_rotary: Number(rotates),
    local_window_size: slides(config, layer) ? (slidingWindow as number) : -1,
    ...(attentionScale !== undefined && { scale: { float: attentionScale } }),
    ...(attentionCap !== undefined && { softcap: { float: attentionCap } }),
  };
}

/** What scores are multiplied by. */
export function scoreScale({ headSize, attentionScale = 1 / Math.sqrt(headSize) }: ModelConfig): number {
  return attentionScale;
}

/** cap · tanh(x / cap). */
export function capped(graph: Graph, x: Value, cap: number, scalar: (value: number) => Value): Value {
  return graph.op("Mul", [graph.op("Tanh", [graph.op("Mul", [x, scalar(1 / cap)])]), scalar(cap)]);
}

/** The RMS norm of queries or keys, x of `(..., count * headSize)`: over each head's channels, or over all of them. */
export function headNorm(
  graph: Graph,
  { headSize, normEpsilon, wideQueryKeyNorm }: Pick<ModelConfig, "headSize" | "normEpsilon" | "wideQueryKeyNorm">,
  x: Value,
  weight: Value,
  count: number,
): Value {
  const epsilon = { epsilon: { float: normEpsilon } };
  if (wideQueryKeyNorm) return graph.op("SimplifiedLayerNormalization", [x, weight], { axis: -1, ...epsilon });
  const split = graph.op("Reshape", [x, graph.integers(-1, headSize)]); // two dimensions
  const norm = graph.op("SimplifiedLayerNormalization", [split, weight], epsilon);
  return graph.op("Reshape", [norm, graph.integers(1, -1, count * headSize)]);
}
