/**
 * Matrix products for a device that runs everything itself, in each precision: whole matrices, or blocks of 32 weights with
 * a scale each, whose activations stay floats. Activations are half floats where the device has them, and float32 in `fp32`.
 * Knows nothing about the model around.
 *
 * The schemes of `products.ts` rotate and quantize activations and rank candidates, which costs a GPU nodes that it does not have
 * or does not need. Rows must not influence each other here either.
 */
import type { Graph, Value } from "../graph/graph.ts";
import { toFloat16 } from "./float16.ts";
import { type Matrix, transpose } from "./matrix.ts";
import type { ResidentPrecision } from "./precision.ts";
import type { Products, Rows } from "./products.ts";
import { quantizeBlocks } from "./quantize.ts";

/** Bits of the weights in blocks; null for whole matrices. The head of int4 has eight, as it decides every token. */
const BITS: Readonly<Record<ResidentPrecision, { readonly layers: 4 | 8 | null; readonly head: 8 | null }>> = {
  fp32: { layers: null, head: null },
  f16: { layers: null, head: null },
  int8: { layers: 8, head: 8 },
  int4: { layers: 4, head: 8 },
};
/** Activations stay as they are: other levels quantize them by block. */
const ACCURACY = 0;

export function residentProducts(
  { precision, half }: { readonly precision: ResidentPrecision; readonly half: boolean },
  graph: Graph,
): Products {
  const bits = BITS[precision];
  const floats = (data: Float32Array, shape: readonly number[], hollow?: true): Value => {
    if (!half) return graph.constant(data, shape);
    return graph.constant(hollow ? new Uint16Array(data.length) : toFloat16(data), shape);
  };
  const whole = (x: Value, matrix: Matrix): Value => {
    const { data, rows, columns, hollow } = transpose(matrix);
    return graph.op("MatMul", [x, floats(data, [rows, columns], hollow)]);
  };
  const blocks = (x: Value, matrix: Matrix, width: 4 | 8): Value => {
    const { data, shape, scales, blockSize } = quantizeBlocks(matrix, width);
    const inputs = [x, graph.constant(data, shape), floats(scales, [scales.length])];
    const sizes = { K: matrix.columns, N: matrix.rows, bits: width, block_size: blockSize };
    return graph.op("MatMulNBits", inputs, { ...sizes, accuracy_level: ACCURACY });
  };
  const product = (x: Value | Rows, matrix: Matrix, width: 4 | 8 | null): Value => {
    const value = "value" in x ? x.value : x; // no product here leaves scales behind
    return width === null ? whole(value, matrix) : blocks(value, matrix, width);
  };
  return {
    graph,
    dtype: half ? "float16" : "float32",
    floats: (data, shape) => floats(data, shape),
    apply(x, { matrix, bias }) {
      const y = product(x, matrix, bits.layers);
      return bias === null ? y : graph.op("Add", [y, floats(bias, [bias.length])]);
    },
    applyUnscaled: (x, { matrix }) => ({ value: product(x, matrix, bits.layers), scale: null }),
    embed: (ids, { data, rows, columns, hollow }) => graph.op("Gather", [floats(data, [rows, columns], hollow), ids]),
    async head(x, table) {
      const logits = product(x, await table(), bits.head);
      return { logits, scale: null, next: graph.op("ArgMax", [logits], { axis: -1, keepdims: 0 }) };
    },
  };
}
