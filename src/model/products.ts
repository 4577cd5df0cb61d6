/**
 * Matrix products in each precision, as nodes of a graph: what `fp32`, `int8`, `int4` and `stored` mean on a processor. Also how token ids become
 * vectors and logits become the next token, because both share the vocabulary's table. Knows nothing about the model around.
 *
 * Rows must not influence each other, or decoding would not be exact: activations are scaled row by row, never by tensor.
 */
import type { Graph, Value } from "../graph/graph.ts";
import { toFloat16 } from "./float16.ts";
import type { Product } from "./layered-weights.ts";
import { diagonal, type Matrix, piecesOf, transpose } from "./matrix.ts";
import type { HostPrecision } from "./precision.ts";
import { type BlockWeights, quantizeBlocks, quantizeRows } from "./quantize.ts";
import { Rotation, segmentOf } from "./rotation.ts";
import { halvedBlocks, storedBlocks } from "./stored-blocks.ts";

/** Which product of the model: schemes differ in how they treat them. */
export type ProductKind = "qkv" | "output" | "gate" | "up" | "down";

/** A tensor `(1, S, N)` whose rows are still to be multiplied by `scale`, `(1, S, 1)`; null for nothing to do. */
export interface Rows {
  readonly value: Value;
  readonly scale: Value | null;
}

export interface Products {
  readonly graph: Graph;
  /** What activations are, and the cache. */
  readonly dtype: "float32" | "float16";
  /** A constant of that type, such as the weights of a norm. */
  floats(data: Float32Array, shape: readonly number[]): Value;
  /** x · Wᵀ + b, for x of shape `(1, S, in)`. */
  apply(x: Value | Rows, product: Product, kind: ProductKind): Value;
  /** The same, but the rows' scales are left to the next product if that is cheaper. Products without bias only. */
  applyUnscaled(x: Value, product: Product, kind: ProductKind): Rows;
  /** The vectors of token ids `(1, S)` as `(1, S, D)`, from a table `(V, D)`. */
  embed(ids: Value, table: Matrix): Value;
  /** From x `(1, H, D)` to the vocabulary. The table is asked for only where `embed` has not made all of it already. */
  head(x: Value, table: () => Promise<Matrix>): Promise<Head>;
}

export interface Head {
  readonly logits: Value; // (1, H, V)
  /** What to multiply each row of logits by, `(1, H, 1)`: a caller that only wants the largest can skip it. */
  readonly scale: Value | null;
  /** The greedy next ids `(1, H)`. Ties go to the smallest id in fp32, to the better rough logit in low precisions. */
  readonly next: Value;
  /** The likeliest ids `(1, H, c)` by these logits, the likeliest first, and better logits of them, where they are at hand. */
  readonly candidates?: { readonly ids: Value; readonly logits: Value };
}

export interface ProductOptions {
  /** Embedding and head are the same table, stored once where the precision allows. */
  readonly tiedHead: boolean;
  /** The engine's products of unsigned by signed bytes saturate at 16 bits (x86 without VNNI). */
  readonly saturates: boolean;
  /**
   * The engine multiplies blocks of eight bits as they are. Where it makes floats of them in each pass, as in WebAssembly, int8 has
   * rows only. Default: true.
   */
  readonly blocks?: boolean;
  /**
   * int8 and stored: matrices for queries, keys and values of up to so many numbers stay float32, and in `stored` those of the last layer.
   * Default: `WHOLE_WEIGHTS`.
   */
  readonly wholeWeights?: number;
  /** Numbers of a constant in few bits, at most: larger matrices are multiplied in pieces. Default: `PIECE`. */
  readonly piece?: number;
}

export function productsFor(precision: HostPrecision, graph: Graph, options: ProductOptions): Products {
  if (precision === "fp32") return fp32Products(graph, options);
  if (precision === "int8") return int8Products(graph, options);
  if (precision === "int4") return blockProducts(graph, options, FOUR_BITS);
  const { wholeWeights = WHOLE_WEIGHTS } = options;
  return blockProducts(graph, options, {
    layers: halvedBlocks,
    head: storedBlocks,
    wholeWeights,
  });
}

/** What all precisions of a processor have in common. */
const inFloats = (graph: Graph): Pick<Products, "graph" | "dtype" | "floats"> => ({
  graph,
  dtype: "float32",
  floats: (data, shape) => graph.constant(data, shape),
});

