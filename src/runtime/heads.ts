/**
 * Medusa heads, compiled: what they guess behind one row of a pass, from that row's last hidden state. They run on the processor wherever the
 * model does, because they need one row of it. Knows no sequence and no decoder.
 */
import { Graph } from "../graph/graph.ts";
import type { ModelConfig } from "../model/config.ts";
import { headsGraph, type MedusaHeads } from "../model/heads-graph.ts";
import { layeredWeights } from "../model/layered-weights.ts";
import type { Precision } from "../model/precision.ts";
import { productsOf } from "../model/product-plan.ts";
import { WHOLE_WEIGHTS } from "../model/products.ts";
import type { Weights } from "../model/weights.ts";
import { DEFAULT_DEVICE } from "./devices/default.ts";
import { float32Tensor, int64Data } from "./ort.ts";
import type { TokenIds } from "./session.ts";

export interface Heads {
  /** How many there are. */
  readonly count: number;
  /** The likeliest ids of each head, the likeliest first, for one row `(D,)` of the stream. */
  guess(hidden: Float32Array): Promise<readonly TokenIds[]>;
  release(): Promise<void>;
}

/** Reads and compiles them: float32 for a model in fp32, else eight bits. Throws what reading throws, and `engine`. */
export async function openHeads(
  config: ModelConfig,
  weights: Weights,
  heads: MedusaHeads,
  { precision, threads }: { readonly precision: Precision; readonly threads: number },
): Promise<Heads> {
  const plan = await DEFAULT_DEVICE.plan(precision === "fp32" ? "fp32" : "int8", { wholeWeights: WHOLE_WEIGHTS });
  const graph = await headsGraph(config, heads, productsOf(plan, new Graph(), config.tiedHead), () =>
    layeredWeights(config, weights).head(),
  );
  const program = await DEFAULT_DEVICE.compile(graph, { threads });
  return {
    count: heads.heads,
    async guess(hidden) {
      const feeds = { hidden: float32Tensor(hidden, [1, 1, config.hiddenSize]) };
      const ids = int64Data((await program.run(feeds, ["guesses"]))["guesses"]!); // (heads, 1, top)
      const top = ids.length / heads.heads;
      return Array.from({ length: heads.heads }, (_, at) => ids.subarray(at * top, (at + 1) * top));
    },
    release: () => program.release(),
  };
}
