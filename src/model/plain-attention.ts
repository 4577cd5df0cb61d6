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

/** Where the rows of a pass go in the cache, `(1, kvHeads, rows, 3)`: batch, head and place of each. The place is the `from`th on. */
export function newPlaces(
  { kvHeads }: Pick<ModelConfig, "kvHeads">,
  { rows, from }: { readonly rows: number; readonly from: number },
): BigInt64Array {
  const all = new BigInt64Array(kvHeads * rows * 3);
  const low = new Int32Array(all.buffer); // no number is negative or needs the upper halves, and numbers are made faster than bigints
  let at = 0;
  for (let head = 0; head < kvHeads; head++) {
    for (let row = 0; row < rows; row++, at += 6) {
      low[at + 2] = head;
      low[at + 4] = from + row;
    }
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
  /** See `newPlaces`. */
  readonly places: Value; // (1, kvHeads, S, 3)
}

/** What attention gives, `(1, S, heads * headSize)`, and the rotated keys and the values of the rows, `(1, kvHeads, S, headSize)`. */
export function plainAttention(
  graph: Graph,
  config: ModelConfig,
  { rows, positions, rotation, bias, past, places }: PlainAttentionInputs,
): [Value, Value, Value] {
  const { heads, kvHeads, headSize, attentionCap } = config;
  const rotatedHeads = heads + kvHeads;
  const all = rows.length === 1 ? rows[0] : graph.op("Concat", rows, { axis: -1 });
  const split = graph.op("Reshape", [all, graph.integers(1, -1, heads + 2 * kvHeads, headSize)]);
  const byHead = graph.op("Transpose", [split], { perm: [0, 2, 1, 3] }); // (1, heads + 2 * kvHeads, S, headSize)
  const apart = (x: Value, ...sizes: [number, number]): [Value, Value] =>
    graph.ops("Split", [x, graph.integers(...sizes)], 2, { axis: 1 }) as [Value, Value];
  const [toRotate, values] = apart(byHead, rotatedHeads, kvHeads);
  const rotated =
    rotation === null
      ? toRotate
      : graph.op(
          "RotaryEmbedding",
          [toRotate, positions, rotation.cos, rotation.sin],
          rotationOf(config, rotatedHeads),
        );
  const [q, keys] = apart(rotated, heads, kvHeads);
  const queries = graph.op("Reshape", [q, graph.integers(1, kvHeads, -1, headSize)]);

  /** All places, with the new rows in theirs. */
  const filled = (cache: Value, rows: Value): Value => graph.op("ScatterND", [cache, places, rows]);
  const alpha = { float: scoreScale(config) };
  const raw = graph.op("FusedMatMul", [queries, filled(past[0] as Value, keys)], { transB: 1, alpha });
  const scores = attentionCap === undefined ? raw : capped(graph, raw, attentionCap, (value) => graph.scalar(value));
  const shares = graph.op("Softmax", [graph.op("Add", [scores, bias])], { axis: -1 }); // (1, kvHeads, heads / kvHeads * S, C)
  const mixed = graph.op("MatMul", [shares, filled(past[1] as Value, values)]);
  const ofHeads = graph.op("Reshape", [mixed, graph.integers(1, heads, -1, headSize)]);
  const together = graph.op("Transpose", [ofHeads], { perm: [0, 2, 1, 3] });
  return [graph.op("Reshape", [together, graph.integers(1, -1, heads * headSize)]), keys, values];
}
