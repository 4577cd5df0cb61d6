/**
 * Whether a device decodes exactly, tried on the model itself as it is loaded: its passes cut in different ways, with different
 * neighbours, have to give the same bits, and a tiny model the processor's numbers. Knows engines and no device by name.
 */
import { CllmError } from "../error.ts";
import { hash } from "../hash.ts";
import type { ModelConfig } from "../model/config.ts";
import type { Precision } from "../model/precision.ts";
import type { Weights } from "../model/weights.ts";
import type { Device } from "./devices/device.ts";
import { createEngine, type Engine } from "./engine.ts";
import type { Session, TokenIds } from "./session.ts";

/** Tokens of the text that is cut. */
const TOKENS = 24;
/** Ways of cutting it: useful tokens of each pass in turn. */
const CUTS: readonly (readonly number[])[] = [[24], [1, 7, 3, 13], [5]];

/**
 * Runs both proofs. Throws `unsupported` where one of them fails, and says which.
 *
 * @example
 * await prove(engine, device); // about 40 passes of the model
 */
export async function prove(engine: Engine, device: Device): Promise<void> {
  await proveCuts(engine);
  await proveNumbers(engine, device);
}

const refused = (what: string): CllmError =>
  new CllmError("unsupported", `this device does not decode exactly: ${what}; take device cpu, or another driver`);

/** Every cut gives the bits of one token at a time, whatever is guessed behind it. */
export async function proveCuts(engine: Pick<Engine, "config" | "session">): Promise<void> {
  const { vocabSize, contextLength } = engine.config;
  const guess = (i: number): number => hash(i) % vocabSize;
  const count = Math.min(TOKENS, Math.floor(contextLength / 2));
  const ids = Int32Array.from({ length: count }, (_, i) => guess(i));
  const expected: Float32Array[] = [];
  await using ar = engine.session();
  for (let at = 0; at < count; at++) expected.push((await ar.logits(ids.subarray(at, at + 1))).slice());
  for (const [round, sizes] of CUTS.entries()) {
    await using session = engine.session();
    for (let at = 0, turn = 0; at < count; turn++) {
      const useful = Math.min(sizes[turn % sizes.length] as number, count - at);
      const guesses = Int32Array.from({ length: 1 + (turn % 5) }, (_, i) => guess(1000 * (round + 1) + 10 * at + i));
      const tokens = Int32Array.from([...ids.subarray(at, at + useful), ...guesses]);
      const branches = at > 0 && turn % 2 === 1; // guesses side by side behind the last useful token
      const forest = { ...fan(useful, tokens.length), ...(session.drafter && { draftsFrom: useful }) };
      const logits = await (branches ? session.logits(tokens, forest) : session.logits(tokens));
      for (let row = 0; row < useful; row++) {
        const found = logits.subarray(row * vocabSize, (row + 1) * vocabSize);
        if (sameBits(found, expected[at + row] as Float32Array)) continue;
        throw refused(`token ${at + row} of a text has other bits in a pass of ${tokens.length} than alone`);
      }
      session.truncate(at + useful);
      at += useful;
    }
  }
}

/** A trunk of so many tokens, and the rest each behind its end. */
const fan = (trunk: number, rows: number) => ({
  parents: Int32Array.from({ length: rows }, (_, i) => (i < trunk ? i - 1 : trunk - 1)),
});

function sameBits(a: Float32Array, b: Float32Array): boolean {
  const [left, right] = [
    new Uint32Array(a.buffer, a.byteOffset, a.length),
    new Uint32Array(b.buffer, b.byteOffset, b.length),
  ];
  return left.every((word, i) => word === right[i]);
}

/** Of the largest logit: float32, and half floats. */
const TOLERANCES = { float32: 1e-3, float16: 0.05 } as const;

/** A tiny model with heads as the real one's. */
export function tinyOf(real: ModelConfig): ModelConfig {
  return {
    ...real,
    ...{
      vocabSize: 97,
      hiddenSize: 64,
      intermediateSize: 96,
      layers: 2,
      contextLength: Math.min(real.contextLength, 256),
    },
    heads: Math.min(real.heads, 2 * (real.heads / real.kvHeads)),
    kvHeads: Math.min(real.kvHeads, 2),
    tiedHead: false,
  };
}

