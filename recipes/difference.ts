/**
 * What one adapter has that another has not, as a draft adapter of a smaller rank: a CLLM's adapter as the beginning of drafts for the target
 * that it was made from. Trains nothing.
 */

import { writeAdapter } from "../src/checkpoint/peft/adapter.ts";
import { readAdapter } from "../src/checkpoint/peft/read-adapter.ts";
import type { Adapter, LoraModule } from "../src/checkpoint/peft/types.ts";

/** Writes `to` less `from`, both by folder or name, as a draft adapter for the base with `from` merged in. */
export async function writeDifference(folder: string, from: string, to: string, rank: number): Promise<void> {
  await writeAdapter(folder, differenceAdapter(await readAdapter(from), await readAdapter(to), rank));
}

/** Throws a `RangeError` where they are not of the same matrices. */
export function differenceAdapter(from: Adapter, to: Adapter, rank: number): Adapter {
  const modules = new Map<string, LoraModule>();
  for (const [name, module] of to.modules) {
    const before = from.modules.get(name);
    if (before === undefined || before.inputs !== module.inputs || before.outputs !== module.outputs)
      throw new RangeError(`${from.name} and ${to.name} differ in what they adapt: ${name}`);
    modules.set(name, lowRankDifference(before, module, rank));
  }
  const { draftTokenId, baseModel } = to;
  const baseAdapter = from.name.split(/[\\/]/).at(-1);
  return {
    name: `${to.name} less ${from.name}`,
    baseModel,
    rankStabilized: false,
    modules,
    draftTokenId,
    drafts: true,
    baseAdapter,
  };
}

/** The best approximation of to.scale · B A - from.scale · B' A' by factors of `rank` (Eckart and Young, Psychometrika 1936). */
export function lowRankDifference(from: LoraModule, to: LoraModule, rank: number): LoraModule {
  const { inputs, outputs } = to;
  // Columns of the left factor and rows of the right one, as vectors.
  const left = [...columnsOf(to, to.scale), ...columnsOf(from, -from.scale)];
  const right = [...rowsOf(to), ...rowsOf(from)];
  const [p, q] = [orthogonal(left), orthogonal(right)];
  const core = p.triangle.map((row) => q.triangle.map((other) => dot(row, other))); // Rp Rqᵀ
  const { u, s, v } = svd(core);
  const alpha = 2 * rank;
  const [a, b] = [new Float32Array(rank * inputs), new Float32Array(outputs * rank)];
  for (let k = 0; k < Math.min(rank, s.length); k++) {
    const root = Math.sqrt(s[k]!);
    for (let i = 0; i < outputs; i++)
      b[i * rank + k] = (root / 2) * p.basis.reduce((sum, column, j) => sum + column[i]! * u[j]![k]!, 0);
    for (let i = 0; i < inputs; i++)
      a[k * inputs + i] = root * q.basis.reduce((sum, column, j) => sum + column[i]! * v[j]![k]!, 0);
  }
  return { rank, alpha, scale: alpha / rank, a, b, inputs, outputs };
}

type Vector = Float64Array;

const dot = (x: Vector | readonly number[], y: Vector | readonly number[]): number => {
  let sum = 0;
  for (let i = 0; i < x.length; i++) sum += x[i]! * y[i]!;
  return sum;
};

const columnsOf = ({ b, rank, outputs }: LoraModule, scale: number): Vector[] =>
  Array.from({ length: rank }, (_, k) => Float64Array.from({ length: outputs }, (_, i) => scale * b[i * rank + k]!));

const rowsOf = ({ a, rank, inputs }: LoraModule): Vector[] =>
  Array.from({ length: rank }, (_, k) => Float64Array.from(a.subarray(k * inputs, (k + 1) * inputs)));

/** An orthogonal basis of the vectors, and the triangle that gives them back: vector j is the sum of triangle[i][j] · basis[i]. */
function orthogonal(vectors: readonly Vector[]): { basis: Vector[]; triangle: number[][] } {
  const basis = vectors.map((vector) => vector.slice());
  const triangle = vectors.map(() => new Array<number>(vectors.length).fill(0));
  for (const [j, own] of basis.entries()) {
    for (let again = 0; again < 2; again++) {
      for (let i = 0; i < j; i++) {
        const along = dot(basis[i]!, own);
        triangle[i]![j]! += along;
        for (let k = 0; k < own.length; k++) own[k]! -= along * basis[i]![k]!;
      }
    }
    const norm = Math.sqrt(dot(own, own));
    triangle[j]![j] = norm;
    for (let k = 0; k < own.length; k++) own[k] = norm > 1e-12 ? own[k]! / norm : 0;
  }
  return { basis, triangle };
}

/** Singular values in order, by rotations of pairs of columns (Hestenes 1958). m = u diag(s) vᵀ; u and v are by rows. */
export function svd(matrix: readonly (readonly number[])[]): { u: number[][]; s: number[]; v: number[][] } {
  const n = matrix[0]!.length;
  const columns = Array.from({ length: n }, (_, j) => Float64Array.from(matrix, (row) => row[j]!));
  const turned = Array.from({ length: n }, (_, j) => Float64Array.from({ length: n }, (_, i) => Number(i === j)));
  for (let sweep = 0; sweep < 60; sweep++) {
    let largest = 0;
    for (let i = 0; i < n - 1; i++) {
      for (let j = i + 1; j < n; j++) {
        const [x, y] = [columns[i]!, columns[j]!];
        const [xx, yy, xy] = [dot(x, x), dot(y, y), dot(x, y)];
        if (Math.abs(xy) <= 1e-14 * Math.sqrt(xx * yy) || xy === 0) continue;
        largest = Math.max(largest, Math.abs(xy) / Math.sqrt(xx * yy));
        const tau = (yy - xx) / (2 * xy);
        const t = Math.sign(tau || 1) / (Math.abs(tau) + Math.sqrt(1 + tau * tau));
        const c = 1 / Math.sqrt(1 + t * t);
        rotate(x, y, c, c * t);
        rotate(turned[i]!, turned[j]!, c, c * t);
      }
    }
    if (largest < 1e-12) break;
  }
  const norms = columns.map((column) => Math.sqrt(dot(column, column)));
  const order = norms.map((_, j) => j).sort((i, j) => norms[j]! - norms[i]!);
  const s = order.map((j) => norms[j]!);
  const byRow = (of: (j: number, i: number) => number, rows: number) =>
    Array.from({ length: rows }, (_, i) => order.map((j) => of(j, i)));
  return {
    s,
    u: byRow((j, i) => (norms[j]! > 0 ? columns[j]![i]! / norms[j]! : 0), matrix.length),
    v: byRow((j, i) => turned[j]![i]!, n),
  };
}

function rotate(x: Vector, y: Vector, c: number, s: number): void {
  for (let k = 0; k < x.length; k++) {
    const [a, b] = [x[k]!, y[k]!];
    x[k] = c * a - s * b;
    y[k] = s * a + c * b;
  }
}
