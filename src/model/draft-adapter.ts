/**
 * A draft adapter in a decode graph: low-rank factors that are not merged, and a gate for each row. y = W x + gate · scale · B (A x), with
 * gate 1 for draft rows and 0 for all others, whose results keep their bits (Samragh et al., arXiv:2507.11851, section 3.1). Factors that
 * read the same input are one product. Knows how products are put together, and neither precisions nor files.
 */
import { CllmError } from "../error.ts";
import type { Value } from "../graph/graph.ts";
import type { ModelConfig } from "./config.ts";
import { toFloat16 } from "./float16.ts";
import type { DraftGroup, DraftShare, LayeredWeights, Product } from "./layered-weights.ts";
import type { LoraTarget, LowRank } from "./lora.ts";
import { type Matrix, stack, transpose } from "./matrix.ts";
import type { ProductKind, Products, Rows } from "./products.ts";

/** Factors by the module that each belongs to: `model.layers.0.self_attn.q_proj`. */
export type DraftAdapter = ReadonlyMap<string, LowRank>;

interface Part {
  readonly kind: ProductKind;
  readonly folder: "self_attn" | "mlp";
  readonly modules: readonly LoraTarget[];
  /** A matrix that has them all in models that pack them, and which part of its rows is this product. */
  readonly packed?: { readonly module: string; readonly part: number };
}

/** The products whose factors read the same input, and the modules that each is made of. */
const GROUPS: readonly (readonly Part[])[] = [
  [
    {
      kind: "qkv",
      folder: "self_attn",
      modules: ["q_proj", "k_proj", "v_proj"],
      packed: { module: "qkv_proj", part: 0 },
    },
  ],
  [{ kind: "output", folder: "self_attn", modules: ["o_proj"] }],
  [
    { kind: "gate", folder: "mlp", modules: ["gate_proj"], packed: { module: "gate_up_proj", part: 0 } },
    { kind: "up", folder: "mlp", modules: ["up_proj"], packed: { module: "gate_up_proj", part: 1 } },
  ],
  [{ kind: "down", folder: "mlp", modules: ["down_proj"] }],
];

/** Larger sums of factors could make numbers that are not finite, which no gate keeps from other rows. */
const LARGEST = 1e6;

/**
 * Throws `bad-weights` where what the adapter can add is not bounded: then a draft row could spoil rows beside it.
 *
 * @example requireBounded("mine", new Map([["model.layers.0.mlp.up_proj", { rank: 1, scale: 1, a, b, inputs: 8 }]]));
 */
export function requireBounded(name: string, adapter: DraftAdapter): void {
  for (const [module, { rank, scale, a, b, inputs }] of adapter) {
    const sums = Float64Array.from({ length: rank }, (_, k) =>
      a.subarray(k * inputs, (k + 1) * inputs).reduce((sum, value) => sum + Math.abs(value), 0),
    );
    let most = 0;
    for (let at = 0; at < b.length && !Number.isNaN(most); at += rank) {
      let sum = 0;
      for (let k = 0; k < rank; k++) sum += Math.abs(scale * (b[at + k] as number)) * (sums[k] as number);
      if (!(sum <= most)) most = sum; // also what is no number
    }
    if (most <= LARGEST) continue;
    const found = `the draft adapter ${name} has factors of ${module} whose products add up to ${most}`;
    throw new CllmError(
      "bad-weights",
      `${found}, and ${LARGEST} is the most: use an earlier checkpoint of the adapter`,
    );
  }
}

/** The weights with the adapter's shares on the products that have any, for `gatedProducts`. */
export function draftedWeights(
  { heads, kvHeads, headSize }: Pick<ModelConfig, "heads" | "kvHeads" | "headSize">,
  weights: LayeredWeights,
  adapter: DraftAdapter,
): LayeredWeights {
  const keys = kvHeads * headSize;
  const outputs: { readonly [M in LoraTarget]?: number } = { q_proj: heads * headSize, k_proj: keys, v_proj: keys };
  return {
    ...weights,
    async layer(index) {
      const layer = await weights.layer(index);
      const drafted: { [K in ProductKind]?: Product } = {};
      for (const parts of GROUPS) {
        const found = parts.map(({ kind, folder, modules, packed }) => {
          const of = (module: string): LowRank | null =>
            adapter.get(`model.layers.${index}.${folder}.${module}`) ?? null;
          const { rows } = layer[kind].matrix;
          const whole = packed === undefined ? null : of(packed.module);
          if (whole !== null) return { kind, factors: [rowsOf(whole, packed?.part ?? 0, rows)], rows: [rows] };
          return { kind, factors: modules.map(of), rows: modules.map((module) => outputs[module] ?? rows) };
        });
        const group = groupOf(found.map(({ factors }) => factors.filter((each) => each !== null)));
        for (const [share, { kind, factors, rows }] of found.entries()) {
          const b = blockDiagonal(factors, rows);
          if (group !== null && b.columns > 0) drafted[kind] = { ...layer[kind], draft: { group, share, b } };
        }
      }
      return { ...layer, ...drafted };
    },
  };
}

