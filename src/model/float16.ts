/** IEEE half precision for tables that need no more. */
import { numberKernels } from "./number-kernels.ts";

/** Numbers that are rounded in one go: a multiple of the eight of a vector. */
const AT_ONCE = 2 ** 16;
const VECTOR = 8;

/** The nearest half-precision numbers, ties to even, as the 16-bit words that ONNX stores. Beyond the range: infinity. */
export function toFloat16(values: Float32Array): Uint16Array {
  const out = new Uint16Array(values.length);
  const kernels = numberKernels();
  const memory = kernels.memory(6 * AT_ONCE);
  for (let from = 0; from < values.length; from += AT_ONCE) {
    const part = values.subarray(from, from + AT_ONCE);
    new Float32Array(memory, 0, part.length).set(part);
    kernels.run("halves", 0, 4 * Math.ceil(part.length / VECTOR) * VECTOR, 4 * AT_ONCE);
    out.set(new Uint16Array(memory, 4 * AT_ONCE, part.length), from);
  }
  return out;
}
