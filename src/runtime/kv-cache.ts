/**
 * The keys and values of one sequence, wherever a device keeps them. Knows nothing about graphs or passes.
 */
import type { Tensor } from "./ort.ts";

export interface KvShape {
  readonly layers: number;
  readonly kvHeads: number;
  readonly headSize: number;
  /** Tokens that the cache may grow to. */
  readonly contextLength: number;
}

/** A cache of one sequence. What it holds is known by lengths that its owner keeps: places behind them are anything. */
export interface KvCache {
  /**
   * Keys and values of each layer in turn, `2 * layers` tensors `(1, kvHeads, capacity, headSize)` or one of `(2 * layers, kvHeads,
   * capacity, headSize)`, as the device's graphs want them: valid until the next call.
   */
  readonly tensors: readonly Tensor[];
  /**
   * Make room for `tokens` and few more, keeping the first `length`. Returns whether the tensors are others now. Throws `engine`
   * where there is no memory.
   */
  reserve(tokens: number, length: number): boolean | Promise<boolean>;
  /**
   * Write `keep` of the `count` new rows of a pass, `(2 * layers, kvHeads, count, headSize)`, from row `first` on, at place `at`.
   * A cache that the engine itself writes is given null.
   */
  append(rows: Float32Array | null, count: number, first: number, keep: number, at: number): void;
  /**
   * Hold the first `length` places of another cache of the same device and shape. Later calls on both wait for it where
   * it takes time.
   */
  copy(donor: KvCache, length: number): void;
  /** Give the memory back, after whatever still reads it. */
  release(): void;
}
