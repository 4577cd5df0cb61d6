/**
 * The derivative of each operator that training uses, as nodes: given the gradients by a node's outputs, how to make those by
 * its inputs. Written with g for the gradient by y. Knows nothing about how they are put together.
 *
 * Shapes are the engine's to check, so the rules rely on these conventions:
 * - Add, Sub and Mul: an input that a gradient is asked for has the shape of the output (others may be broadcast);
 * - norms and Gemm take two dimensions, softmaxes and sums run over the last one, or over all.
 * A gradient of another shape than its value's does not get past the output that it is fetched as.
 */
import type { Attribute, Graph, GraphNode, Value } from "./graph.ts";

/** By input, how to make its gradient; called only for those that one is asked for. Missing: there is none. */
export type Derivative = (
  graph: Graph,
  node: GraphNode,
  arriving: readonly (Value | null)[],
) => readonly ((() => Value) | undefined)[];

/** A node of one output, all of whose inputs are there, and the gradient by that output. */
interface Simple {
  readonly graph: Graph;
  readonly inputs: readonly Value[];
  readonly y: Value;
  readonly g: Value;
  readonly attributes: GraphNode["attributes"];
  readonly back: GraphNode["back"];
}

function simple(rule: (node: Simple) => readonly ((() => Value) | undefined)[]): Derivative {
  return (graph, { inputs, outputs, attributes, back }, arriving) =>
    rule({ graph, inputs: inputs as Value[], y: outputs[0] as Value, g: arriving[0] as Value, attributes, back });
}

const number = (attributes: GraphNode["attributes"], name: string, otherwise = 0): number => {
  const value: Attribute | undefined = attributes[name];
  if (typeof value === "object" && "float" in value) return value.float;
  return typeof value === "number" ? value : otherwise;
};

/** y = alpha · op(a) op(b) (+ c): both products of the chain rule, with the transpositions that put them in place. */
function product(type: "Gemm" | "FusedMatMul"): Derivative {
  return simple(({ graph, inputs: [a, b], g, attributes }) => {
    const [ta, tb] = [number(attributes, "transA"), number(attributes, "transB")];
    const alpha = { float: number(attributes, "alpha", 1) };
    const times = (left: Value, right: Value, transA: number, transB: number): Value =>
      graph.op(type, [left, right], { transA, transB, alpha });
    return [
      () => (ta ? times(b as Value, g, tb, 1) : times(g, b as Value, 0, 1 - tb)),
      () => (tb ? times(g, a as Value, 1, ta) : times(a as Value, g, 1 - ta, 0)),
      () => graph.op("ReduceSum", [g, graph.integers(0)], { keepdims: 0 }), // c is one row, (N,)
    ];
  });
}

/** y = x / rms(x) · w by x and w, for x of `(N, D)`: Zhang and Sennrich, arXiv:1910.07467, section 4. */
function rmsNorm(graph: Graph, x: Value, weight: Value, epsilon: Attribute, g: Value): { x(): Value; weight(): Value } {
  const last = graph.integers(-1);
  const mean = (value: Value): Value => graph.op("ReduceMean", [value, last], { keepdims: 1 });
  const small = typeof epsilon === "object" && "float" in epsilon ? epsilon.float : 0;
  const square = graph.op("Add", [mean(graph.op("Mul", [x, x])), graph.scalar(small)]);
  const scale = graph.op("Reciprocal", [graph.op("Sqrt", [square])]); // (N, 1)
  const unit = graph.op("Mul", [x, scale]);
  return {
    x() {
      const weighted = graph.op("Mul", [g, weight]);
      const along = graph.op("Mul", [unit, mean(graph.op("Mul", [weighted, unit]))]);
      return graph.op("Mul", [graph.op("Sub", [weighted, along]), scale]);
    },
    weight: () => graph.op("ReduceSum", [graph.op("Mul", [g, unit]), graph.integers(0)], { keepdims: 0 }),
  };
}

/** The constants of the approximation of GELU (Hendrycks and Gimpel, arXiv:1606.08415, section 2): √(2/π), and that of x³. */
const GELU_SCALE = Math.sqrt(2 / Math.PI);
const GELU_CUBE = 0.044715;

