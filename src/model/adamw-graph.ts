/**
 * AdamW on one tensor, and sums of gradients, as graphs for devices that keep these numbers: the same operations in the same order as
 * `train/adamw.ts`, on any number of elements. Loshchilov and Hutter, arXiv:1711.05101, algorithm 2. Knows no schedule.
 */
import { type EncodedModel, Graph, type Value } from "../graph/graph.ts";

/** What a step multiplies and adds, each an input (1) of the graph. */
export const ADAMW_CONSTANTS = ["scale", "b1", "c1", "b2", "c2", "rate", "epsilon", "keep"] as const;

/** weights, gradient, first, second (n) and the constants -> new_weights, new_first, new_second (n), all float32. */
export function adamWGraph(): EncodedModel {
  const graph = new Graph();
  const vector = (name: string): Value => graph.input(name, "float32", ["n"]);
  const [weights, gradient, first, second] = ["weights", "gradient", "first", "second"].map(vector) as [
    Value,
    Value,
    Value,
    Value,
  ];
  const [scale, b1, c1, b2, c2, rate, epsilon, keep] = ADAMW_CONSTANTS.map((name) =>
    graph.input(name, "float32", [1]),
  ) as [Value, Value, Value, Value, Value, Value, Value, Value];
  const times = (a: Value, b: Value): Value => graph.op("Mul", [a, b]);
  const plus = (a: Value, b: Value): Value => graph.op("Add", [a, b]);
  const g = times(gradient, scale);
  const m = plus(times(b1, first), times(c1, g));
  const v = plus(times(b2, second), times(times(c2, g), g));
  const update = graph.op("Div", [times(rate, m), plus(graph.op("Sqrt", [v]), epsilon)]);
  graph.output(graph.op("Sub", [times(weights, keep), update]), "new_weights", "float32", ["n"]);
  graph.output(m, "new_first", "float32", ["n"]);
  graph.output(v, "new_second", "float32", ["n"]);
  return graph.encode();
}

/** a, b (n) -> sum (n), square (): its squared norm. */
export function sumGraph(): EncodedModel {
  const graph = new Graph();
  const [a, b] = ["a", "b"].map((name) => graph.input(name, "float32", ["n"])) as [Value, Value];
  const sum = graph.op("Add", [a, b]);
  graph.output(sum, "sum", "float32", ["n"]);
  graph.output(graph.op("ReduceSumSquare", [sum], { keepdims: 0 }), "square", "float32", []);
  return graph.encode();
}
