/** A decode graph from a model's weights, in memory or wherever its constants are put. Knows no engine and no disk. */
import { type ConstantStore, Graph } from "../graph/graph.ts";
import type { ModelConfig } from "../model/config.ts";
import { decodeGraph } from "../model/decode-graph.ts";
import type { DraftAdapter } from "../model/draft-adapter.ts";
import { layeredWeights, type WeightUnit } from "../model/layered-weights.ts";
import { type ProductPlan, productsOf } from "../model/product-plan.ts";
import type { Weights } from "../model/weights.ts";

/** Everything but the weights that determines a decode graph. */
export interface GraphPlan {
  readonly config: ModelConfig;
  /** The name of the device that it is for: others may order constants otherwise. */
  readonly device: string;
  readonly products: ProductPlan;
}

/** The graph of so many slots in memory, constants wherever `store` puts them. */
export async function buildGraph(
  { config, products: plan }: GraphPlan,
  weights: Weights,
  { store, slots = 1, begin, onLayer, draft = null }: BuildOptions = {},
): Promise<{ readonly graph: Graph; readonly encoded: ReturnType<Graph["encode"]> }> {
  const graph = new Graph(store);
  const products = productsOf(plan, graph, config.tiedHead);
  const blocks = plan.precision === "stored";
  const layers = layeredWeights(config, weights, begin ? (unit) => begin(unit, graph) : undefined, { blocks });
  const options = { slots, form: plan.form, draft, ...(onLayer && { onLayer }) };
  const encoded = await decodeGraph(config, layers, products, options);
  return { graph, encoded };
}

export interface BuildOptions {
  readonly store?: ConstantStore;
  readonly slots?: number;
  /** Told of each unit of weights before it is read; says whether its numbers are wanted. */
  readonly begin?: (unit: WeightUnit, graph: Graph) => boolean | Promise<boolean>;
  /** Called before each layer is built, with layers done so far. */
  readonly onLayer?: (done: number) => void;
  /** A draft adapter, whose factors travel inside the graph. Default: none. */
  readonly draft?: DraftAdapter | null;
}
