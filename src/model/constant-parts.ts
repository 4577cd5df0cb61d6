/**
 * The transformer's parts where weights are constants of the graph, each read when its layer is built, and every product is made
 * in a precision: what decoding and exported graphs have in common. Knows no attention, which the caller brings.
 */
import type { Value } from "../graph/graph.ts";
import type { LayeredWeights, LayerWeights } from "./layered-weights.ts";
import type { Products } from "./products.ts";
import type { TransformerParts } from "./transformer.ts";

/** `attention` goes from the normalized stream `(1, S, D)` through its projections to `(1, S, D)`. */
export function constantParts(
  weights: LayeredWeights,
  products: Products,
  attention: (x: Value, layer: LayerWeights, index: number) => Value,
  onLayer?: (done: number) => void,
): TransformerParts {
  const { graph } = products;
  const vector = (data: Float32Array): Value => products.floats(data, [data.length]);
  const norm = (data: Float32Array | null): Value | null => (data === null ? null : vector(data));
  return {
    graph,
    scalar: (value) => products.floats(Float32Array.of(value), []),
    async layer(index) {
      onLayer?.(index);
      const layer = await weights.layer(index);
      const { input, attended, feedForward, fed } = layer.norms;
      return {
        norms: { input: norm(input), attended: norm(attended), feedForward: norm(feedForward), fed: norm(fed) },
        attention: (x) => attention(x, layer, index),
        gateAndUp: (x) => ({
          gate: products.apply(x, layer.gate, "gate"),
          up: products.applyUnscaled(x, layer.up, "up"),
        }),
        down: (hidden) => products.apply(hidden, layer.down, "down"),
      };
    },
    finalNorm: async () => vector(await weights.finalNorm()),
  };
}
