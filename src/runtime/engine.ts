/**
 * A model compiled for ONNX Runtime: weights once, any number of sequences over them.
 */
import { CllmError } from "../error.ts";
import type { EncodedModel } from "../graph/graph.ts";
import type { ModelConfig } from "../model/config.ts";
import type { DraftAdapter } from "../model/draft-adapter.ts";
import type { MedusaHeads } from "../model/heads-graph.ts";
import type { Precision } from "../model/precision.ts";
import { WHOLE_WEIGHTS } from "../model/products.ts";
import type { Weights } from "../model/weights.ts";
import { buildGraph, type GraphPlan } from "./build-graph.ts";
import { DEFAULT_DEVICE } from "./devices/default.ts";
import type { Device } from "./devices/device.ts";
import type { DeviceName } from "./devices/name.ts";
import type { Heads } from "./heads.ts";
import { defaultThreads } from "./host.ts";
import { openSession } from "./onnx-session.ts";
import type { ModelFile, Program } from "./ort.ts";
import type { PassRunner, Programs } from "./pass-runner.ts";
import { type GraphFiles, type PreparedOptions, withPrepared } from "./prepared.ts";
import type { Session } from "./session.ts";

export interface EngineOptions {
  readonly precision: Precision;
  /** Threads of one pass. Default: the machine's cores, at most 8. */
  readonly threads?: number;
  /** Called as layers are prepared and while the engine compiles: for progress bars. */
  readonly onProgress?: (stage: "quantize" | "compile", what: string, done: number, total: number) => void;
  readonly signal?: AbortSignal;
  /**
   * Sequences whose passes may run together, where they are asked for in the same round of the event loop. With more than one,
   * weights that are not prepared are in memory twice. Default: 1.
   */
  readonly slots?: number;
  /** See `ProductOptions`. */
  readonly wholeWeights?: number;
  /** Where the compiled weights are kept, and found the next time. Default: they are made in memory. */
  readonly prepared?: PreparedOptions | undefined;
  /** Where the model runs. Default: the processor. */
  readonly device?: Device;
  /** A draft adapter for the draft rows of a `Forest`; see `requireBounded`. Default: none. */
  readonly draft?: DraftAdapter | null | undefined;
  /** Medusa heads, which guess for `Session.headGuesses`. Default: none. */
  readonly heads?: MedusaHeads | null | undefined;
}

export interface Engine extends AsyncDisposable {
  readonly config: ModelConfig;
  /** The device that it runs on. */
  readonly device: DeviceName;
  readonly precision: Precision;
  /** Threads of one pass. */
  readonly threads: number;
  /** Passes of all sequences: those that were begun so far, and those under way. */
  activity(): { readonly begun: number; readonly running: number };
  /** A new, empty sequence. Sessions share the weights; each owns its KV cache. */
  session(): Session;
  /** Free the weights. Sessions of this engine throw `disposed` from then on. */
  dispose(): Promise<void>;
}

/** One graph for every pass. */
const alone = (plain: Program): Programs => ({ plain, drafting: null });

/**
 * Reads the weights, layer by layer, builds the decode graph in `precision` and compiles it. The weights can be closed
 * afterwards. Throws `bad-weights` where the tensors do not fit the configuration, `engine`, `aborted`.
 */
export async function createEngine(
  config: ModelConfig,
  weights: Weights,
  {
    precision,
    threads = defaultThreads(),
    onProgress,
    signal,
    slots = 1,
    wholeWeights = WHOLE_WEIGHTS,
    prepared,
    device = DEFAULT_DEVICE,
    draft = null,
    heads: given = null,
  }: EngineOptions,
): Promise<Engine> {
  const products = await device.plan(precision, { wholeWeights });
  const plan: GraphPlan = { config, device: device.name, products };
  const counts = slots > 1 && device.shares ? [1, slots] : [1];
  const compiled: Program[] = [];
  const release = async (): Promise<void> => {
    for (const program of compiled.splice(0)) await program.release();
  };
  const inPass = Math.min(threads, device.mostThreads?.(config) ?? threads);
  const compileOne = async (model: EncodedModel | ModelFile): Promise<Program> => {
    const program = await device.compile(model, { threads: inPass });
    compiled.push(program);
    return program;
  };
  /** `ready` has the graph for a number of slots at hand; what it returns compiles it. */
  const compileAll = async (ready: (count: number) => Promise<() => Promise<Programs>>): Promise<Programs[]> => {
    const all: Programs[] = [];
    try {
      for (const [i, count] of counts.entries()) {
        const compile = await ready(count);
        onProgress?.("compile", "graph", i, counts.length);
        all.push(await compile());
        onProgress?.("compile", "graph", i + 1, counts.length);
      }
      return all;
    } catch (error) {
      await release();
      throw error;
    }
  };
  const onUnit = (done: number, total: number): void => {
    if (signal?.aborted) throw new CllmError("aborted", "loading the model was aborted", { cause: signal.reason });
    onProgress?.("quantize", done < total ? `part ${done + 1}` : "all parts", done, total);
  };
  const inFiles = prepared
    ? await withPrepared(
        prepared,
        plan,
        weights,
        counts,
        (graphs) =>
          compileAll(async (count) => async () => {
            const { plain, drafting } = graphs.get(count) as GraphFiles;
            if (drafting === null) return alone(await compileOne({ path: plain }));
            if (products.form === "resident") return alone(await compileOne({ path: drafting }));
            return {
              plain: await compileOne({ path: plain }),
              drafting: await compileOne({ path: drafting }),
            };
          }),
        onUnit,
        signal,
        draft,
      )
    : null;
  const programs =
    inFiles?.value ??
    (await compileAll(async (count) => {
      const { encoded } = await buildGraph(plan, weights, {
        slots: count,
        draft,
        onLayer: (done) => onUnit(done, config.layers),
      });
      return async () => alone(await compileOne(encoded)); // weights in memory are there once, so all passes go through this graph
    }));
  const runner = device.runner(programs, { config, plan: products, slots });
  const caches = await device.caches(config, products);
  let heads: Heads | null = null;
  try {
    if (given !== null) {
      const { openHeads } = await import("./heads.ts"); // which a page without heads does not load
      heads = await openHeads(config, weights, given, { precision, threads });
    }
  } catch (error) {
    await release();
    await caches.release();
    throw error;
  }

  let begun = 0;
  let running = 0;
  const counted: PassRunner = {
    async run(pass, logits) {
      begun++;
      running++;
      try {
        return await runner.run(pass, logits);
      } finally {
        running--;
      }
    },
  };
  let disposed = false;
  const dispose = async (): Promise<void> => {
    if (disposed) return;
    disposed = true;
    await release();
    await inFiles?.kept;
    await caches.release();
    await heads?.release();
  };
  return {
    config,
    device: device.name,
    precision,
    threads: inPass,
    activity: () => ({ begun, running }),
    session() {
      if (disposed) throw new CllmError("disposed", "this model was disposed: load it again");
      return openSession(counted, config, { rows: device.rows, caches, drafter: draft !== null, heads });
    },
    dispose,
    [Symbol.asyncDispose]: dispose,
  };
}
