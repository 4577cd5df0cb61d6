/**
 * Whether this machine's products of unsigned by signed bytes saturate: x86 processors without VNNI add pairs of products
 * in 16 bits, and 2 * 255 * 127 does not fit. Found by trying, once a process.
 */
import { Graph } from "../graph/graph.ts";
import { compile, float32Data, float32Tensor } from "./ort.ts";

let known: Promise<boolean> | null = null;

export function bytesSaturate(): Promise<boolean> {
  known ??= tryProduct();
  return known;
}

/** 64 products of 255 by 127 in one sum, in a graph of its own. */
async function tryProduct(): Promise<boolean> {
  const size = 64;
  const graph = new Graph();
  const x = graph.input("x", "float32", ["rows", size]);
  const one = graph.scalar(1);
  const bytes = graph.op("QuantizeLinear", [x, one, graph.byte(0)]);
  const weights = graph.constant(new Int8Array(size * size).fill(127), [size, size]);
  const y = graph.op("MatMulIntegerToFloat", [bytes, weights, one, one, graph.byte(0)]);
  graph.output(y, "y", "float32", ["rows", size]);
  const program = await compile(graph.encode(), { threads: 1 });
  try {
    const { y: sums } = await program.run({ x: float32Tensor(new Float32Array(2 * size).fill(255), [2, size]) }, ["y"]);
    return float32Data(sums!).some((sum) => sum !== size * 255 * 127);
  } finally {
    await program.release();
  }
}
