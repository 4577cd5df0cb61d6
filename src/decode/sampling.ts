/**
 * Sampling: which tokens may be drawn, and by which temperature. Filters apply in the order of transformers: temperature,
 * top-k, top-p, min-p. Knows nothing about sessions and decoders.
 */
import { CllmError } from "../error.ts";
import { requireInteger } from "./require.ts";

export interface SamplingOptions {
  /** Divides the logits: below 1 sharper, above 1 flatter. 0 is greedy, the default. */
  readonly temperature?: number;
  /** Keep the k likeliest tokens; 0, the default, keeps all. */
  readonly topK?: number;
  /** Keep the likeliest tokens whose probabilities sum to at least this; 1, the default, keeps all. */
  readonly topP?: number;
  /** Drop tokens less likely than this share of the likeliest one's probability; 0, the default, drops none. */
  readonly minP?: number;
  /** Same seed, same tokens. Default: 0. */
  readonly seed?: number;
}

/** How to draw, with everything said. */
export interface Sampling extends Required<Pick<SamplingOptions, "topK" | "topP" | "minP" | "seed">> {
  /** 1 / temperature */
  readonly scale: number;
  /** Whether any filter takes tokens away. */
  readonly filtered: boolean;
}

/** Checks the options (`usage`); null where they mean greedy. */
export function samplingOf(options: SamplingOptions, vocabSize: number): Sampling | null {
  const { temperature = 0, topK = 0, topP = 1, minP = 0, seed = 0 } = options;
  if (!(temperature >= 0 && temperature < Number.POSITIVE_INFINITY))
    throw new CllmError("usage", `temperature is ${temperature}: it must be a number of 0 or more`);
  requireInteger("topK", topK, 0);
  for (const [name, value] of Object.entries({ topP, minP }))
    if (!(value >= 0 && value <= 1)) throw new CllmError("usage", `${name} is ${value}: it must be from 0 to 1`);
  requireInteger("seed", seed, Number.MIN_SAFE_INTEGER);
  if (temperature === 0 || topK === 1 || topP === 0) return null;
  const filtered = (topK > 0 && topK < vocabSize) || topP < 1 || minP > 0;
  return { scale: Math.min(1 / temperature, Number.MAX_VALUE), filtered, topK, topP, minP, seed };
}

/**
 * The tokens that pass the filters, at least one, in no order. Each filter keeps a beginning of the order of likelihood,
 * in which the smaller id comes first of equals; min-p keeps all equals.
 */
export function survivors(
  row: Float32Array, // (V,)
  scale: number, // 1 / temperature
  { topK, topP, minP }: Required<Pick<SamplingOptions, "topK" | "topP" | "minP">>,
): Int32Array {
  let highest = Number.NEGATIVE_INFINITY;
  for (const logit of row) if (logit > highest) highest = logit;
  if (!Number.isFinite(highest)) return Int32Array.of(Math.max(0, row.indexOf(highest)));
  const reach = minP > 0 ? -Math.log(minP) : Number.POSITIVE_INFINITY; // how far below the likeliest min-p keeps tokens
  const first = topP < 1 ? Number.POSITIVE_INFINITY : reach; // before top-p, min-p would change what it sums up
  let ids = new Int32Array(row.length);
  let count = 0;
  for (let id = 0; id < row.length; id++) if ((highest - row[id]!) * scale <= first) ids[count++] = id;
  ids = ids.subarray(0, count);
  if (topK > 0 && topK < row.length) ids = beginning(ids, row, highest, scale, { count: topK });
  if (topP < 1) ids = beginning(ids, row, highest, scale, { share: topP });
  return reach === first ? ids : ids.filter((id) => (highest - row[id]!) * scale <= reach);
}

const BUCKETS = 256; // a quarter wide each; the last one takes all that lies further below the likeliest token

/**
 * The shortest beginning of the order of likelihood that has `count` tokens, or the `share` of the probability of all
 * `ids`; at least one token. Tokens go into buckets by their distance below the likeliest, and only one bucket is sorted.
 */
function beginning(
  ids: Int32Array,
  row: Float32Array,
  highest: number,
  scale: number,
  { count = 0, share = -1 }: { count?: number; share?: number },
): Int32Array<ArrayBuffer> {
  const buckets = new Uint8Array(ids.length);
  const amounts = new Float64Array(BUCKETS);
  for (let i = 0; i < ids.length; i++) {
    const distance = (highest - row[ids[i]!]!) * scale;
    const bucket = distance < BUCKETS / 4 - 1 ? (distance * 4) | 0 : BUCKETS - 1;
    buckets[i] = bucket;
    amounts[bucket]! += share < 0 ? 1 : Math.exp(-distance);
  }
  const goal = share < 0 ? count : share * amounts.reduce((total, each) => total + each);
  let edge = 0; // the bucket in which the goal is reached
  let sum = 0;
  while (edge < BUCKETS - 1 && sum + amounts[edge]! < goal) sum += amounts[edge++]!;

  const kept = new Int32Array(ids.length);
  const last: number[] = [];
  let length = 0;
  for (let i = 0; i < ids.length; i++)
    if (buckets[i]! < edge) kept[length++] = ids[i]!;
    else if (buckets[i] === edge) last.push(ids[i]!);
  last.sort((x, y) => row[y]! - row[x]! || x - y);
  for (const id of last) {
    if (length > 0 && sum >= goal) break;
    kept[length++] = id;
    sum += share < 0 ? 1 : Math.exp((row[id]! - highest) * scale);
  }
  return kept.subarray(0, length);
}
