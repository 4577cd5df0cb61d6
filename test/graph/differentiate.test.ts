/** Every rule of differentiation against finite differences, and how the pieces are put together. */
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { DERIVATIVES } from "../../src/graph/derivatives.ts";
import { gradients } from "../../src/graph/differentiate.ts";
import { Graph, type Value } from "../../src/graph/graph.ts";
import { hash } from "../../src/hash.ts";
import { compile, float32Data, float32Tensor } from "../../src/runtime/ort.ts";

type Shape = readonly number[];
const sizeOf = (shape: Shape): number => shape.reduce((product, size) => product * size, 1);
const random = (seed: number, size: number): Float32Array =>
  Float32Array.from({ length: size }, (_, i) => (hash(seed, i) / 2 ** 32) * 2 - 1);

/** Gradients of the sum of `make`'s outputs, weighted at random, next to central differences, by input. */
async function compare(shapes: readonly Shape[], make: (graph: Graph, inputs: Value[]) => Value[], seed: number) {
  const graph = new Graph();
  const inputs = shapes.map((shape, i) => graph.input(`x${i}`, "float32", shape));
  const outputs = make(graph, inputs);
  const sums = outputs.map((output, i) => {
    // Random weights of the output's shape, without knowing it: the cosine of its own numbering.
    const ones = graph.op("ConstantOfShape", [graph.op("Shape", [output])]);
    const counts = graph.op("CumSum", [
      graph.op("Reshape", [graph.op("Exp", [ones]), graph.integers(-1)]),
      graph.integers(0),
    ]);
    const weights = graph.op("Cos", [graph.op("Mul", [counts, graph.scalar(1.7 + i)])]);
    const flat = graph.op("Reshape", [output, graph.integers(-1)]);
    return graph.op("ReduceSum", [graph.op("Mul", [flat, weights])], { keepdims: 0 });
  });
  const total = sums.length === 1 ? sums[0]! : graph.op("Sum", sums);
  const found = gradients(graph, total, inputs);
  graph.output(total, "total", "float32", []);
  for (const [i, gradient] of found.entries()) graph.output(gradient, `g${i}`, "float32", shapes[i]!);
  const program = await compile(graph.encode(), { threads: 2 });
  try {
    const values = shapes.map((shape, i) => random(seed + i, sizeOf(shape)));
    const run = (outs: string[]) =>
      program.run(Object.fromEntries(values.map((data, i) => [`x${i}`, float32Tensor(data, shapes[i]!)])), outs);
    const results = await run(found.map((_, i) => `g${i}`));
    const step = 2 ** -6;
    const all: { actual: number[]; expected: number[] }[] = [];
    for (const [i, data] of values.entries()) {
      const actual = Array.from(float32Data(results[`g${i}`]!));
      const expected: number[] = [];
      for (let j = 0; j < data.length; j++) {
        const at = data[j]!;
        let difference = 0;
        for (const [steps, weight] of FIVE_POINTS) {
          data[j] = at + steps * step;
          difference += weight * float32Data((await run(["total"]))["total"]!)[0]!;
        }
        data[j] = at;
        expected.push(difference / (12 * step));
      }
      all.push({ actual, expected });
    }
    return all;
  } finally {
    await program.release();
  }
}

/** Where the sum is evaluated, in steps, and what that counts: exact up to step⁴ of the fifth derivative. */
const FIVE_POINTS = [
  [-2, 1],
  [-1, -8],
  [1, 8],
  [2, -1],
] as const;

/** Differences of float32 sums are good to better than 1e-3 here: rounding / step is what is left of their error. */
async function expectGradients(shapes: readonly Shape[], make: (graph: Graph, inputs: Value[]) => Value[], seed = 1) {
  for (const { actual, expected } of await compare(shapes, make, seed)) {
    const largest = Math.max(1, ...expected.map(Math.abs));
    for (const [i, value] of actual.entries()) expect(Math.abs(value - expected[i]!) / largest).toBeLessThan(3e-3);
  }
}

const indices = (graph: Graph, values: readonly number[], shape: Shape): Value =>
  graph.constant(BigInt64Array.from(values, BigInt), shape);

