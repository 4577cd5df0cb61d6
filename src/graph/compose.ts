/**
 * Operators that some devices lack, put together from those that they have: done once a graph is complete, after it was
 * differentiated. Gives the same numbers up to rounding. Knows no device and no model.
 */
import type { Attribute, Graph, GraphNode, Value } from "./graph.ts";

type Composition = (graph: Graph, inputs: readonly Value[], attributes: GraphNode["attributes"]) => Value;

const number = (attribute: Attribute | undefined, otherwise: number): number => {
  if (typeof attribute === "object" && "float" in attribute) return attribute.float;
  return typeof attribute === "number" ? attribute : otherwise;
};

const COMPOSITIONS: Readonly<Record<string, Composition>> = {
  /** alpha · op(a) op(b), for four dimensions. */
  FusedMatMul(graph, [a, b], { transA, transB, alpha }) {
    const turned = (x: Value, turn: Attribute | undefined): Value =>
      number(turn, 0) === 0 ? x : graph.op("Transpose", [x], { perm: [0, 1, 3, 2] });
    const y = graph.op("MatMul", [turned(a as Value, transA), turned(b as Value, transB)]);
    const factor = number(alpha, 1);
    return factor === 1 ? y : graph.op("Mul", [y, graph.scalar(factor)]);
  },
  /** Over the last dimension: d - log(sum(exp(d))) with d = x - max(x). */
  LogSoftmax(graph, [x]) {
    const last = graph.integers(-1);
    const shifted = graph.op("Sub", [x as Value, graph.op("ReduceMax", [x as Value, last], { keepdims: 1 })]);
    const sum = graph.op("ReduceSum", [graph.op("Exp", [shifted]), last], { keepdims: 1 });
    return graph.op("Sub", [shifted, graph.op("Log", [sum])]);
  },
  Sum: (graph, [first, ...rest]) => rest.reduce((sum, x) => graph.op("Add", [sum, x]), first as Value),
  ConstantOfShape: (graph, [shape]) => graph.op("Expand", [graph.scalar(0), shape as Value]),
};

/** Puts the compositions in the place of their operators, all through the graph. */
export function compose(graph: Graph): void {
  graph.rewrite(({ type, inputs, attributes }) => {
    const composition = COMPOSITIONS[type];
    return composition === undefined ? null : composition(graph, inputs as Value[], attributes);
  });
}
