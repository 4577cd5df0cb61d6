/**
 * A cache in buffers of our own that every pass reads and appends to. ONNX Runtime's binding copies each fetched output in
 * full, so the graph returns only the new rows and they are written here. Knows nothing about graphs or passes.
 *
 * In each pass the engine's attention clears and copies every place that it is given, used or not. So it is given few more than
 * are used: `capacity` follows the sequence in steps of `STEP`, within memory that grows by doubling and is kept.
 *
 * Of models with large heads the first places are nobody's, see `leadingPlaces`: they stay zero.
 *
 * All layers can be in one buffer: the fewer tensors a pass is fed, the less there is to do beside it.
 */
import { leadingPlaces } from "../model/decode-graph.ts";
import type { KvCache, KvShape } from "./kv-cache.ts";
import { float32Tensor, type Tensor } from "./ort.ts";

const FIRST_MEMORY = 256;
/** Places: a respacing costs what its tokens take to copy, a place too many what it takes to clear, in every pass. */
const STEP = 64;
/** Places too many that are worth a respacing: more than a wide pass leaves behind when its guesses are dropped. */
const SLACK = 4 * STEP;

export class HostCache implements KvCache {
  /** Keys and values of each layer in turn, `2 * layers` views of `(kvHeads, capacity, headSize)`; or one view of all. */
  buffers: readonly Float32Array[] = [];
  /** Places that the buffers have, those in front included. */
  capacity = 0;
  tensors: readonly Tensor[] = [];
  /** What the buffers are views of, with room for so many tokens. */
  #memory: Float32Array[];
  #allocated: number;
  readonly #shape: KvShape;
  /** Places before the first token. */
  readonly #lead: number;
  readonly #count: number; // of buffers
  readonly #heads: number; // of each

  /** `whole`: one buffer and tensor of `(2 * layers, kvHeads, capacity, headSize)`. */
  constructor(shape: KvShape, whole = false) {
    this.#count = whole ? 1 : 2 * shape.layers;
    this.#heads = (2 * shape.layers * shape.kvHeads) / this.#count;
    this.#lead = leadingPlaces(shape);
    this.#shape = { ...shape, contextLength: this.#lead + shape.contextLength };
    this.#allocated = Math.min(FIRST_MEMORY, this.#shape.contextLength);
    this.#memory = this.#allocate();
    this.#view(Math.min(STEP, this.#allocated));
  }

  #allocate(): Float32Array[] {
    const size = this.#heads * this.#allocated * this.#shape.headSize;
    return Array.from({ length: this.#count }, () => new Float32Array(size));
  }

  #view(capacity: number): void {
    const { kvHeads, headSize } = this.#shape;
    this.capacity = capacity;
    this.buffers = this.#memory.map((memory) => memory.subarray(0, this.#heads * capacity * headSize));
    const dims = [this.#heads / kvHeads, kvHeads, capacity, headSize];
    this.tensors = this.buffers.map((buffer) => float32Tensor(buffer, dims));
  }

  reserve(tokens: number, length: number): boolean {
    return this.#reserve(this.#lead + tokens, this.#lead + length);
  }

  /** The same for places, those in front included. */
  #reserve(tokens: number, length: number): boolean {
    const { headSize, contextLength } = this.#shape;
    const heads = this.#heads;
    const wanted = Math.min(Math.ceil(tokens / STEP) * STEP, contextLength);
    if (tokens <= this.capacity && this.capacity - wanted < SLACK) return false;
    const [old, oldCapacity] = [this.#memory, this.capacity];
    if (wanted > this.#allocated) {
      this.#allocated = Math.min(Math.max(wanted, 2 * this.#allocated), contextLength);
      this.#memory = this.#allocate();
    }
    this.#view(wanted);
    for (const [i, from] of old.entries()) {
      const to = this.#memory[i] as Float32Array;
      for (let at = 0; at < heads; at++) {
        const head = wanted > oldCapacity ? heads - 1 - at : at; // in one memory no head may overwrite one that is still to move
        const start = head * oldCapacity * headSize;
        to.set(from.subarray(start, start + length * headSize), head * wanted * headSize);
      }
    }
    return true;
  }

  append(rows: Float32Array | null, count: number, first: number, keep: number, at: number): void {
    if (rows === null) throw new TypeError("a pass on the host gives its rows");
    const { headSize } = this.#shape;
    const block = count * headSize;
    let start = first * headSize;
    for (const buffer of this.buffers) {
      for (let head = 0; head < this.#heads; head++, start += block) {
        buffer.set(rows.subarray(start, start + keep * headSize), (head * this.capacity + this.#lead + at) * headSize);
      }
    }
  }

  copy(donor: KvCache, length: number): void {
    if (!(donor instanceof HostCache)) throw new TypeError("a cache of another device");
    this.reserve(length, 0);
    const { headSize } = this.#shape;
    for (const [i, buffer] of this.buffers.entries()) {
      for (let head = 0; head < this.#heads; head++) {
        const start = head * donor.capacity * headSize;
        const places = donor.buffers[i]!.subarray(start, start + (this.#lead + length) * headSize);
        buffer.set(places, head * this.capacity * headSize);
      }
    }
  }

  release(): void {
    this.#memory = [];
    this.#allocated = 0;
    this.buffers = [];
    this.tensors = [];
    this.capacity = 0;
  }
}
