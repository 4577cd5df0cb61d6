/**
 * The bytes of a GGUF header, version 3: the writing twin of `header.ts`. Knows no model and no tokenizer.
 */

/** A metadata value with the type it is written in. */
export type MetadataValue =
  | { readonly u32: number }
  | { readonly f32: number }
  | { readonly bool: boolean }
  | { readonly string: string }
  | { readonly strings: readonly string[] }
  | { readonly f32s: Float32Array }
  | { readonly i32s: Int32Array };

/** A tensor's place: shape outermost first, offset from the start of the data. */
export interface TensorEntry {
  readonly name: string;
  readonly shape: readonly number[];
  /** ggml's number of the element type. */
  readonly type: number;
  readonly offset: number;
}

/** Tensors start at multiples of this. */
export const ALIGNMENT = 32;

/** Bytes that are missing until the next multiple of the alignment. */
export function paddingAfter(length: number): number {
  return (ALIGNMENT - (length % ALIGNMENT)) % ALIGNMENT;
}

/** The header up to where the data starts, padding included. */
export function ggufHeader(metadata: ReadonlyMap<string, MetadataValue>, tensors: readonly TensorEntry[]): Buffer {
  const parts = [Buffer.from("GGUF"), u32(3), u64(tensors.length), u64(metadata.size)];
  for (const [key, value] of metadata) parts.push(text(key), valueBytes(value));
  for (const { name, shape, type, offset } of tensors) {
    parts.push(text(name), u32(shape.length), ...shape.toReversed().map(u64), u32(type), u64(offset));
  }
  const length = parts.reduce((sum, part) => sum + part.length, 0);
  return Buffer.concat([...parts, Buffer.alloc(paddingAfter(length))]);
}

const U32 = 4;
const I32 = 5;
const F32 = 6;
const BOOL = 7;
const STRING = 8;
const ARRAY = 9;

function valueBytes(value: MetadataValue): Buffer {
  if ("u32" in value) return Buffer.concat([u32(U32), u32(value.u32)]);
  if ("f32" in value) return Buffer.concat([u32(F32), bytesOf(Float32Array.of(value.f32))]);
  if ("bool" in value) return Buffer.concat([u32(BOOL), Buffer.of(value.bool ? 1 : 0)]);
  if ("string" in value) return Buffer.concat([u32(STRING), text(value.string)]);
  if ("strings" in value) {
    return Buffer.concat([u32(ARRAY), u32(STRING), u64(value.strings.length), ...value.strings.map(text)]);
  }
  const [type, numbers] = "f32s" in value ? [F32, value.f32s] : [I32, value.i32s];
  return Buffer.concat([u32(ARRAY), u32(type), u64(numbers.length), bytesOf(numbers)]);
}

function bytesOf({ buffer, byteOffset, byteLength }: Float32Array | Int32Array): Buffer {
  return Buffer.from(buffer as ArrayBuffer, byteOffset, byteLength);
}

function u32(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32LE(value);
  return bytes;
}

function u64(value: number): Buffer {
  const bytes = Buffer.alloc(8);
  bytes.writeBigUInt64LE(BigInt(value));
  return bytes;
}

function text(value: string): Buffer {
  const bytes = Buffer.from(value);
  return Buffer.concat([u64(bytes.length), bytes]);
}
