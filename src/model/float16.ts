/** IEEE half precision for tables that need no more. */

/** Magnitudes that are normal numbers in half precision, as float32 words: from 2^-14 to below 65536. */
const NORMAL_FROM = 0x38800000;
const NORMAL_TO = 0x47800000;
/** What the exponent's bias differs by, 127 - 15, in place. */
const REBASE = 112 << 23;

/** The nearest half-precision numbers, ties to even, as the 16-bit words that ONNX stores. Beyond the range: infinity. */
export function toFloat16(values: Float32Array): Uint16Array {
  const out = new Uint16Array(values.length);
  const words = new Uint32Array(values.buffer, values.byteOffset, values.length);
  for (let i = 0; i < words.length; i++) {
    const word = words[i] as number;
    const sign = (word >>> 16) & 0x8000;
    const magnitude = word & 0x7fffffff;
    if (magnitude >= NORMAL_FROM && magnitude < NORMAL_TO) {
      out[i] = sign | ((magnitude - REBASE + 0xfff + ((magnitude >>> 13) & 1)) >>> 13);
      continue;
    }
    const exponent = (magnitude >>> 23) - 112;
    const mantissa = word & 0x7fffff;
    if (exponent >= 31) out[i] = sign | 0x7c00 | (exponent === 143 && mantissa !== 0 ? 0x200 : 0);
    else if (exponent > -11) out[i] = sign | roundToEven(mantissa | 0x800000, 14 - exponent);
    else out[i] = sign;
  }
  return out;
}

function roundToEven(value: number, drop: number): number {
  const kept = value >>> drop;
  const rest = value & ((1 << drop) - 1);
  const half = 1 << (drop - 1);
  return rest > half || (rest === half && (kept & 1) === 1) ? kept + 1 : kept;
}
