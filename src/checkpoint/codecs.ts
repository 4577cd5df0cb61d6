/**
 * Element types of stored tensors and how each becomes float32: plain floats (`floats.ts`), and the blocks of GGUF's quantized types.
 * A block's layout is given as bytes in order; f16 stands for a little-endian half. Products are rounded to float32
 * before a sum, as ggml's reference loops and its Python twin do, so values are equal to theirs bit for bit.
 * Types of fewer bits are in `few-bits.ts`. Knows no file.
 */

import { decodeBy } from "./block-kernels.ts";
import { type BlockLayout, type Codec, half } from "./codec.ts";
import { FEW_BITS } from "./few-bits.ts";
import { FLOATS } from "./floats.ts";

export type { Codec } from "./codec.ts";

const fround = Math.fround;
/** f16 scale, 32 fifth bits, 16 bytes of low bits as in Q4_0, offset by 16. */
function decodeQ5_0(bytes: Uint8Array, blocks: number, out: Float32Array): void {
  for (let b = 0, p = 0, y = 0; b < blocks; b++, p += 22, y += 32) {
    const scale = half(bytes, p);
    const high = bits32(bytes, p + 2);
    for (let j = 0; j < 16; j++) {
      const byte = bytes[p + 6 + j]!;
      out[y + j] = scale * (((byte & 15) | (((high >>> j) & 1) << 4)) - 16);
      out[y + j + 16] = scale * (((byte >> 4) | (((high >>> (j + 16)) & 1) << 4)) - 16);
    }
  }
}

/** f16 scale, f16 minimum, 32 fifth bits, 16 bytes of low bits. */
function decodeQ5_1(bytes: Uint8Array, blocks: number, out: Float32Array): void {
  for (let b = 0, p = 0, y = 0; b < blocks; b++, p += 24, y += 32) {
    const scale = half(bytes, p);
    const minimum = half(bytes, p + 2);
    const high = bits32(bytes, p + 4);
    for (let j = 0; j < 16; j++) {
      const byte = bytes[p + 8 + j]!;
      out[y + j] = fround(scale * ((byte & 15) | (((high >>> j) & 1) << 4))) + minimum;
      out[y + j + 16] = fround(scale * ((byte >> 4) | (((high >>> (j + 16)) & 1) << 4))) + minimum;
    }
  }
}

function bits32(bytes: Uint8Array, i: number): number {
  return bytes[i]! | (bytes[i + 1]! << 8) | (bytes[i + 2]! << 16) | (bytes[i + 3]! << 24);
}

/** The 6-bit scale of sub-block `s` (0..7) of a Q4_K or Q5_K block, whose 12 packed bytes start at `p`. */
function subScale(bytes: Uint8Array, p: number, s: number): number {
  return s < 4 ? bytes[p + s]! & 63 : (bytes[p + s + 4]! & 15) | ((bytes[p + s - 4]! >> 6) << 4);
}

/** The 6-bit minimum of sub-block `s`, beside its scale. */
function subMinimum(bytes: Uint8Array, p: number, s: number): number {
  return s < 4 ? bytes[p + s + 4]! & 63 : (bytes[p + s + 4]! >> 4) | ((bytes[p + s]! >> 6) << 4);
}

/** As Q4_K with 32 bytes of fifth bits before the low ones: byte j holds bit s of element j of sub-block s. */
function decodeQ5_K(bytes: Uint8Array, blocks: number, out: Float32Array): void {
  for (let b = 0, p = 0; b < blocks; b++, p += 176) {
    const scale = half(bytes, p);
    const minimum = half(bytes, p + 2);
    for (let s = 0; s < 8; s++) {
      const d = fround(scale * subScale(bytes, p + 4, s));
      const m = fround(minimum * subMinimum(bytes, p + 4, s));
      const high = p + 16;
      const low = p + 48 + (s >> 1) * 32;
      const shift = (s & 1) * 4;
      const y = b * 256 + s * 32;
      for (let j = 0; j < 32; j++) {
        const q = ((bytes[low + j]! >> shift) & 15) | (((bytes[high + j]! >> s) & 1) << 4);
        out[y + j] = fround(d * q) - m;
      }
    }
  }
}

/**
 * 128 bytes of low nibbles, 64 bytes of upper bit pairs, 16 int8 sub-scales, f16 scale; offset by 32. Each half of the
 * block has 4 runs of 32: the low nibbles of its two 32 bytes, then the high ones; pair r of byte j belongs to run r.
 */