const CASES: Record<string, { shapes: Shape[]; make: (graph: Graph, inputs: Value[]) => Value[] }[]> = {
  Identity: [{ shapes: [[2, 3]], make: (graph, [x]) => [graph.op("Identity", [x!])] }],
  Add: [
    {
      shapes: [
        [2, 3],
        [2, 3],
      ],
      make: (graph, [a, b]) => [graph.op("Add", [a!, b!])],
    },
  ],
  Sum: [{ shapes: [[4], [4], [4]], make: (graph, xs) => [graph.op("Sum", xs)] }],
  Sub: [{ shapes: [[5], [5]], make: (graph, [a, b]) => [graph.op("Sub", [a!, b!])] }],
  Neg: [{ shapes: [[5]], make: (graph, [x]) => [graph.op("Neg", [x!])] }],
  Mul: [
    {
      shapes: [
        [2, 3],
        [2, 3],
      ],
      make: (graph, [a, b]) => [graph.op("Mul", [a!, b!])],
    },
    { shapes: [[2, 3]], make: (graph, [x]) => [graph.op("Mul", [x!, x!])] },
    { shapes: [[2, 3]], make: (graph, [x]) => [graph.op("Mul", [x!, graph.constant(random(9, 3), [3])])] },
  ],
  Exp: [{ shapes: [[6]], make: (graph, [x]) => [graph.op("Exp", [x!])] }],
  Gemm: [0, 1].flatMap((transA) =>
    [0, 1].flatMap((transB) => [
      {
        shapes: [transA ? [3, 2] : [2, 3], transB ? [4, 3] : [3, 4]] as Shape[],
        make: (graph: Graph, xs: Value[]) => [graph.op("Gemm", xs, { transA, transB, alpha: { float: 0.7 } })],
      },
    ]),
  ),
  "Gemm with a bias": [{ shapes: [[2, 3], [4, 3], [4]], make: (graph, xs) => [graph.op("Gemm", xs, { transB: 1 })] }],
  FusedMatMul: [0, 1].flatMap((transA) =>
    [0, 1].map((transB) => ({
      shapes: [transA ? [2, 2, 3, 2] : [2, 2, 2, 3], transB ? [2, 2, 4, 3] : [2, 2, 3, 4]] as Shape[],
      make: (graph: Graph, xs: Value[]) => [graph.op("FusedMatMul", xs, { transA, transB, alpha: { float: 1.3 } })],
    })),
  ),
  Softmax: [{ shapes: [[2, 5]], make: (graph, [x]) => [graph.op("Softmax", [x!], { axis: -1 })] }],
  LogSoftmax: [{ shapes: [[2, 5]], make: (graph, [x]) => [graph.op("LogSoftmax", [x!], { axis: -1 })] }],
  QuickGelu: [
    { shapes: [[7]], make: (graph, [x]) => [graph.op("QuickGelu", [x!], { alpha: { float: 1 } })] },
    { shapes: [[7]], make: (graph, [x]) => [graph.op("QuickGelu", [x!], { alpha: { float: 1.7 } })] },
  ],
  FastGelu: [{ shapes: [[7]], make: (graph, [x]) => [graph.op("FastGelu", [x!])] }],
  Tanh: [{ shapes: [[7]], make: (graph, [x]) => [graph.op("Tanh", [x!])] }],
  Concat: [
    {
      shapes: [
        [2, 3],
        [2, 2],
      ],
      make: (graph, xs) => [graph.op("Concat", xs, { axis: 1 })],
    },
  ],
  Split: [
    {
      shapes: [[2, 6]],
      make: (graph, [x]) => graph.ops("Split", [x!, graph.integers(1, 3, 2)], 3, { axis: -1 }).slice(0, 2),
    },
  ],
  SimplifiedLayerNormalization: [
    {
      shapes: [[3, 4], [4]],
      make: (graph, xs) => [graph.op("SimplifiedLayerNormalization", xs, { axis: -1, epsilon: { float: 1e-3 } })],
    },
  ],
  SkipSimplifiedLayerNormalization: [
    {
      shapes: [[3, 4], [3, 4], [4]],
      make: (graph, xs) => {
        const outputs = graph.ops("SkipSimplifiedLayerNormalization", xs, 4, { epsilon: { float: 1e-3 } });
        return [outputs[0]!, outputs[3]!];
      },
    },
    {
      shapes: [[3, 4], [3, 4], [4]],
      make: (graph, xs) => [graph.ops("SkipSimplifiedLayerNormalization", xs, 4, { epsilon: { float: 1e-3 } })[0]!],
    },
  ],
  RotaryEmbedding: [
    {
      shapes: [[2, 3, 32]],
      make: (graph, [x]) => [
        graph.op("RotaryEmbedding", [
          x!,
          indices(graph, [0, 1, 2, 5, 6, 4], [2, 3]),
          graph.constant(random(3, 64).map(Math.cos), [8, 8]),
          graph.constant(random(3, 64).map(Math.sin), [8, 8]),
        ]),
      ],
    },
  ],
  Reshape: [{ shapes: [[2, 6]], make: (graph, [x]) => [graph.op("Reshape", [x!, graph.integers(3, -1)])] }],
  Transpose: [{ shapes: [[2, 3, 4]], make: (graph, [x]) => [graph.op("Transpose", [x!], { perm: [2, 0, 1] })] }],
  ReduceSum: [
    { shapes: [[2, 3]], make: (graph, [x]) => [graph.op("ReduceSum", [x!], { keepdims: 0 })] },
    {
      shapes: [[2, 3]],
      make: (graph, [x]) => [graph.op("ReduceSum", [x!, graph.integers(-1)], { keepdims: 1 })],
    },
  ],
  Gather: [
    { shapes: [[4, 3]], make: (graph, [x]) => [graph.op("Gather", [x!, indices(graph, [2, 0, 2, 2, 3], [5])])] },
  ],
  GatherElements: [
    {
      shapes: [[3, 4]],
      make: (graph, [x]) => [graph.op("GatherElements", [x!, indices(graph, [1, 3, 0], [3, 1])], { axis: 1 })],
    },
  ],
};

