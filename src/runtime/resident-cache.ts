/**
 * A cache in a device's memory, which passes read and write in place. It is made, grown and copied by two tiny graphs, since the
 * binding has no other way to allocate there or to move. Knows no device by name.
 *
 * `getData` is never called on these tensors: the binding would abort the process.
 */
import { CllmError } from "../error.ts";
import { type EncodedModel, Graph } from "../graph/graph.ts";
import type { Caches } from "./devices/device.ts";
import type { KvCache, KvShape } from "./kv-cache.ts";
import { float16Tensor, float32Tensor, int64Tensor, type Program, type Tensor } from "./ort.ts";

/** Places of a new cache. It grows by doubling, so that a text of n tokens is moved less than twice. */
const FIRST = 256;

export interface ResidentOptions {
  readonly dtype: "float32" | "float16";
  /** Places that rows may take behind the context's end. */
  readonly beyond: number;
  /** Compiles a graph whose outputs stay on the device. */
  compile(model: EncodedModel): Promise<Program>;
}

/** Caches of one model. Throws `engine`. */
export async function openResidentCaches(shape: KvShape, { dtype, beyond, compile }: ResidentOptions): Promise<Caches> {
  const zeros = await compile(zerosGraph(shape, dtype));
  const resized = await compile(resizedGraph(shape, dtype)).catch(async (error) => {
    await zeros.release();
    throw error;
  });
  const open = new Set<ResidentCache>();
  return {
    open() {
      const cache = new ResidentCache(shape, { zeros, resized, dtype, beyond }, () => open.delete(cache));
      open.add(cache);
      return cache;
    },
    async release() {
      for (const cache of open) cache.release();
      await Promise.all([...open].map((cache) => cache.idle()));
      await zeros.release();
      await resized.release();
    },
  };
}

interface Movers {
  readonly zeros: Program;
  readonly resized: Program;
  readonly dtype: "float32" | "float16";
  readonly beyond: number;
}

class ResidentCache implements KvCache {
  tensors: readonly Tensor[] = [];
  #capacity = 0;
  #released = false;
  /** What reads or makes the tensors beside passes. */
  #moving: Promise<void> = Promise.resolve();
  /** What went wrong in a copy: told to whoever needs what it should have brought. */
  #failed: unknown = null;
  readonly #shape: KvShape;
  readonly #movers: Movers;
  readonly #gone: () => void;

  constructor(shape: KvShape, movers: Movers, gone: () => void) {
    this.#shape = shape;
    this.#movers = movers;
    this.#gone = gone;
  }

  async reserve(tokens: number, length: number): Promise<boolean> {
    await this.#moving;
    if (length === 0) this.#failed = null; // nothing of what should be here is needed
    if (this.#failed !== null) throw this.#failed;
    const needed = tokens + this.#movers.beyond;
    if (needed <= this.#capacity) return false;
    const capacity = this.#placesFor(needed);
    await this.#enqueue(async () => {
      const old = this.tensors;
      this.#take(await this.#made(old, length, capacity), capacity);
      for (const tensor of old) tensor.dispose();
    });
    return true;
  }

  #placesFor(needed: number): number {
    const most = this.#shape.contextLength + this.#movers.beyond;
    return Math.min(Math.max(FIRST, 2 ** Math.ceil(Math.log2(needed))), most);
  }

  append(rows: Float32Array | null): void {
    if (rows !== null) throw new TypeError("a device writes its rows itself");
  }

  copy(donor: KvCache, length: number): void {
    if (!(donor instanceof ResidentCache)) throw new TypeError("a cache of another device");
    if (donor === this) return;
    const copied = Promise.all([donor.#moving, this.#moving]).then(async () => {
      const capacity = this.#placesFor(length + this.#movers.beyond);
      const made = await this.#made(donor.tensors, length, capacity);
      for (const tensor of this.tensors) tensor.dispose();
      this.#take(made, capacity);
      this.#failed = null;
    });
    const settled = copied.catch((error) => {
      this.#failed = error;
    });
    this.#moving = settled;
    donor.#moving = settled;
  }

  release(): void {
    if (this.#released) return;
    this.#released = true;
    this.#moving = this.#moving.then(() => {
      for (const tensor of this.tensors) tensor.dispose();
      this.#take([], 0);
      this.#gone();
    });
  }

  /** Waits until nothing moves. */
  idle(): Promise<void> {
    return this.#moving;
  }

  async #enqueue(work: () => Promise<void>): Promise<void> {
    const done = this.#moving.then(work);
    this.#moving = done.catch(() => {});
    await done;
  }

  #take(tensors: readonly Tensor[], capacity: number): void {
    this.tensors = tensors;
    this.#capacity = capacity;
  }

  /** New tensors with the first `length` places of `old` and zeros behind them. */
  async #made(old: readonly Tensor[], length: number, capacity: number): Promise<Tensor[]> {
    const { zeros, resized, dtype } = this.#movers;
    const made: Tensor[] = [];
    const zero = dtype === "float16" ? float16Tensor(new Uint16Array(1), [1]) : float32Tensor(new Float32Array(1), [1]);
    try {
      for (let i = 0; i < 2 * this.#shape.layers; i++) {
        const from = old[i];
        const { made: tensor } =
          from === undefined || length === 0
            ? await zeros.run({ zero, places: int64Tensor(this.#dimensions(capacity), [4]) }, ["made"])
            : await resized.run(
                {
                  ...{ zero, old: from, keep: int64Tensor([length], [1]) },
                  rest: int64Tensor(this.#dimensions(capacity - length), [4]),
                },
                ["made"],
              );
        made.push(tensor as Tensor);
      }
      return made;
    } catch (error) {
      for (const tensor of made) tensor.dispose();
      if (error instanceof CllmError) throw error;
      throw new CllmError("engine", `making room on the device failed: ${String(error)}`, { cause: error });
    }
  }

  #dimensions(places: number): readonly number[] {
    return [1, this.#shape.kvHeads, places, this.#shape.headSize];
  }
}

/** zero (1), places (4) int64 -> made, of that shape. */
function zerosGraph({ kvHeads, headSize }: KvShape, dtype: "float32" | "float16"): EncodedModel {
  const graph = new Graph();
  const zero = graph.input("zero", dtype, [1]);
  const places = graph.input("places", "int64", [4]);
  graph.output(graph.op("Expand", [zero, places]), "made", dtype, [1, kvHeads, "C", headSize]);
  return graph.encode();
}

/** old (1, kvHeads, C, headSize), keep (1) and rest (4) int64 -> made: the first `keep` places of it, and zeros of shape `rest`. */
function resizedGraph({ kvHeads, headSize }: KvShape, dtype: "float32" | "float16"): EncodedModel {
  const graph = new Graph();
  const zero = graph.input("zero", dtype, [1]);
  const old = graph.input("old", dtype, [1, kvHeads, "C", headSize]);
  const keep = graph.input("keep", "int64", [1]);
  const rest = graph.input("rest", "int64", [4]);
  const kept = graph.op("Slice", [old, graph.integers(0), keep, graph.integers(2)]);
  const made = graph.op("Concat", [kept, graph.op("Expand", [zero, rest])], { axis: 2 });
  graph.output(made, "made", dtype, [1, kvHeads, "N", headSize]);
  return graph.encode();
}
