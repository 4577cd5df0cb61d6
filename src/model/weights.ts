/**
 * The seam between checkpoints and the model: named tensors, read when asked for, as float32 in the layout and under the
 * names of Hugging Face's Llama (`model.layers.0.self_attn.q_proj.weight`, matrices as `(out, in)`), whatever the file
 * stores. Knows no file format.
 */
export interface Weights {
  /** All tensor names, in the file's order. */
  names(): readonly string[];
  has(name: string): boolean;
  /** Dimensions, outermost first. Throws `bad-weights` for an unknown name, naming near misses. */
  shape(name: string): readonly number[];
  /** The stored element type, for people: "F32", "BF16", "Q4_1", ... */
  dtype(name: string): string;
  /**
   * Elements as float32, dequantized: the whole tensor, or rows `[from, to)` of its first dimension. A fresh array that
   * the caller owns. Throws `bad-weights` where a value is NaN or infinite.
   */
  read(name: string, from?: number, to?: number): Promise<Float32Array>;
  /** How the file stores a matrix in blocks of 32 along its rows; null where it does not. Absent: it stores none so. */
  readonly blocks?: (name: string) => BlockForm | null;
  /**
   * The caller is done with all arrays that it has read: from now on their memory is used again for what is read next. Absent: it is not. New
   * memory costs the system as much as what is written to it.
   */
  readonly recycle?: () => void;
  /** Bytes on disk of all tensors. */
  readonly byteLength: number;
  close(): Promise<void>;
}

/** A matrix in blocks: each element is scale * code + offset, with the scale and the offset of its block. */
export interface BlockForm {
  /** Codes go from 0 to this. */
  readonly largest: number;
  /** The middle code means zero in every block. */
  readonly centered: boolean;
  /** Of all blocks, row by row, `(out * blocks,)`. */
  parameters(): Promise<{ readonly scales: Float32Array; readonly offsets: Float32Array }>;
}