/** Plain float32. */
function fp32Products(graph: Graph, { tiedHead }: ProductOptions): Products {
  let tied: Value | null = null;
  return {
    ...inFloats(graph),
    apply: (x, { matrix, bias }) => withBias(graph, wholeProduct(graph, scaled(graph, x), matrix), bias),
    applyUnscaled: (x, { matrix }) => ({ value: wholeProduct(graph, x, matrix), scale: null }),
    embed(ids, table) {
      if (tiedHead) tied = columnsOf(graph, table);
      return graph.op("Gather", [graph.constant(table.data, [table.rows, table.columns]), ids]);
    },
    async head(x, table) {
      const logits = graph.op("MatMul", [x, tied ?? columnsOf(graph, await table())]);
      return { logits, scale: null, next: graph.op("ArgMax", [logits], { axis: -1, keepdims: 0 }) };
    },
  };
}

/** x · Wᵀ in float32. */
const wholeProduct = (graph: Graph, x: Value, matrix: Matrix): Value =>
  graph.op("MatMul", [x, columnsOf(graph, matrix)]);

/** Wᵀ in float32. */
function columnsOf(graph: Graph, matrix: Matrix): Value {
  const { data, rows, columns } = transpose(matrix);
  return graph.constant(data, [rows, columns]);
}

/**
 * Eight bits. What reads the residual stream (queries, keys, values, gate, up, head) has one scale for each output
 * channel and one for each row of activations, so that it is a big integer product whose sums are exact and whose cost
 * is nearly flat in the rows. Segments of those activations are rotated first, and the weights' columns with them,
 * which spreads outliers and leaves the product as it was (QuaRot, arXiv:2404.00456, section 3). Queries, keys and
 * values, from whose rounding attention suffers most, stay float32 in small models and have a second plane of weights
 * in others. The two products that write to the stream are quantized in blocks of 32, where the engine has a kernel for them.
 * `docs/log/int8.md` has what was measured, and what did not work.
 */
function int8Products(graph: Graph, options: ProductOptions): Products {
  const { wholeWeights = WHOLE_WEIGHTS, blocks = true, piece: most = PIECE } = options;
  const rows = new RowQuantizer(graph);
  const bytesOf = (
    matrix: Matrix,
    planes: 1 | 2,
    rotation: Rotation | null = null,
  ): readonly [columns: Value, scales: Value] => {
    const { data, shape, scales } = quantizeRows(matrix, planes, rotation);
    return [
      graph.constant(options.saturates ? toUnsigned(data) : data, shape),
      graph.constant(scales, [scales.length]),
    ];
  };
  const byRow = (bytes: Value, [columns, scales]: readonly [Value, Value]): Value => {
    const zeros = options.saturates ? [graph.byte(128), graph.byte(128)] : [graph.byte(128)];
    return graph.op("MatMulIntegerToFloat", [bytes, columns, graph.scalar(ROW_STEP), scales, ...zeros]);
  };
  const rotated = (x: Value | Rows, matrix: Matrix, planes: 1 | 2): Rows => {
    const segment = segmentOf(matrix.columns);
    const { bytes, scale } = rows.quantize(x, matrix.columns, segment);
    const rotation = segment > 1 ? new Rotation(segment) : null;
    const product = inPieces(graph, matrix, most / planes, (piece) => {
      const weights = bytesOf(piece, planes, rotation);
      return (bytes) => {
        const both = byRow(bytes, weights);
        if (planes === 1) return both;
        const [first, second] = graph.ops("Split", [both], 2, { axis: -1, num_outputs: 2 }) as [Value, Value];
        return graph.op("Add", [first, second]);
      };
    });
    return { value: product(bytes), scale };
  };
  const product = (x: Value | Rows, { matrix }: Product, kind: ProductKind): Rows => {
    if (blocks && IN_BLOCKS.has(kind)) {
      // Each row is scaled inside by its own largest magnitudes, so what it is still to be multiplied by can wait.
      const { value, scale } = rowsOf(x);
      return { value: blockProduct(graph, matrix, eightBits, most)(value), scale };
    }
    if (kind === "qkv" && matrix.data.length <= wholeWeights) {
      return { value: wholeProduct(graph, scaled(graph, x), matrix), scale: null };
    }
    return rotated(x, matrix, kind === "qkv" ? 2 : 1);
  };
  return {
    ...inFloats(graph),
    apply: (x, weights, kind) => withBias(graph, scaled(graph, product(x, weights, kind)), weights.bias),
    applyUnscaled: product,
    ...lowPrecisionVocabulary(graph, options, (table) => {
      const product = inPieces(graph, table, most, (piece) => {
        const weights = bytesOf(piece, 1);
        return (bytes) => byRow(bytes, weights);
      });
      return (x) => {
        const { bytes, scale } = rows.quantize(x, table.columns, 1);
        return { logits: product(bytes), scale };
      };
    }),
  };
}

