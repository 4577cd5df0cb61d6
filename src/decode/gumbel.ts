/**
 * Gumbel noise as a pure function of seed, position and token. The argmax of logits/T plus such noise is a sample of the
 * softmax (Gumbel 1954; Maddison et al. 2014, arXiv:1411.0030), and because the noise does not depend on the pass that
 * looks at it, every decoder that is exact for greedy decoding is exact for seeded sampling.
 */
import { hash } from "../hash.ts";

/** Noise of one position: two hashes of seed and position, which `noiseBits` mixes with the token. */
export interface Noise {
  readonly a: number;
  readonly b: number;
}

/** The noise of the token at absolute `position` (prompt included) under `seed`. */
export function noiseAt(seed: number, position: number): Noise {
  return { a: hash(seed, position, 0), b: hash(seed, position, 1) };
}

/**
 * 32 uniform bits for a token: the rounds of `mix` with the position's first key before them and its second between
 * them, so that the tokens of two positions never run through the same sequence shifted. No two tokens of one position
 * have the same bits.
 */
export function noiseBits({ a, b }: Noise, id: number): number {
  let x = id ^ a;
  x = Math.imul(x ^ (x >>> 16), 0x21f0aaad) + b;
  x = Math.imul(x ^ (x >>> 15), 0x735a2d97);
  return (x ^ (x >>> 15)) >>> 0;
}

/** The quantile function of the standard Gumbel distribution at (bits + 1/2) / 2^32: from -3.1 to 22.9. */
export function gumbel(bits: number): number {
  return -Math.log(-Math.log((bits + 0.5) / 2 ** 32));
}

/** Upper bound of the noise of bits that begin with z ones. The last bit of slack covers a rounding of `Math.log`. */
const BOUNDS: Float64Array = Float64Array.from(
  { length: 33 },
  (_, z) => gumbel(z === 32 ? 2 ** 32 - 1 : 2 ** 32 - 2 ** (31 - z) - 1) + 1e-9,
);
const HIGHEST: number = BOUNDS[32]!;

/**
 * The token that maximizes `row[id] * scale + noise`, where `scale` is 1 / temperature. Starts from the likeliest
 * token, so that few others can beat it: most are passed over before they are hashed, nearly all others before a
 * logarithm is taken.
 */
export function sample(row: Float32Array, scale: number, noise: Noise): number {
  const a = noise.a | 0;
  const b = noise.b | 0;
  let best = 0;
  let highest = row[0]!;
  for (let id = 1; id < row.length; id++) {
    const logit = row[id]!;
    if (logit > highest) {
      highest = logit;
      best = id;
    }
  }
  if (!Number.isFinite(highest)) return best; // all logits are -inf, or one is +inf
  let top = gumbel(noiseBits(noise, best));
  for (let id = 0; id < row.length; id++) {
    const logit = (row[id]! - highest) * scale; // 0 for the likeliest, so that no scale overflows
    if (logit + HIGHEST < top) continue;
    let x = id ^ a; // noiseBits, written out for the sake of a loop over the whole vocabulary
    x = (Math.imul(x ^ (x >>> 16), 0x21f0aaad) + b) | 0;
    x = Math.imul(x ^ (x >>> 15), 0x735a2d97);
    x ^= x >>> 15;
    if (logit + BOUNDS[Math.clz32(~x)]! < top) continue;
    const value = logit + gumbel(x >>> 0);
    if (value > top) {
      top = value;
      best = id;
    }
  }
  return best;
}

/** As `sample`, among the tokens `ids` only. */
export function sampleAmong(ids: Int32Array, row: Float32Array, scale: number, noise: Noise): number {
  let best = ids[0]!;
  let top = Number.NEGATIVE_INFINITY;
  let highest = Number.NEGATIVE_INFINITY;
  for (const id of ids) if (row[id]! > highest) highest = row[id]!;
  for (const id of ids) {
    const value = (row[id]! - highest) * scale + gumbel(noiseBits(noise, id));
    if (value > top) {
      top = value;
      best = id;
    }
  }
  return best;
}
