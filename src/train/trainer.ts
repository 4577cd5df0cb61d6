/**
 * One model in training: runs packs through its graphs, and turns gradients into steps. Knows neither where packs come from
 * nor when to stop, and keeps nothing on disk.
 */
import { CllmError } from "../error.ts";
import type { EncodedModel } from "../graph/graph.ts";
import { masksOf } from "../model/attention.ts";
import type { ModelConfig } from "../model/config.ts";
import { medusaTrainingGraph } from "../model/medusa-training-graph.ts";
import { cleanGraph, predictionGraph, type TrainingGraphOptions, trainingGraph } from "../model/training-graph.ts";
import { cpu } from "../runtime/devices/cpu.ts";
import type { Device } from "../runtime/devices/device.ts";
import { defaultThreads } from "../runtime/host.ts";
import {
  type Feeds,
  float32Data,
  float32Tensor,
  int64Data,
  int64Tensor,
  type Program,
  type Tensor,
} from "../runtime/ort.ts";
import { CleanText, partFeeds } from "./clean-text.ts";
import { headTargets } from "./head-targets.ts";
import { hostNumbers, type Numbers } from "./numbers.ts";
import { type Layout, layOut, type Pack, type Term } from "./pack.ts";
import type { Parameters } from "./parameters.ts";
import { residentNumbers } from "./resident-numbers.ts";
import { splitLayout } from "./split-layout.ts";

export interface TrainerOptions extends Omit<TrainingGraphOptions, "form"> {
  readonly threads?: number;
  /** Where it runs, and where the numbers are. Default: the processor. */
  readonly device?: Device;
  /** With `drafts`: batches whose clean text is kept, because they are run again before the next step. Default: 1. */
  readonly accumulate?: number;
}

export interface StepSettings {
  /** Optimizer steps with this one, from 1: the caller counts them, for a run that goes on. */
  readonly step: number;
  readonly learningRate: number;
  readonly weightDecay: number;
  /** Gradients are scaled down to this norm where they are longer (Pascanu et al., arXiv:1211.5063); 0 for never. */
  readonly clipNorm: number;
  /** Whether norms and biases decay too. */
  readonly decayAll?: boolean;
  /** What the learning rate of a tensor is multiplied by. Default: 1 for all. */
  readonly rateOf?: (name: string) => number;
}

export interface Gradients {
  readonly loss: number;
  /** Cross entropies of the rows that carry loss, in the layout's order; zeros where the model's own loss is not computed. */
  readonly crossEntropies: Float32Array;
  /** With heads: the mean cross entropy of each, weighted as in the loss; null where a head has no target. */
  readonly headLosses: readonly { readonly sum: number; readonly weight: number }[];
  readonly layout: Layout;
  /** By trained tensor, where the device has them: `Trainer.read` gives the numbers. */
  readonly held: readonly Tensor[];
  /** By trained tensor: the sum of squares. */
  readonly squares: Float32Array;
}

export class Trainer implements AsyncDisposable {
  readonly config: ModelConfig;
  readonly parameters: Parameters;
  readonly batch: number;
  readonly #training: Program;
  /** Null where no points are refined. */
  readonly #prediction: Program | null;
  /** Keys and values of clean text, where only draft rows are trained. */
  readonly #clean: CleanText | null;
  readonly #divergence: boolean;
  readonly #numbers: Numbers;
  /** Whether ids that come twice have to be told: see `gatherOnce`. */
  readonly #distinct: boolean;
  /** Which masks the graphs take. */
  readonly #masks: ReturnType<typeof masksOf>;

