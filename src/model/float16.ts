/** IEEE half precision for tables that need no more. */

const bits = new Float32Array(1);
const word = new Uint32Array(bits.buffer);

/** The nearest half-precision numbers, ties to even, as the 16-bit words that ONNX stores. Beyond the range: infinity. */
export function toFloat16(values: Float32Array): Uint16Array {
  const out = new Uint16Array(values.length);
  for (let i = 0; i < values.length; i++) {
    bits[0] = values[i] as number;
    const w = word[0] as number;
    const sign = (w >>> 16) & 0x8000;
    const exponent = ((w >>> 23) & 0xff) - 112; // rebased from 127 to 15
    const mantissa = w & 0x7fffff;
    if (exponent >= 31) out[i] = sign | 0x7c00 | (exponent === 143 && mantissa !== 0 ? 0x200 : 0);
    else if (exponent > 0) out[i] = sign | roundToEven((exponent << 23) | mantissa, 13);
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