describe("rules", () => {
  test.each(Object.entries(CASES))("%s agrees with finite differences", async (_name, cases) => {
    for (const { shapes, make } of cases) await expectGradients(shapes, make);
  });

  test("there is a case for each", () => {
    expect(Object.keys(DERIVATIVES).filter((name) => !(name in CASES))).toEqual([]);
  });
});

describe("chains", () => {
  test("of random operators agree with finite differences", async () => {
    const unary = ["Neg", "Exp", "Softmax", "LogSoftmax", "Identity"] as const;
    const steps = fc.array(
      fc.oneof(
        fc.constantFrom(...unary).map((type) => ({ type, with: 0 })),
        fc.record({ type: fc.constantFrom("Add", "Sub", "Mul" as const), with: fc.nat(20) }),
      ),
      { minLength: 1, maxLength: 6 },
    );
    await fc.assert(
      fc.asyncProperty(steps, fc.nat(1000), async (chain, seed) => {
        await expectGradients(
          [
            [2, 3],
            [2, 3],
          ],
          (graph, inputs) => {
            const values = [...inputs];
            for (const { type, with: other } of chain) {
              const last = graph.op("QuickGelu", [values.at(-1)!], { alpha: { float: 1 } }); // keeps numbers small
              if (type === "Add" || type === "Sub" || type === "Mul") {
                values.push(graph.op(type, [last, values[other % values.length]!]));
              } else {
                values.push(graph.op(type, [last], type.includes("Softmax") ? { axis: -1 } : {}));
              }
            }
            return [graph.op("Add", [values.at(-1)!, values[0]!])];
          },
          seed,
        );
      }),
      { numRuns: 12 },
    );
  });

  test("what is held constant gets nothing", async () => {
    const graph = new Graph();
    const x = graph.input("x", "float32", [1]);
    const held = graph.op("Mul", [x, x]);
    const y = graph.op("ReduceSum", [graph.op("Mul", [held, x])], { keepdims: 0 });
    const [free] = gradients(graph, y, [x]);
    const [part] = gradients(graph, y, [x], { constants: [held] });
    graph.output(free!, "free", "float32", [1]);
    graph.output(part!, "part", "float32", [1]);
    const program = await compile(graph.encode(), { threads: 1 });
    const results = await program.run({ x: float32Tensor(Float32Array.of(3), [1]) }, ["free", "part"]);
    expect([...float32Data(results["free"]!), ...float32Data(results["part"]!)]).toEqual([27, 9]); // of x³, and of 9x
    await program.release();
  });
});

describe("errors", () => {
  test("an operator without a rule is named", () => {
    const graph = new Graph();
    const x = graph.input("x", "float32", [2]);
    const y = graph.op("ReduceSum", [graph.op("Erf", [x])], { keepdims: 0 });
    expect(() => gradients(graph, y, [x])).toThrow(/Erf has no derivative/);
  });

  test("a value that nothing depends on is named", () => {
    const graph = new Graph();
    const [x, z] = [graph.input("x", "float32", [2]), graph.input("z", "float32", [2])];
    const y = graph.op("ReduceSum", [x], { keepdims: 0 });
    expect(() => gradients(graph, y, [z])).toThrow(/does not depend on z/);
  });

  test("an input without a derivative is named", () => {
    const graph = new Graph();
    const x = graph.input("x", "float32", [1, 1, 32]);
    const cos = graph.input("cos", "float32", [8, 8]);
    const rotated = graph.op("RotaryEmbedding", [x, indices(graph, [0], [1, 1]), cos, cos]);
    const y = graph.op("ReduceSum", [rotated], { keepdims: 0 });
    expect(() => gradients(graph, y, [cos])).toThrow(/no derivative by its input 2/);
  });
});