/** A tiny model with heads as the real one's has the processor's logits, its branches included. */
async function proveNumbers({ config: real, precision }: Engine, device: Device): Promise<void> {
  const config = tinyOf(real);
  const weights = exactWeights(config, precision);
  const plan = await device.plan(precision, { wholeWeights: 0 });
  const half = plan.form === "resident" && plan.half;
  await using one = await createEngine(config, weights, { precision, device });
  await using plain = await createEngine(config, weights, { precision: "fp32", threads: 1 });
  await using session = one.session();
  await using reference = plain.session();
  const ids = Int32Array.from({ length: 40 }, (_, i) => hash(i + 1) % config.vocabSize);
  const both = async (run: (session: Session) => Promise<Float32Array>): Promise<void> => {
    const [found, expected] = [await run(session), await run(reference)];
    const largest = expected.reduce((most, value) => Math.max(most, Math.abs(value)), 0);
    const apart = expected.reduce((most, value, i) => Math.max(most, Math.abs(value - (found[i] as number))), 0);
    if (apart <= TOLERANCES[half ? "float16" : "float32"] * largest) return;
    throw refused(
      `a tiny model's logits differ by ${apart.toPrecision(2)} from the processor's, of ${largest.toPrecision(2)}`,
    );
  };
  const part = (from: number, to: number): TokenIds => ids.subarray(from, to);
  await both((each) => each.logits(part(0, 25)));
  await both((each) => each.logits(part(25, 33), fan(3, 8)));
  await both((each) => each.logits(part(28, 40)));
}

/**
 * Weights that quantization keeps: small whole numbers, and in each block of 32 one that makes the scale a power of two. So that what
 * differs is the arithmetic alone.
 */
function exactWeights(config: ModelConfig, precision: Precision): Weights {
  const { vocabSize, hiddenSize, heads, kvHeads, headSize, intermediateSize } = config;
  const shapes = (name: string): readonly number[] => {
    if (/(embed_tokens|lm_head)\.weight$/.test(name)) return [vocabSize, hiddenSize];
    if (/q_proj\.weight$/.test(name)) return [heads * headSize, hiddenSize];
    if (/[kv]_proj\.weight$/.test(name)) return [kvHeads * headSize, hiddenSize];
    if (/o_proj\.weight$/.test(name)) return [hiddenSize, heads * headSize];
    if (/(gate|up)_proj\.weight$/.test(name)) return [intermediateSize, hiddenSize];
    if (/down_proj\.weight$/.test(name)) return [hiddenSize, intermediateSize];
    if (/q_proj\.bias$/.test(name)) return [heads * headSize];
    if (/[kv]_proj\.bias$/.test(name)) return [kvHeads * headSize];
    if (/[qk]_norm\.weight$/.test(name)) return [headSize];
    return [hiddenSize];
  };
  return {
    names: () => [],
    has: () => true,
    shape: shapes,
    dtype: () => "F32",
    async read(name, from = 0, to) {
      const shape = shapes(name);
      const [rows, columns = 1] = shape as [number, number?];
      const seed = [...name].reduce((sum, letter) => sum * 31 + letter.charCodeAt(0), 7) >>> 0;
      const bits = precision === "int4" && !/embed|lm_head/.test(name) ? 4 : 8;
      const [most, scale] = bits === 4 ? [-8, 2 ** -5] : [127, 2 ** -9];
      const values = Float32Array.from({ length: rows * columns }, (_, i) => {
        if (shape.length === 1) return /norm/.test(name) ? 1 + (hash(seed + i) % 9) / 32 : (hash(seed + i) % 9) / 32;
        const whole = bits === 4 ? (hash(seed + i) % 15) - 7 : (hash(seed + i) % 255) - 127;
        return scale * ((i % columns) % 32 === 0 ? most : whole);
      });
      return values.slice(from * columns, (to ?? rows) * columns);
    },
    byteLength: 0,
    close: async () => {},
  };
}