const shapeOf = (graph: Graph, x: Value): Value => graph.op("Shape", [x]);
const zerosLike = (graph: Graph, x: Value): Value => graph.op("ConstantOfShape", [shapeOf(graph, x)]);
const lastSum = (graph: Graph, x: Value): Value => graph.op("ReduceSum", [x, graph.integers(-1)], { keepdims: 1 });

/** The outputs of these do not depend on the numbers that they read, or only in jumps. */
export const FLAT: ReadonlySet<string> = new Set(["Shape", "ArgMax"]);

/**
 * Of `Gather` by indices that are known before a run, for devices that add to one place in any order, so that sums would differ from run
 * to run. What has one index is added up by a product with `same` (U, N), 1 where a row has the index of `distinct` (U, 1), else 0.
 * `same` null: no index comes twice.
 */
export const gatherOnce = (distinct: Value, same: Value | null): Derivative =>
  simple(({ graph, inputs: [data], g }) => [
    () => {
      const sums = same === null ? g : graph.op("MatMul", [same, g]);
      return graph.op("ScatterND", [zerosLike(graph, data as Value), distinct, sums]);
    },
  ]);

export const DERIVATIVES: Readonly<Record<string, Derivative>> = {
  Identity: simple(({ g }) => [() => g]),
  Add: simple(({ g }) => [() => g, () => g]),
  Sum: (_graph, { inputs }, [g]) => inputs.map(() => () => g as Value),
  Sub: simple(({ graph, g }) => [() => g, () => graph.op("Neg", [g])]),
  Neg: simple(({ graph, g }) => [() => graph.op("Neg", [g])]),
  Mul: simple(({ graph, inputs: [a, b], g }) => [
    () => graph.op("Mul", [g, b as Value]),
    () => graph.op("Mul", [g, a as Value]),
  ]),
  Exp: simple(({ graph, y, g }) => [() => graph.op("Mul", [g, y])]),
  Gemm: product("Gemm"),
  FusedMatMul: product("FusedMatMul"),

  /** Over the last dimension: y (g - sum(g y)). */
  Softmax: simple(({ graph, y, g }) => [
    () => graph.op("Mul", [y, graph.op("Sub", [g, lastSum(graph, graph.op("Mul", [g, y]))])]),
  ]),
  /** Over the last dimension: g - softmax(x) sum(g). */
  LogSoftmax: simple(({ graph, y, g }) => [
    () => graph.op("Sub", [g, graph.op("Mul", [graph.op("Exp", [y]), lastSum(graph, g)])]),
  ]),
  /** y = x s with s = sigmoid(alpha x): s + alpha y (1 - s). */
  QuickGelu: simple(({ graph, inputs: [x], y, g, attributes }) => [
    () => {
      const alpha = graph.scalar(number(attributes, "alpha", 1));
      const s = graph.op("Sigmoid", [graph.op("Mul", [x as Value, alpha])]);
      const rest = graph.op("Mul", [graph.op("Mul", [y, alpha]), graph.op("Sub", [graph.scalar(1), s])]);
      return graph.op("Mul", [g, graph.op("Add", [s, rest])]);
    },
  ]),
  /** y = x (1 + t) / 2 with t = tanh(c (x + b x³)): half of 1 + t + x (1 - t²) c (1 + 3 b x²). */
  FastGelu: simple(({ graph, inputs: [input], g }) => [
    () => {
      const x = input as Value;
      const times = (...factors: readonly [Value, ...Value[]]): Value =>
        factors.reduce((product, factor) => graph.op("Mul", [product, factor]));
      const plus = (value: Value, constant: number): Value => graph.op("Add", [value, graph.scalar(constant)]);
      const square = times(x, x);
      const inner = times(x, plus(times(square, graph.scalar(GELU_CUBE)), 1), graph.scalar(GELU_SCALE));
      const t = graph.op("Tanh", [inner]);
      const slope = times(plus(times(square, graph.scalar(3 * GELU_CUBE)), 1), graph.scalar(GELU_SCALE));
      const bend = times(x, slope, graph.op("Sub", [graph.scalar(1), times(t, t)]));
      return times(g, plus(graph.op("Add", [t, bend]), 1), graph.scalar(0.5));
    },
  ]),
  /** g (1 - y²). */
  Tanh: simple(({ graph, y, g }) => [
    () => graph.op("Mul", [g, graph.op("Sub", [graph.scalar(1), graph.op("Mul", [y, y])])]),
  ]),
  SimplifiedLayerNormalization: simple(({ graph, inputs: [x, weight], g, attributes }) => {
    const by = rmsNorm(graph, x as Value, weight as Value, attributes["epsilon"] as Attribute, g);
    return [by.x, by.weight];
  }),
  /** Outputs: the norm of the sum, two that are unused, and the sum itself. Both inputs get the same. */
  SkipSimplifiedLayerNormalization: (graph, { inputs, outputs, attributes }, [norm, , , sum]) => {
    if (norm === null || norm === undefined) return [() => sum as Value, () => sum as Value];
    const by = rmsNorm(graph, outputs[3] as Value, inputs[2] as Value, attributes["epsilon"] as Attribute, norm);
    let both: Value | null = null;
    const toInput = (): Value => {
      both ??= sum === null || sum === undefined ? by.x() : graph.op("Add", [by.x(), sum]);
      return both;
    };
    return [toInput, toInput, by.weight];
  },
  /** A rotation by an angle: its transpose is the rotation back. */
  RotaryEmbedding: simple(({ graph, inputs: [, positions, cos, sin], g, attributes }) => [
    () =>
      graph.op(
        "RotaryEmbedding",
        [g, positions as Value, cos as Value, graph.op("Neg", [sin as Value])],
        attributes as Record<string, Attribute>,
      ),
  ]),

  /** Its parts' gradients behind each other, zeros for those that nothing reads. */
  Split: (graph, { outputs, attributes }, arriving) => [
    () =>
      graph.op(
        "Concat",
        outputs.map((part, i) => arriving[i] ?? zerosLike(graph, part)),
        { axis: attributes["axis"] as number },
      ),
  ],
  /** Each input's part of what arrives. */
  Concat: simple(({ graph, inputs, g, attributes }) => {
    const axis = number(attributes, "axis");
    const sizeOf = (x: Value): Value => graph.op("Shape", [x], { start: axis, end: axis + 1 });
    return inputs.map((own, i) => () => {
      const from = inputs.slice(0, i).map(sizeOf);
      const start = from.length === 0 ? graph.integers(0) : from.length === 1 ? from[0]! : graph.op("Sum", from);
      return graph.op("Slice", [g, start, graph.op("Add", [start, sizeOf(own)]), graph.integers(axis)]);
    });
  }),
  Reshape: simple(({ graph, inputs: [x], g, back }) => [
    () => graph.op("Reshape", [g, back === undefined ? shapeOf(graph, x as Value) : graph.integers(...back)]),
  ]),
  Transpose: simple(({ graph, g, attributes }) => {
    const permutation = attributes["perm"] as readonly number[];
    return [() => graph.op("Transpose", [g], { perm: permutation.map((_, i) => permutation.indexOf(i)) })];
  }),
  /** Over all dimensions, or over the last one with it kept. */
  ReduceSum: simple(({ graph, inputs: [x], g }) => [() => graph.op("Expand", [g, shapeOf(graph, x as Value)])]),
  /**
   * Rows of a matrix by their indices, `(N,)`, which may repeat. `ScatterElements` adds them one after the other;
   * `ScatterND` would add them from several threads at once and lose some.
   */
  Gather: simple(({ graph, inputs: [data, indices], g }) => [
    () => {
      const column = graph.op("Unsqueeze", [indices as Value, graph.integers(-1)]);
      const places = graph.op("Expand", [column, shapeOf(graph, g)]);
      const zeros = zerosLike(graph, data as Value);
      return graph.op("ScatterElements", [zeros, places, g], { axis: 0, reduction: "add" });
    },
  ]),
  /** Along the last dimension. */
  GatherElements: simple(({ graph, inputs: [data, indices], g, attributes }) => [
    () => {
      const axis = number(attributes, "axis");
      return graph.op("ScatterElements", [zerosLike(graph, data as Value), indices as Value, g], {
        axis,
        reduction: "add",
      });
    },
  ]),
};