function decodeQ6_K(bytes: Uint8Array, blocks: number, out: Float32Array): void {
  const signed = new Int8Array(bytes.buffer, bytes.byteOffset, bytes.length);
  for (let b = 0, p = 0; b < blocks; b++, p += 210) {
    const scale = half(bytes, p + 208);
    for (let run = 0; run < 8; run++) {
      const r = run & 3;
      const low = p + (run >> 2) * 64 + (r & 1) * 32;
      const high = p + 128 + (run >> 2) * 32;
      const lowShift = (r >> 1) * 4;
      const y = b * 256 + run * 32;
      const d0 = fround(scale * signed[p + 192 + run * 2]!);
      const d1 = fround(scale * signed[p + 193 + run * 2]!);
      for (let j = 0; j < 32; j++) {
        const q = ((bytes[low + j]! >> lowShift) & 15) | (((bytes[high + j]! >> (r * 2)) & 3) << 4);
        out[y + j] = (j < 16 ? d0 : d1) * (q - 32);
      }
    }
  }
}

/** Types that begin each run with a scale; the middle code means zero. */
function centeredBlocks(largest: number, blockBytes: number): BlockLayout {
  const middle = (largest + 1) / 2;
  return {
    largest,
    centered: true,
    read(bytes, blocks, scales, offsets) {
      for (let b = 0; b < blocks; b++) {
        scales[b] = half(bytes, b * blockBytes);
        offsets[b] = -middle * scales[b]!;
      }
    },
  };
}

/** Types that begin each run with a scale and a minimum. */
function shiftedBlocks(largest: number, blockBytes: number): BlockLayout {
  return {
    largest,
    centered: false,
    read(bytes, blocks, scales, offsets) {
      for (let b = 0; b < blocks; b++) {
        scales[b] = half(bytes, b * blockBytes);
        offsets[b] = half(bytes, b * blockBytes + 2);
      }
    },
  };
}

/** Q4_K and Q5_K: eight runs, each with a share of the block's scale and minimum. */
function superBlocks(largest: number, blockBytes: number): BlockLayout {
  return {
    largest,
    centered: false,
    read(bytes, blocks, scales, offsets) {
      for (let b = 0, p = 0; b < blocks; b++, p += blockBytes) {
        for (let s = 0; s < 8; s++) {
          scales[8 * b + s] = half(bytes, p) * subScale(bytes, p + 4, s);
          offsets[8 * b + s] = -half(bytes, p + 2) * subMinimum(bytes, p + 4, s);
        }
      }
    },
  };
}

/** A type that a kernel decodes. `header`: bytes of a block before its codes. */
function byKernel(
  name: string,
  kernel: Parameters<typeof decodeBy>[0],
  blockSize: number,
  header: number,
  layout: (largest: number, blockBytes: number) => BlockLayout,
): [string, Codec] {
  const largest = kernel === "bytes" ? 255 : 15;
  const blockBytes = header + (kernel === "bytes" ? blockSize : blockSize / 2);
  const blocks = layout(largest, blockBytes);
  return codec(name, blockSize, blockBytes, decodeBy(kernel, blockBytes, header, blocks), blocks);
}

function codec(
  name: string,
  blockSize: number,
  blockBytes: number,
  decode: Codec["decode"],
  blocks?: BlockLayout,
): [string, Codec] {
  return [name, { name, blockSize, blockBytes, decode, ...(blocks && { blocks }) }];
}

/** Every type that can be read, by name. */
export const CODECS: ReadonlyMap<string, Codec> = new Map([
  ...FLOATS,
  byKernel("Q8_0", "bytes", 32, 2, centeredBlocks), // f16 scale, 32 int8
  byKernel("Q4_0", "centered", 32, 2, centeredBlocks), // f16 scale, 16 bytes: elements 0..15 in the low nibbles, 16..31 in the high ones, offset by 8
  byKernel("Q4_1", "shifted", 32, 4, shiftedBlocks), // f16 scale, f16 minimum, 16 bytes as in Q4_0 without the offset
  codec("Q5_0", 32, 22, decodeQ5_0, centeredBlocks(31, 22)),
  codec("Q5_1", 32, 24, decodeQ5_1, shiftedBlocks(31, 24)),
  byKernel("Q4_K", "pairs", 256, 16, superBlocks), // f16 scale, f16 minimum, 12 bytes of sub-scales and sub-minima, 128 bytes: each 32 hold two sub-blocks of 32
  codec("Q5_K", 256, 176, decodeQ5_K, superBlocks(31, 176)),
  codec("Q6_K", 256, 210, decodeQ6_K),
  ...FEW_BITS.map((codec) => [codec.name, codec] as const),
]);
