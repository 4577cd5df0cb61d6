/**
 * What a device is to the runtime: how it compiles and runs graphs, where it keeps caches, which rows a pass may have and
 * which products it multiplies by. One file beside this one for each. Nothing above `runtime/` knows which one runs.
 */
import type { EncodedModel } from "../../graph/graph.ts";
import type { ModelConfig } from "../../model/config.ts";
import type { Precision } from "../../model/precision.ts";
import type { ProductPlan } from "../../model/product-plan.ts";
import type { KvCache, KvShape } from "../kv-cache.ts";
import type { ModelFile, Program } from "../ort.ts";
import type { PassRunner, Programs } from "../pass-runner.ts";
import type { DeviceMemory } from "../resident-memory.ts";
import type { DeviceName } from "./name.ts";

/** How rows are put into passes, so that each keeps its bits whatever the others are. */
export interface RowRules {
  /** Rows of one pass, at most: more are cut. */
  readonly most: number;
  /** How many rows a pass of so many is padded to. */
  padded(rows: number): number;
  /** Rows of a pass that go on to the vocabulary, at least: as few as keep their bits. */
  readonly head: number;
}

/** The caches of one model's sequences. */
export interface Caches {
  /** A new, empty one. */
  open(): KvCache;
  /** Give back what they share. Called when the model is disposed. */
  release(): Promise<void>;
}

export interface Device {
  readonly name: DeviceName;
  readonly rows: RowRules;
  /** Whether passes of several sequences can be one run. */
  readonly shares: boolean;
  /** Threads that a pass of this model may have; more are not used. Default: any number. */
  mostThreads?(config: ModelConfig): number;
  /**
   * The graph's form and products for a precision, which may depend on what this machine can do. Throws `unsupported` for one that
   * the device lacks. `wholeWeights`: see `ProductOptions`.
   */
  plan(precision: Precision, options: { readonly wholeWeights: number }): Promise<ProductPlan>;
  /** Throws `engine` with what the engine says. */
  compile(model: EncodedModel | ModelFile, options: { readonly threads: number }): Promise<Program>;
  caches(shape: KvShape, plan: ProductPlan): Promise<Caches>;
  /** Opens memory of the device's own, where training keeps its numbers; null where they are in the process's. */
  readonly memory: (() => Promise<DeviceMemory>) | null;
  /** Runs passes on `programs`: the graph of one slot, and where `shares` allows it that of `slots` slots. */
  runner(
    programs: readonly Programs[],
    options: { readonly config: ModelConfig; readonly plan: ProductPlan; readonly slots: number },
  ): PassRunner;
}