/** The same factors for part `part` of a matrix that is cut into parts of `rows` rows. */
function rowsOf(factors: LowRank, part: number, rows: number): LowRank {
  const from = part * rows * factors.rank;
  return { ...factors, b: factors.b.subarray(from, from + rows * factors.rank) };
}

/** A of several products, one below the other; null for none. */
function groupOf(products: readonly (readonly LowRank[])[]): DraftGroup | null {
  const all = products.flat();
  const [first] = all;
  if (first === undefined) return null;
  const parts = all.map(({ a, rank, inputs }) => ({ rows: rank, columns: inputs, data: a }));
  return { a: stack(parts), ranks: products.map((factors) => factors.reduce((sum, { rank }) => sum + rank, 0)) };
}

/** B of the modules of one product, each over its own rows of the product and its own ranks, with its scale. */
function blockDiagonal(factors: readonly (LowRank | null)[], outputs: readonly number[]): Matrix {
  const columns = factors.reduce((sum, each) => sum + (each?.rank ?? 0), 0);
  const rows = outputs.reduce((sum, each) => sum + each, 0);
  const data = new Float32Array(rows * columns);
  let [row, column] = [0, 0];
  for (const [i, each] of factors.entries()) {
    const size = outputs[i] as number;
    const { rank, scale, b } = each ?? { rank: 0, scale: 0, b: new Float32Array(0) };
    for (let r = 0; r < size; r++)
      for (let k = 0; k < rank; k++) data[(row + r) * columns + column + k] = scale * (b[r * rank + k] as number);
    row += size;
    column += rank;
  }
  return { rows, columns, data };
}

/** Below it, a row's scale counts as no scale: all its numbers are zero. */
const TINY = 1e-30;

/**
 * The same products, but that rows whose `gate` `(1, S, 1)` is 1 get what a draft adapter adds. The factors travel inside the model, so
 * that the constants outside are those of the graph without them.
 */
export function gatedProducts(products: Products, gate: Value): Products {
  const { graph, dtype } = products;
  const known = new Map<string, Map<DraftGroup, readonly Value[]>>();

  const matrix = (m: Matrix): Value => {
    const { rows, columns, data } = transpose(m);
    return graph.inner(dtype === "float16" ? toFloat16(data) : data, [rows, columns], dtype);
  };
  /** What the group's factors A give, for each of its products. The gate comes first: what is hidden is zero from there on. */
  const shares = (x: Value | Rows, group: DraftGroup): readonly Value[] => {
    const { value, scale } = "value" in x ? x : { value: x, scale: null };
    const byGroup = known.get(value.name) ?? new Map<DraftGroup, readonly Value[]>();
    known.set(value.name, byGroup);
    const found = byGroup.get(group);
    if (found !== undefined) return found;
    const factor = scale === null ? gate : graph.op("Mul", [gate, scale]);
    const low = graph.op("MatMul", [graph.op("Mul", [value, factor]), matrix(group.a)]); // (1, S, ranks)
    const sizes = group.ranks.filter((rank) => rank > 0);
    const parts =
      sizes.length === 1 ? [low] : graph.ops("Split", [low, graph.integers(...sizes)], sizes.length, { axis: -1 });
    let next = 0;
    const made = group.ranks.map((rank) => (rank > 0 ? (parts[next++] as Value) : low));
    byGroup.set(group, made);
    return made;
  };
  const shareOf = (x: Value | Rows, { group, share }: DraftShare): Value => shares(x, group)[share] as Value;

  return {
    ...products,
    apply(x, product, kind) {
      const y = products.apply(x, product, kind);
      if (product.draft === undefined) return y;
      return graph.op("Add", [y, graph.op("MatMul", [shareOf(x, product.draft), matrix(product.draft.b)])]);
    },
    applyUnscaled(x, product, kind) {
      const { value, scale } = products.applyUnscaled(x, product, kind);
      if (product.draft === undefined) return { value, scale };
      let own = shareOf(x, product.draft);
      if (scale !== null) own = graph.op("Div", [own, graph.op("Max", [scale, graph.scalar(TINY)])]); // the rows are scaled later
      return { value: graph.op("Add", [value, graph.op("MatMul", [own, matrix(product.draft.b)])]), scale };
    },
  };
}