type BlockMaker = (matrix: Matrix) => BlockWeights;
const eightBits: BlockMaker = (matrix) => quantizeBlocks(matrix, 8);

/** How blocks of weights are made of a matrix: in the layers, and for the head. */
interface BlockMakers {
  readonly layers: BlockMaker;
  readonly head: BlockMaker;
  /**
   * Matrices of up to so many numbers stay float32 where rounding does most: for queries, keys and values, from which attention suffers, and in the
   * last layer.
   */
  readonly wholeWeights: number;
}

/** `int4`: half the memory of int8 and less faithful, for models that do not fit otherwise. The head stays in eight bits. */
const FOUR_BITS: BlockMakers = {
  layers: (matrix) => quantizeBlocks(matrix, 4),
  head: eightBits,
  wholeWeights: 0,
};

/** Every product in blocks of 32 along the input, each with its own scale: those of `int4`, or those that the file stores. */
function blockProducts(graph: Graph, options: ProductOptions, make: BlockMakers): Products {
  const { piece: most = PIECE } = options;
  const product = (x: Value, { matrix, last = false }: Product, kind: ProductKind): Value => {
    const whole = (kind === "qkv" || last) && matrix.data.length <= make.wholeWeights;
    return whole ? wholeProduct(graph, x, matrix) : blockProduct(graph, matrix, make.layers, most)(x);
  };
  return {
    ...inFloats(graph),
    apply: (x, weights, kind) => withBias(graph, product(scaled(graph, x), weights, kind), weights.bias),
    applyUnscaled: (x, weights, kind) => ({ value: product(x, weights, kind), scale: null }),
    ...lowPrecisionVocabulary(graph, options, (table) => {
      const product = blockProduct(graph, table, make.head, most);
      return (x) => ({ logits: product(x), scale: null });
    }),
  };
}

/** x · Wᵀ with weights, and inside the engine activations, quantized in blocks along the input. The x may come later. */
function blockProduct(graph: Graph, matrix: Matrix, make: BlockMaker, most: number): (x: Value) => Value {
  return inPieces(graph, matrix, most, (piece) => {
    const { data, shape, scales, zeros, blockSize } = make(piece);
    const bits = shape[2] === blockSize ? 8 : 4;
    const constants = [graph.constant(data, shape), graph.constant(scales, [scales.length])];
    if (zeros) constants.push(graph.constant(zeros, [zeros.length]));
    const attributes = { K: piece.columns, N: piece.rows, bits, block_size: blockSize, accuracy_level: 4 };
    return (x) => graph.op("MatMulNBits", [x, ...constants], attributes);
  });
}

/**
 * Numbers of a constant in few bits, at most. As it opens a graph, the engine packs each constant into memory that it gives back at once. What C
 * libraries get of more than 32 MB comes new from the system each time, page by page: that was a third of what opening a large model took.
 */
const PIECE = 24 * 2 ** 20;

/** A product with a large matrix as several with some of its output channels each, of at most `most` numbers. */
function inPieces(graph: Graph, matrix: Matrix, most: number, make: (piece: Matrix) => (x: Value) => Value) {
  const products = piecesOf(matrix, most).map(make);
  const [only] = products;
  if (products.length === 1 && only) return only;
  return (x: Value): Value =>
    graph.op(
      "Concat",
      products.map((product) => product(x)),
      { axis: -1 },
    );
}

/** Candidates of the low-precision head that are computed again in half precision. Draft rows hand them out. */
export const CANDIDATES = 4;

/** From x to the logits of a table's product in few bits. */
type RoughLogits = (x: Value) => Omit<Head, "next">;

/**
 * Embedding and head of the low precisions: the table in half precision, and a head that finds the best candidates by
 * rough logits and then ranks them by the table itself. The logits handed out are the rough ones. `roughLogits` makes the
 * constants of a table: of a tied one with the embedding, so that it is read once.
 */
