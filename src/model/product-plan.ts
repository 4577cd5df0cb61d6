/**
 * Which products a graph is built from, and where its cache lies: everything that a decode graph follows from beside the
 * configuration and the weights, as plain data that keys and threads can be told. Knows no device.
 */
import type { Graph } from "../graph/graph.ts";
import type { HostPrecision, ResidentPrecision } from "./precision.ts";
import { type Products, productsFor } from "./products.ts";
import { residentProducts } from "./resident-products.ts";

/**
 * `host`: the cache is in the process's memory, and a pass gives its new rows. `resident`: it is on the device, where passes write it in
 * place. `plain` is as `host`, with attention in plain products, for engines without the kernels of a processor.
 */
export type ProductPlan =
  | {
      readonly form: "host" | "plain";
      readonly precision: HostPrecision;
      /** See `ProductOptions`. */
      readonly saturates: boolean;
      readonly wholeWeights: number;
    }
  | {
      readonly form: "resident";
      readonly precision: ResidentPrecision;
      /** Activations and the cache are half floats. */
      readonly half: boolean;
    };

/** The products of a plan, for one graph. `tiedHead`: embedding and head are the same table. */
export function productsOf(plan: ProductPlan, graph: Graph, tiedHead: boolean): Products {
  if (plan.form === "resident") return residentProducts(plan, graph);
  return productsFor(plan.precision, graph, { ...plan, tiedHead, blocks: plan.form !== "plain" });
}
