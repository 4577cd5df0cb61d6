/**
 * Clean text through the frozen model, where only draft rows are trained: its keys and values, once for all passes over the same text,
 * because no step changes them. Knows no adapter and no loss.
 */
import { createHash } from "node:crypto";
import type { masksOf } from "../model/attention.ts";
import { type Feeds, float32Tensor, int64Tensor, type Program, type Tensor } from "../runtime/ort.ts";
import type { Part } from "./split-layout.ts";

/** What every graph of training is fed of some tokens. */
export function partFeeds(
  { length, ids, positions, bias, windowBias }: Part,
  batch: number,
  masks: ReturnType<typeof masksOf>,
): Feeds {
  const mask = (values: Float32Array): Tensor =>
    float32Tensor(values, [batch, 1, length, values.length / (batch * length)]);
  return {
    ids: int64Tensor(ids, [ids.length]),
    positions: int64Tensor(positions, [batch, length]),
    ...(masks.causal && { bias: mask(bias) }),
    ...(masks.window && windowBias !== null && { window_bias: mask(windowBias) }),
  };
}

export class CleanText {
  readonly #program: Program;
  readonly #weights: () => Feeds;
  readonly #batch: number;
  readonly #masks: ReturnType<typeof masksOf>;
  readonly #kept = new Map<string, Feeds>(); // the latest last
  readonly #most: number;

  /** Keeps those of the `most` latest texts. */
  constructor(
    program: Program,
    weights: () => Feeds,
    { batch, masks, most }: { batch: number; masks: ReturnType<typeof masksOf>; most: number },
  ) {
    this.#program = program;
    this.#weights = weights;
    this.#batch = batch;
    this.#masks = masks;
    this.#most = most;
  }

  /** The feeds `clean_0`, `clean_1`, ... of a text. */
  async keysAndValues(text: Part): Promise<Feeds> {
    const key = identityOf(text);
    const known = this.#kept.get(key);
    if (known !== undefined) return known;
    const all: Feeds = { ...this.#weights(), ...partFeeds(text, this.#batch, this.#masks) };
    const feeds = Object.fromEntries(this.#program.inputs.map((name) => [name, all[name] as Tensor])); // without the adapter's
    const found = await this.#program.run(feeds, this.#program.outputs);
    this.#kept.set(key, found);
    for (const oldest of this.#kept.keys()) if (this.#kept.size > this.#most) this.#kept.delete(oldest);
    return found;
  }

  release(): Promise<void> {
    this.#kept.clear();
    return this.#program.release();
  }
}

function identityOf({ ids, positions, bias }: Part): string {
  const hash = createHash("sha256");
  for (const { buffer, byteOffset, byteLength } of [ids, positions, bias])
    hash.update(new Uint8Array(buffer, byteOffset, byteLength));
  return hash.digest("hex");
}
