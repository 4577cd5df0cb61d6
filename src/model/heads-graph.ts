/**
 * Medusa heads as a graph for decoding: rows of the stream in, the likeliest ids of each head out. It is a graph of its own, so that
 * heads run for the one row that is asked for, and the model's graph is the same with heads and without. Knows no runtime.
 *
 * Input: hidden (1, R, D) float32. Output: guesses (heads, R, top) int64, the likeliest first.
 */
import type { EncodedModel, Value } from "../graph/graph.ts";
import type { ModelConfig } from "./config.ts";
import type { Matrix } from "./matrix.ts";
import { linearName, type MedusaShape, medusaBlocks } from "./medusa.ts";
import type { Products } from "./products.ts";
import type { Weights } from "./weights.ts";

/** Heads with their numbers, by the names of `medusaTensors`. */
export interface MedusaHeads extends MedusaShape {
  readonly weights: Pick<Weights, "read">;
}

/** Ids of each head that the graph gives, at most: trees have no use for more. */
export const HEAD_TOP = 10;

/** Builds the graph, reading one matrix at a time. `head` reads the model's own matrix `(V, D)`, for heads that share it. */
export async function headsGraph(
  { hiddenSize, vocabSize }: Pick<ModelConfig, "hiddenSize" | "vocabSize">,
  heads: MedusaHeads,
  products: Products,
  head: () => Promise<Matrix>,
): Promise<EncodedModel> {
  const { graph } = products;
  const { weights } = heads;
  const hidden = graph.input("hidden", "float32", [1, "R", hiddenSize]);
  const matrix = async (name: string, rows: number): Promise<Matrix> => {
    return { rows, columns: hiddenSize, data: await weights.read(name) };
  };
  const streams: Value[] = [];
  for (let at = 0; at < heads.heads; at++) {
    const made = await medusaBlocks(graph, heads, at, hidden, async (x, weight, bias) => {
      const numbers = {
        matrix: await matrix(weight, hiddenSize),
        bias: bias === null ? null : await weights.read(bias),
      };
      return products.apply(x, numbers, "gate");
    });
    streams.push(made);
  }
  const count = graph.integers(Math.min(HEAD_TOP, vocabSize));
  const best = (x: Value, table: Matrix): Value => {
    const logits = products.apply(x, { matrix: table, bias: null }, "gate"); // (1, rows, V)
    return graph.ops("TopK", [logits, count], 2, { axis: -1 })[1] as Value;
  };
  const ids: Value[] = [];
  if (heads.ownLinear) {
    for (const [at, x] of streams.entries()) ids.push(best(x, await matrix(linearName(at, heads.layers), vocabSize)));
  } else ids.push(best(graph.op("Concat", streams, { axis: 1 }), await head())); // one product over the rows of all heads
  const all = ids.length === 1 ? (ids[0] as Value) : graph.op("Concat", ids, { axis: 1 });
  const shape = graph.integers(heads.heads, -1, Math.min(HEAD_TOP, vocabSize));
  graph.output(graph.op("Reshape", [all, shape]), "guesses", "int64", [
    heads.heads,
    "R",
    Math.min(HEAD_TOP, vocabSize),
  ]);
  return graph.encode();
}
