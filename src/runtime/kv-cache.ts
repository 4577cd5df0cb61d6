/**
 * The keys and values of one sequence, in buffers of our own that every pass reads and appends to. ONNX Runtime's binding
 * copies each fetched output in full, so the graph returns only the new rows and they are written here. Grows by
 * doubling. Knows nothing about graphs or passes.
 */

const FIRST_CAPACITY = 256;

export interface KvShape {
  readonly layers: number;
  readonly kvHeads: number;
  readonly headSize: number;
  /** Tokens that the cache may grow to. */
  readonly contextLength: number;
}

export class KvCache {
  /** Keys and values of each layer in turn, `2 * layers` buffers of `(kvHeads, capacity, headSize)`. */
  buffers: Float32Array[];
  capacity: number;
  readonly #shape: KvShape;

  constructor(shape: KvShape) {
    this.#shape = shape;
    this.capacity = Math.min(FIRST_CAPACITY, shape.contextLength);
    this.buffers = this.#allocate();
  }

  #allocate(): Float32Array[] {
    const { layers, kvHeads, headSize } = this.#shape;
    return Array.from({ length: 2 * layers }, () => new Float32Array(kvHeads * this.capacity * headSize));
  }

  /** Make room for `tokens`, keeping the first `length`. Returns whether the buffers are new ones. */
  reserve(tokens: number, length: number): boolean {
    if (tokens <= this.capacity) return false;
    const { kvHeads, headSize, contextLength } = this.#shape;
    const [old, oldCapacity] = [this.buffers, this.capacity];
    this.capacity = Math.min(Math.max(tokens, 2 * oldCapacity), contextLength);
    this.buffers = this.#allocate();
    for (const [i, from] of old.entries()) {
      for (let head = 0; head < kvHeads; head++) {
        const start = head * oldCapacity * headSize;
        this.buffers[i]?.set(from.subarray(start, start + length * headSize), head * this.capacity * headSize);
      }
    }
    return true;
  }

  /**
   * Write `keep` of the `count` new rows of a pass, `(2 * layers, kvHeads, count, headSize)`, from row `first` on, at slot `at`.
   */
  append(rows: Float32Array, count: number, first: number, keep: number, at: number): void {
    const { kvHeads, headSize } = this.#shape;
    const block = count * headSize;
    let start = first * headSize;
    for (const buffer of this.buffers) {
      for (let head = 0; head < kvHeads; head++, start += block) {
        buffer.set(rows.subarray(start, start + keep * headSize), (head * this.capacity + at) * headSize);
      }
    }
  }

  /** Overwrite the first `length` slots, for which there must be room, with another cache's of the same shape. */
  copy(donor: KvCache, length: number): void {
    const { kvHeads, headSize } = this.#shape;
    for (const [i, buffer] of this.buffers.entries()) {
      for (let head = 0; head < kvHeads; head++) {
        const start = head * donor.capacity * headSize;
        const slots = donor.buffers[i]!.subarray(start, start + length * headSize);
        buffer.set(slots, head * this.capacity * headSize);
      }
    }
  }

  /** Give the memory back. */
  release(): void {
    this.buffers = [];
    this.capacity = 0;
  }
}
