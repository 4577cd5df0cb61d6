/**
 * Element types of two to four bits: GGUF's smaller K blocks and the ones whose values stand in a table. Layouts are given as in `codecs.ts`, and products are rounded in the same places. Knows no file.
 */
import { type Codec, half } from "./codec.ts";

const fround = Math.fround;

/** 16 bytes of sub-scales (low nibbles) and sub-minima (high ones), 64 bytes of bit pairs, f16 scale, f16 minimum. */
function decodeQ2_K(bytes: Uint8Array, blocks: number, out: Float32Array): void {
  for (let b = 0, p = 0; b < blocks; b++, p += 84) {
    const scale = half(bytes, p + 80);
    const minimum = half(bytes, p + 82);
    for (let s = 0; s < 16; s++) {
      const packed = bytes[p + s]!;
      const d = fround(scale * (packed & 15));
      const m = fround(minimum * (packed >> 4));
      const [low, shift] = pairs(p + 16, s);
      const y = b * 256 + s * 16;
      for (let j = 0; j < 16; j++) out[y + j] = fround(d * ((bytes[low + j]! >> shift) & 3)) - m;
    }
  }
}

/** Where the bit pairs of run `s` of 16 elements are: 64 bytes of which each 32 hold eight runs, two for each shift. */
function pairs(start: number, s: number): [at: number, shift: number] {
  return [start + (s >> 3) * 32 + (s & 1) * 16, ((s >> 1) & 3) * 2];
}

/** 32 bytes of third bits, 64 bytes of bit pairs, 12 bytes of sub-scales offset by 32, f16 scale. A third bit that is not set subtracts 4. */
function decodeQ3_K(bytes: Uint8Array, blocks: number, out: Float32Array): void {
  for (let b = 0, p = 0; b < blocks; b++, p += 110) {
    const scale = half(bytes, p + 108);
    for (let s = 0; s < 16; s++) {
      const lowBits = s < 8 ? bytes[p + 96 + s]! & 15 : bytes[p + 88 + s]! >> 4;
      const highBits = (bytes[p + 104 + (s & 3)]! >> ((s >> 2) * 2)) & 3;
      const d = fround(scale * ((lowBits | (highBits << 4)) - 32));
      const [low, shift] = pairs(p + 32, s);
      const high = p + (s & 1) * 16;
      const y = b * 256 + s * 16;
      for (let j = 0; j < 16; j++) {
        const third = (bytes[high + j]! >> (s >> 1)) & 1;
        out[y + j] = d * (((bytes[low + j]! >> shift) & 3) - (third ? 0 : 4));
      }
    }
  }
}

/** f32 scale, 256 int8; then sums that only products need. */
function decodeQ8_K(bytes: Uint8Array, blocks: number, out: Float32Array): void {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  for (let b = 0, p = 0; b < blocks; b++, p += 292) {
    const scale = view.getFloat32(p, true);
    for (let j = 0; j < 256; j++) out[b * 256 + j] = scale * view.getInt8(p + 4 + j);
  }
}

/** What the nibbles of IQ4 blocks stand for. */
const IQ4 = Int8Array.of(-127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113);
/** Twice what the nibbles of MXFP4 blocks stand for: floats of one sign, two exponent and one fraction bit. */
const FP4 = Int8Array.of(0, 1, 2, 3, 4, 6, 8, 12, 0, -1, -2, -3, -4, -6, -8, -12);

/** 16 bytes: elements 0..15 in the low nibbles, 16..31 in the high ones, by a table. */
function tabled(table: Int8Array, scale: number, bytes: Uint8Array, at: number, out: Float32Array, y: number): void {
  for (let j = 0; j < 16; j++) {
    const byte = bytes[at + j]!;
    out[y + j] = scale * table[byte & 15]!;
    out[y + j + 16] = scale * table[byte >> 4]!;
  }
}

/** f16 scale, 16 bytes of nibbles. */
function decodeIQ4_NL(bytes: Uint8Array, blocks: number, out: Float32Array): void {
  for (let b = 0, p = 0; b < blocks; b++, p += 18) tabled(IQ4, half(bytes, p), bytes, p + 2, out, b * 32);
}

/** f16 scale, upper bit pairs and low nibbles of eight sub-scales offset by 32, 128 bytes of nibbles, 16 to a sub-block. */
function decodeIQ4_XS(bytes: Uint8Array, blocks: number, out: Float32Array): void {
  for (let b = 0, p = 0; b < blocks; b++, p += 136) {
    const scale = half(bytes, p);
    const high = bytes[p + 2]! | (bytes[p + 3]! << 8);
    for (let s = 0; s < 8; s++) {
      const low = (bytes[p + 4 + (s >> 1)]! >> ((s & 1) * 4)) & 15;
      const d = fround(scale * ((low | (((high >> (2 * s)) & 3) << 4)) - 32));
      tabled(IQ4, d, bytes, p + 8 + 16 * s, out, b * 256 + s * 32);
    }
  }
}

/** A byte of exponent, 16 bytes of nibbles (OCP Microscaling Formats 1.0, section 5.3). */
function decodeMXFP4(bytes: Uint8Array, blocks: number, out: Float32Array): void {
  for (let b = 0, p = 0; b < blocks; b++, p += 17) tabled(FP4, 2 ** (bytes[p]! - 128), bytes, p + 1, out, b * 32);
}

export const FEW_BITS: readonly Codec[] = [
  { name: "Q2_K", blockSize: 256, blockBytes: 84, decode: decodeQ2_K },
  { name: "Q3_K", blockSize: 256, blockBytes: 110, decode: decodeQ3_K },
  { name: "Q8_K", blockSize: 256, blockBytes: 292, decode: decodeQ8_K },
  { name: "IQ4_NL", blockSize: 32, blockBytes: 18, decode: decodeIQ4_NL },
  { name: "IQ4_XS", blockSize: 256, blockBytes: 136, decode: decodeIQ4_XS },
  { name: "MXFP4", blockSize: 32, blockBytes: 17, decode: decodeMXFP4 },
];