  private constructor(
    config: ModelConfig,
    parameters: Parameters,
    { batch, divergence = false, device = cpu, accumulate = 1 }: TrainerOptions,
    {
      numbers,
      ...programs
    }: { training: Program; prediction: Program | null; clean: Program | null; numbers: Numbers },
  ) {
    this.config = config;
    this.parameters = parameters;
    this.batch = batch;
    this.#masks = masksOf(config);
    this.#divergence = divergence;
    this.#training = programs.training;
    this.#prediction = programs.prediction;
    this.#numbers = numbers;
    this.#distinct = device.memory !== null;
    const { clean } = programs;
    this.#clean =
      clean === null
        ? null
        : new CleanText(clean, () => numbers.feeds(), { batch, masks: this.#masks, most: accumulate });
  }

  /** Throws `engine`, and `unsupported` for a model that the device cannot train. */
  static async create(config: ModelConfig, parameters: Parameters, options: TrainerOptions): Promise<Trainer> {
    const { threads = defaultThreads(), device = cpu } = options;
    const form = device.memory === null ? "host" : "resident";
    if ((options.drafts || options.medusa !== undefined) && form === "resident") {
      const what = options.drafts ? "lossless training" : "training of heads";
      throw new CllmError("unsupported", `${what} is built for the processor: take device cpu`);
    }
    const made: (() => Promise<void>)[] = [];
    const compiled = async (graph: EncodedModel): Promise<Program> => {
      const program = await device.compile(graph, { threads });
      made.push(() => program.release());
      return program;
    };
    try {
      const { medusa } = options;
      const training = await compiled(
        medusa === undefined
          ? await trainingGraph(config, { ...options, form })
          : await medusaTrainingGraph(config, { ...options, medusa }),
      );
      const prediction =
        medusa === undefined ? await compiled(await predictionGraph(config, { ...options, form })) : null;
      const clean = options.drafts ? await compiled(await cleanGraph(config, options)) : null;
      const numbers =
        device.memory === null ? hostNumbers(parameters) : await residentNumbers(parameters, device, device.memory);
      return new Trainer(config, parameters, options, { training, prediction, clean, numbers });
    } catch (error) {
      for (const release of made) await release(); // no other code can
      throw error;
    }
  }

  /** As `layOut`, with the model's sliding window. */
  layOut(packs: readonly Pack[], factors?: Record<Term, number>): Layout {
    return layOut(packs, factors, this.config.slidingWindow);
  }

  /** What comes after each row of the layout that carries loss, `(R,)`. No gradient. */
  async predict(layout: Layout): Promise<Int32Array> {
    if (this.#prediction === null) throw new TypeError("heads are trained without refining points");
    const results = await this.#prediction.run(await this.#feeds(layout), ["next"]);
    return int64Data(results["next"]!);
  }

  /**
   * Loss and gradients of some packs, one for each sequence of the batch. No weight is changed. See `layOut` for factors; `headFactors` are
   * those of Medusa heads, by head.
   */
  async gradients(
    packs: readonly Pack[],
    factors?: Record<Term, number>,
    headFactors: readonly number[] = [],
  ): Promise<Gradients> {
    const layout = this.layOut(packs, factors);
    const rows = layout.rows.length;
    const own = this.#training.outputs.includes("cross_entropies");
    const heads = headTargets(packs, headFactors.length, rows);
    const feeds: Feeds = {
      ...(await this.#feeds(layout)),
      ...(own && {
        targets: int64Tensor(layout.targets, [rows, 1]),
        weights: float32Tensor(layout.weights, [rows, 1]),
      }),
    };
    for (const [head, factor] of headFactors.entries()) {
      const weights = (heads.weights[head] as Float32Array).map((weight) => factor * weight);
      feeds[`head_targets_${head}`] = int64Tensor(heads.targets[head] as Int32Array, [rows, 1]);
      feeds[`head_weights_${head}`] = float32Tensor(weights, [rows, 1]);
    }
    if (this.#divergence) {
      feeds["teachers"] = int64Tensor(layout.teachers, [rows]);
      feeds["divergence_weights"] = float32Tensor(layout.divergenceWeights, [rows, 1]);
    }
    if (this.#distinct) Object.assign(feeds, distinctFeeds(layout));
    const outputs = [
      "loss",
      "squares",
      ...(own ? ["cross_entropies"] : []),
      ...(headFactors.length > 0 ? ["head_entropies"] : []),
    ];
    const { gradients, results } = await this.#numbers.compute(this.#training, feeds, outputs);
    return {
      loss: float32Data(results["loss"]!)[0] as number,
      crossEntropies: own ? float32Data(results["cross_entropies"]!) : new Float32Array(rows),
      headLosses: heads.weights.map((weights, head) => {
        const entropies = float32Data(results["head_entropies"]!).subarray(head * rows, (head + 1) * rows);
        return {
          sum: weights.reduce((sum, weight, row) => sum + weight * (entropies[row] as number), 0),
          weight: weights.reduce((sum, weight) => sum + weight, 0),
        };
      }),
      layout,
      held: gradients,
      squares: float32Data(results["squares"]!),
    };
  }

  /** The sum of two passes' gradients. Neither may be used afterwards. */
  async add(sum: Gradients, { loss, held }: Gradients): Promise<Gradients> {
    const { gradients, squares } = await this.#numbers.add(sum.held, held);
    return { ...sum, loss: sum.loss + loss, held: gradients, squares };
  }

  /** The numbers of gradients, by trained tensor. */
  read({ held }: Gradients): Promise<readonly Float32Array[]> {
    return this.#numbers.read(held);
  }

  /**
   * One step of AdamW, which uses the gradients up. Returns their norm before clipping. Throws `diverged` where it is not finite,
   * before anything is changed.
   */
  async step({ held, squares }: Gradients, settings: StepSettings): Promise<number> {
    const { step, learningRate, weightDecay, clipNorm, decayAll = false, rateOf = () => 1 } = settings;
    const norm = Math.sqrt(squares.reduce((sum, square) => sum + square, 0));
    if (!Number.isFinite(norm)) {
      throw new CllmError("diverged", `the gradients of step ${step} are not finite: lower the learning rate`);
    }
    const scale = clipNorm > 0 && norm > clipNorm ? clipNorm / norm : 1;
    const { trained } = this.parameters;
    await this.#numbers.update(held, (index) => {
      const decays = decayAll || (trained[index]?.shape.length ?? 0) > 1;
      const rate = learningRate * rateOf(trained[index]?.name ?? "");
      return { ...{ step, learningRate: rate, scale }, weightDecay: decays ? weightDecay : 0 };
    });
    return norm;
  }

  /** Brings the arrays of `parameters` up to what was trained. A device with memory of its own leaves them behind. */
  fetch(): Promise<void> {
    return this.#numbers.fetch();
  }

  /** Goes on from what the arrays of `parameters` have, after somebody else has written them. */
  bring(): Promise<void> {
    return this.#numbers.bring();
  }

  async #feeds(layout: Layout): Promise<Feeds> {
    const { length, positions, rows } = layout;
    if (positions.length !== this.batch * length) {
      throw new RangeError(`${positions.length / length} packs for a batch of ${this.batch}`);
    }
    const weights = this.#numbers.feeds();
    if (this.#clean === null) {
      return { ...weights, ...partFeeds(layout, this.batch, this.#masks), rows: int64Tensor(rows, [rows.length]) };
    }
    const { clean, noisy, rows: moved } = splitLayout(layout);
    return {
      ...weights,
      ...(await this.#clean.keysAndValues(clean)),
      ...partFeeds(noisy, this.batch, this.#masks),
      rows: int64Tensor(moved, [moved.length]),
    };
  }

  async dispose(): Promise<void> {
    await this.#training.release();
    await this.#prediction?.release();
    await this.#numbers.release();
    await this.#clean?.release();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.dispose();
  }
}

/** Each id once, and the rows: what the resident form of the graph adds gradients up by. */
function distinctFeeds({ ids, rows }: Layout): Feeds {
  const distinct = Int32Array.from(new Set(ids));
  return {
    row_places: int64Tensor(rows, [rows.length, 1]),
    distinct_ids: int64Tensor(distinct, [distinct.length, 1]),
    distinct_numbers: float32Tensor(Float32Array.from(distinct), [distinct.length, 1]),
    id_numbers: float32Tensor(Float32Array.from(ids), [1, ids.length]),
  };
}