function lowPrecisionVocabulary(
  graph: Graph,
  { tiedHead }: ProductOptions,
  roughLogits: (table: Matrix) => RoughLogits,
): Pick<Products, "embed" | "head"> {
  interface Vocabulary {
    readonly halves: Value; // (V, D)
    readonly size: number;
    readonly rough: RoughLogits;
  }
  const halvesOf = ({ data, rows, columns, hollow }: Matrix): Value =>
    graph.constant(hollow ? new Uint16Array(data.length) : toFloat16(data), [rows, columns]);
  const vocabularyOf = (table: Matrix): Vocabulary => {
    return { halves: halvesOf(table), size: table.rows, rough: roughLogits(table) };
  };
  let tied: Vocabulary | null = null;
  return {
    embed(ids, table) {
      if (tiedHead) tied = vocabularyOf(table);
      return graph.op("Cast", [graph.op("Gather", [tied?.halves ?? halvesOf(table), ids])], { to: FLOAT32 });
    },
    async head(x, table) {
      const { halves, size, rough } = tied ?? vocabularyOf(await table());
      const count = Math.min(CANDIDATES, size);
      const { logits, scale } = rough(x); // (1, H, V)
      const [, ids] = graph.ops("TopK", [logits, graph.integers(count)], 2, { axis: -1 }) as [Value, Value];
      const vectors = graph.op("Cast", [graph.op("Gather", [halves, ids])], { to: FLOAT32 }); // (1, H, c, D)
      const exact = graph.op("MatMul", [vectors, graph.op("Unsqueeze", [x, graph.integers(-1)])]); // (1, H, c, 1)
      const best = graph.op("ArgMax", [exact], { axis: 2, keepdims: 0 }); // (1, H, 1)
      const next = graph.op("GatherElements", [ids, best], { axis: 2 });
      const squeezed = (value: Value): Value => graph.op("Squeeze", [value, graph.integers(-1)]);
      return { logits, scale, next: squeezed(next), candidates: { ids, logits: squeezed(exact) } };
    },
  };
}

const FLOAT32 = 1;
/**
 * In int8, matrices for queries, keys and values of up to so many numbers stay float32: reading twice the bytes of two planes
 * takes less time than the nodes around them, up to about here.
 */
export const WHOLE_WEIGHTS: number = 2 ** 20;
/** Products whose activations have outliers of their own in every row: a scale for each block contains them. */
const IN_BLOCKS: ReadonlySet<ProductKind> = new Set<ProductKind>(["output", "down"]);
/** One step of a row's bytes, as a share of the row's largest magnitude. */
const ROW_STEP = 1 / 127;

interface QuantizedRows {
  readonly bytes: Value; // uint8 (1, S, in), zero point 128
  readonly scale: Value; // (1, S, 1)
}

/** Rotates and quantizes activations, each row by its own largest magnitude; a tensor that several products read, once. */
class RowQuantizer {
  readonly #graph: Graph;
  readonly #known = new Map<string, QuantizedRows>();
  readonly #rotations = new Map<number, Value>();

  constructor(graph: Graph) {
    this.#graph = graph;
  }

  quantize(x: Value | Rows, channels: number, segment: number): QuantizedRows {
    const { value: plain, scale: pending } = rowsOf(x);
    const key = `${plain.name}/${segment}`;
    const known = this.#known.get(key);
    if (known !== undefined) return known;
    const graph = this.#graph;
    const value = segment > 1 ? this.#rotate(plain, channels, segment) : plain;
    const largest = graph.op("ReduceMax", [graph.op("Abs", [value]), graph.integers(-1)], { keepdims: 1 });
    const unit = graph.op("Div", [value, largest]); // a row of zeros becomes NaN, then some byte, then zero again
    const bytes = graph.op("QuantizeLinear", [unit, graph.scalar(ROW_STEP), graph.byte(128)]);
    const quantized = { bytes, scale: pending === null ? largest : graph.op("Mul", [largest, pending]) };
    this.#known.set(key, quantized);
    return quantized;
  }

  #rotate(x: Value, channels: number, segment: number): Value {
    const graph = this.#graph;
    let rotation = this.#rotations.get(segment);
    if (rotation === undefined) {
      const matrix = diagonal(new Float32Array(segment).fill(1));
      new Rotation(segment).apply(matrix.data);
      rotation = graph.constant(matrix.data, [segment, segment]);
      this.#rotations.set(segment, rotation);
    }
    const segments = graph.op("Reshape", [x, graph.integers(1, -1, segment)]);
    return graph.op("Reshape", [graph.op("MatMul", [segments, rotation]), graph.integers(1, -1, channels)]);
  }
}

function rowsOf(x: Value | Rows): Rows {
  return "value" in x ? x : { value: x, scale: null };
}

/** A tensor with its rows multiplied by their pending scale. */
function scaled(graph: Graph, x: Value | Rows): Value {
  if (!("value" in x)) return x;
  return x.scale === null ? x.value : graph.op("Mul", [x.value, x.scale]);
}

function withBias(graph: Graph, y: Value, bias: Float32Array | null): Value {
  return bias === null ? y : graph.op("Add", [y, graph.constant(bias, [bias.length])]);
}

function toUnsigned(signed: Int8Array): Uint8Array {
  const unsigned = new Uint8Array(signed.length);
  for (let i = 0; i < signed.length; i++) unsigned[i] = (signed[i] as number) + 128;
  return unsigned;
}
