/**
 * Attention of one sequence in plain products, for engines whose fused attention is slow. Knows nothing of layers and slots.
 *
 * Every row is multiplied with all places of the cache, used or not, and what it must not see is hidden by the bias. Sums
 * therefore always have the same terms in the same order, so that a row keeps its bits whatever the other rows of its pass
 * are. This holds under two conditions: the number of places is a multiple of `PLACES`, so that kernels never meet a remainder,
 * and no product is split into columns for several threads, because the kernels choose by the columns of a thread how they
 * cut their sums. The engine first gives each thread products of its own, so there must be one for each: `mostThreads`.
 */
import type { Graph, Value } from "../graph/graph.ts";
import { capped, type Rotation, rotationOf, scoreScale } from "./attention.ts";
import type { ModelConfig } from "./config.ts";

/** The cache of plain attention has a multiple of this many places. */
export const PLACES = 64;
/** Added to the scores of places that a row must not see. */
const HIDDEN = -1e9;

/** Threads that may run a graph of plain attention. */
export function mostThreads({ kvHeads }: Pick<ModelConfig, "kvHeads">): number {
  return kvHeads;
}

/**
 * What is added to the scores of each row, `(rows, capacity)`, from what is added to those it sees by causality, `(rows, past + rows)`.
 * The first `lead` places are nobody's.
 */
export function plainBias(
  bias: Float32Array,
  {
    rows,
    past,
    capacity,
    slidingWindow,
    lead,
  }: { rows: number; past: number; capacity: number; slidingWindow: number | null; lead: number },
): Float32Array {
  const total = past + rows;
  const all = new Float32Array(rows * capacity).fill(HIDDEN);
  for (let row = 0; row < rows; row++) {
    const place = past + row;
    const from = slidingWindow === null ? 0 : Math.max(0, place - slidingWindow + 1); // places, as the engine's own attention counts
    all.set(bias.subarray(row * total + from, row * total + place + 1), row * capacity + lead + from);
  }
  return all;
}

export interface PlainAttentionInputs {
  /** Queries, keys and values of the S rows: in one, `(1, S, (heads + 2 * kvHeads) * headSize)`, or apart. */
  readonly rows: readonly [Value] | readonly [queries: Value, keys: Value, values: Value];
  readonly positions: Value; // (1, S)
  /** Null: queries and keys are not rotated. */
  readonly rotation: Rotation | null;
  /** Added to the scores, for the queries that share a key below each other: `(1, 1, heads / kvHeads * S, C)`. */
  readonly bias: Value;
  /** Cached keys and values, `(1, kvHeads, C, headSize)` each. */
  readonly past: readonly Value[];
  /** The places of the new rows, `(1,)` each. */
  readonly added: { readonly from: Value; readonly to: Value };
}

/** What attention gives, `(1, S, heads * headSize)`, and the rotated keys and the values of the rows, `(1, kvHeads, S, headSize)`. */
export function plainAttention(
  graph: Graph,
  config: ModelConfig,
  { rows, positions, rotation, bias, past, added }: PlainAttentionInputs,
): [Value, Value, Value] {
  const { heads, kvHeads, headSize, attentionCap } = config;
  const rotatedHeads = heads + kvHeads;
  const [toRotate, values] = ((): [Value, Value] => {
    if (rows.length === 3) return [graph.op("Concat", [rows[0], rows[1]], { axis: -1 }), rows[2]];
    const sizes = graph.integers(rotatedHeads * headSize, kvHeads * headSize);
    return graph.ops("Split", [rows[0], sizes], 2, { axis: -1 }) as [Value, Value];
  })();
  const byHead = (x: Value, count: number): Value =>
    graph.op("Transpose", [graph.op("Reshape", [x, graph.integers(1, -1, count, headSize)])], { perm: [0, 2, 1, 3] });
  const turned =
    rotation === null
      ? toRotate
      : graph.op(
          "RotaryEmbedding",
          [toRotate, positions, rotation.cos, rotation.sin],
          rotationOf(config, rotatedHeads),
        );
  const rotated = byHead(turned, rotatedHeads);
  const [q, keys] = graph.ops("Split", [rotated, graph.integers(heads, kvHeads)], 2, { axis: 1 }) as [Value, Value];
  const queries = graph.op("Reshape", [q, graph.integers(1, kvHeads, -1, headSize)]);
  const newValues = byHead(values, kvHeads);

  /** All places, with the new rows in theirs. */
  const filled = (cache: Value, rows: Value): Value => {
    const axis = graph.integers(2);
    const before = graph.op("Slice", [cache, graph.integers(0), added.from, axis]);
    const behind = graph.op("Slice", [cache, added.to, graph.integers(2 ** 31), axis]);
    return graph.op("Concat", [before, rows, behind], { axis: 2 });
  };
  const alpha = { float: scoreScale(config) };
  const raw = graph.op("FusedMatMul", [queries, filled(past[0] as Value, keys)], { transB: 1, alpha });
  const scores = attentionCap === undefined ? raw : capped(graph, raw, attentionCap, (value) => graph.scalar(value));
  const shares = graph.op("Softmax", [graph.op("Add", [scores, bias])], { axis: -1 }); // (1, kvHeads, heads / kvHeads * S, C)
  const mixed = graph.op("MatMul", [shares, filled(past[1] as Value, newValues)]);
  const apart = graph.op("Reshape", [mixed, graph.integers(1, heads, -1, headSize)]);
  const together = graph.op("Transpose", [apart], { perm: [0, 2, 1, 3] });
  return [graph.op("Reshape", [together, graph.integers(1, -1, heads * headSize)]), keys, newValues];
}
