/** Plain floats of every size and how they become float32: all types of safetensors, and some of GGUF's. Knows no blocks and no file. */
import { type Codec, HALF } from "./codec.ts";

function decodeF32(bytes: Uint8Array, blocks: number, out: Float32Array): void {
  out.set(new Float32Array(bytes.buffer, bytes.byteOffset, blocks));
}

function decodeF16(bytes: Uint8Array, blocks: number, out: Float32Array): void {
  const bits = new Uint16Array(bytes.buffer, bytes.byteOffset, blocks);
  for (let i = 0; i < blocks; i++) out[i] = HALF[bits[i]!]!;
}

function decodeBF16(bytes: Uint8Array, blocks: number, out: Float32Array): void {
  const bits = new Uint16Array(bytes.buffer, bytes.byteOffset, blocks);
  const words = new Uint32Array(out.buffer, out.byteOffset, blocks);
  for (let i = 0; i < blocks; i++) words[i] = bits[i]! << 16;
}

/** Rounded to the nearest float32. */
function decodeF64(bytes: Uint8Array, blocks: number, out: Float32Array): void {
  const view = new DataView(bytes.buffer, bytes.byteOffset, blocks * 8);
  for (let i = 0; i < blocks; i++) out[i] = view.getFloat64(i * 8, true);
}

/** Eight-bit floats by their byte (Micikevicius et al., arXiv:2209.05433, table 1). */
function byteTable(exponentBits: number, hasInfinity: boolean): Float32Array {
  const fractionBits = 7 - exponentBits;
  const bias = 2 ** (exponentBits - 1) - 1;
  const largest = 2 ** exponentBits - 1;
  return Float32Array.from({ length: 256 }, (_, byte) => {
    const exponent = (byte >> fractionBits) & largest;
    const fraction = byte & (2 ** fractionBits - 1);
    const sign = byte & 128 ? -1 : 1;
    if (exponent === largest && hasInfinity) return fraction === 0 ? sign * Infinity : NaN;
    if (exponent === largest && fraction === 2 ** fractionBits - 1) return NaN;
    if (exponent === 0) return sign * fraction * 2 ** (1 - bias - fractionBits);
    return sign * (1 + fraction / 2 ** fractionBits) * 2 ** (exponent - bias);
  });
}

function byTable(table: Float32Array): Codec["decode"] {
  return (bytes, blocks, out) => {
    for (let i = 0; i < blocks; i++) out[i] = table[bytes[i]!]!;
  };
}

const float = (name: string, blockBytes: number, decode: Codec["decode"]): [string, Codec] => [
  name,
  { name, blockSize: 1, blockBytes, decode },
];

/** By name. */
export const FLOATS: ReadonlyMap<string, Codec> = new Map([
  float("F32", 4, decodeF32),
  float("F16", 2, decodeF16),
  float("BF16", 2, decodeBF16),
  float("F64", 8, decodeF64),
  float("F8_E4M3", 1, byTable(byteTable(4, false))),
  float("F8_E5M2", 1, byTable(byteTable(5, true))),
]);
