/**
 * Dense float32 matrices as the model needs them before they are quantized: row-major, `(rows, columns)`. Plain loops, blocked
 * where the cache asks for it. Knows nothing about graphs or files.
 */
import { numberKernels, PANEL_BYTES } from "./number-kernels.ts";

export interface Matrix {
  readonly rows: number;
  readonly columns: number;
  readonly data: Float32Array; // (rows, columns)
  /** Only its sizes are known. All numbers are zero, and what is made of them is not read. */
  readonly hollow?: true;
  /** The blocks that the file stores it in, where they were asked for and it does. */
  readonly blocks?: StoredBlocks | undefined;
}

/** Columns of a block. */
export const BLOCK = 32;

/** What the file says of the blocks of a matrix, row by row. */
export interface StoredBlocks {
  /** Bits that hold the codes. */
  readonly bits: 4 | 8;
  /** Whether offsets are the block's own; if not, the middle code means zero. */
  readonly ownOffsets: boolean;
  readonly largest: Uint8Array; // (out * blocks,): the largest code, or 0 where the file stores the elements otherwise
  readonly scales: Float32Array; // (out * blocks,)
  readonly offsets: Float32Array; // (out * blocks,)
}

/** A matrix of which only the sizes matter, where another process makes the numbers. Its zeros take no memory until touched. */
export function hollowMatrix(rows: number, columns: number): Matrix {
  return { rows, columns, data: new Float32Array(rows * columns), hollow: true };
}

/** Rows and columns that are transposed together. */
const VECTOR = 4;

/** The transposed matrix, a copy. It is made in panels of rows. */
export function transpose({ rows, columns, data, hollow }: Matrix): Matrix {
  if (hollow) return hollowMatrix(columns, rows);
  const out = new Float32Array(data.length);
  const filled = Math.ceil(columns / VECTOR) * VECTOR;
  const most = Math.max(VECTOR, Math.floor(PANEL_BYTES / 4 / filled / VECTOR) * VECTOR);
  const panel = Math.min(most, Math.ceil(rows / VECTOR) * VECTOR);
  const kernels = numberKernels();
  const memory = kernels.memory(4 * filled * (VECTOR + panel));
  const [stride, apart, to] = [4 * filled, 4 * panel, 4 * VECTOR * filled];
  const input = new Float32Array(memory, 0, VECTOR * filled);
  const made = new Float32Array(memory, to, filled * panel); // (filled, panel)
  for (let first = 0; first < rows; first += panel) {
    const count = Math.min(panel, rows - first);
    for (let r = 0; r < count; r += VECTOR) {
      for (let i = 0; i < Math.min(VECTOR, count - r); i++) {
        const from = (first + r + i) * columns;
        input.set(data.subarray(from, from + columns), i * filled);
      }
      kernels.run("transposeFloats", 0, stride, stride, to + 4 * r, apart);
    }
    if (panel === rows) out.set(made.subarray(0, out.length));
    else for (let c = 0; c < columns; c++) out.set(made.subarray(c * panel, c * panel + count), c * rows + first);
  }
  return { rows: columns, columns: rows, data: out };
}

/** Matrices of the same number of columns, one below the other. */
export function stack(parts: readonly Matrix[]): Matrix {
  const columns = (parts[0] as Matrix).columns;
  const rows = parts.reduce((sum, part) => sum + part.rows, 0);
  const blocks = stackBlocks(parts);
  if (parts.some((part) => part.hollow)) return { ...hollowMatrix(rows, columns), blocks };
  const data = new Float32Array(rows * columns);
  let at = 0;
  for (const part of parts) {
    data.set(part.data, at);
    at += part.data.length;
  }
  return { rows, columns, data, blocks };
}

/** Blocks of matrices that lie one below the other. Undefined where none is stored in blocks. */
function stackBlocks(parts: readonly Matrix[]): StoredBlocks | undefined {
  if (parts.every((part) => part.blocks === undefined)) return undefined;
  const counts = parts.map(({ rows, columns, hollow }) => (hollow ? 0 : rows * Math.ceil(columns / BLOCK)));
  const total = counts.reduce((sum, count) => sum + count, 0);
  const whole = {
    bits: parts.every((part) => part.blocks?.bits === 4) ? 4 : 8,
    ownOffsets: parts.some((part) => part.blocks?.ownOffsets),
    largest: new Uint8Array(total),
    scales: new Float32Array(total),
    offsets: new Float32Array(total),
  } as const;
  let at = 0;
  for (const [i, { blocks, hollow }] of parts.entries()) {
    if (blocks !== undefined && !hollow) {
      whole.largest.set(blocks.largest, at);
      whole.scales.set(blocks.scales, at);
      whole.offsets.set(blocks.offsets, at);
    }
    at += counts[i] as number;
  }
  return whole;
}

/** Rows of all pieces but the last are a multiple of this many, as many as the engine takes together. */
const PIECE_ROWS = 128;

/** The matrix cut into pieces of rows with no more than `most` numbers each, or `PIECE_ROWS` rows: views, with what is stored of them. */
export function piecesOf(matrix: Matrix, most: number): readonly Matrix[] {
  const { rows, columns } = matrix;
  const count = Math.ceil((rows * columns) / most);
  if (count <= 1) return [matrix];
  const share = Math.ceil(rows / count / PIECE_ROWS);
  const step = PIECE_ROWS * Math.max(1, share * PIECE_ROWS * columns <= most ? share : share - 1);
  const pieces: Matrix[] = [];
  for (let from = 0; from < rows; from += step) pieces.push(piece(matrix, from, Math.min(rows, from + step)));
  return pieces;
}

function piece({ columns, data, hollow, blocks }: Matrix, from: number, to: number): Matrix {
  const own = {
    rows: to - from,
    columns,
    data: data.subarray(from * columns, to * columns),
    ...(hollow && { hollow }),
  };
  if (blocks === undefined || hollow) return { ...own, blocks };
  const width = Math.ceil(columns / BLOCK);
  const cut = <T extends Uint8Array | Float32Array>(values: T): T => values.subarray(from * width, to * width) as T;
  const { bits, ownOffsets, largest, scales, offsets } = blocks;
  return { ...own, blocks: { bits, ownOffsets, largest: cut(largest), scales: cut(scales), offsets: cut(offsets) } };
}

/** The square matrix with `values` on its diagonal. */
export function diagonal(values: Float32Array): Matrix {
  const size = values.length;
  const data = new Float32Array(size * size);
  for (let i = 0; i < size; i++) data[i * size + i] = values[i] as number;
  return { rows: size, columns: size, data };
}
