/**
 * One model in training: runs packs through its graphs, and turns gradients into steps. Knows neither where packs come from
 * nor when to stop, and keeps nothing on disk.
 */
import { CllmError } from "../error.ts";
import type { ModelConfig } from "../model/config.ts";
import { predictionGraph, type TrainingGraphOptions, trainingGraph } from "../model/training-graph.ts";
import { defaultThreads } from "../runtime/host.ts";
import {
  compile,
  type Feeds,
  float32Data,
  float32Tensor,
  int64Data,
  int64Tensor,
  type Program,
} from "../runtime/ort.ts";
import { adamWStep } from "./adamw.ts";
import { type Layout, layOut, type Pack, type Term } from "./pack.ts";
import type { Parameters } from "./parameters.ts";

export interface TrainerOptions extends TrainingGraphOptions {
  readonly threads?: number;
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
}

export interface Gradients {
  readonly loss: number;
  /** Cross entropies of the rows that carry loss, in the layout's order. */
  readonly crossEntropies: Float32Array;
  readonly layout: Layout;
  /** By trained tensor. Fresh arrays. */
  readonly byTensor: readonly Float32Array[];
  /** By trained tensor: the sum of squares. */
  readonly squares: Float32Array;
}

export class Trainer implements AsyncDisposable {
  readonly config: ModelConfig;
  readonly parameters: Parameters;
  readonly batch: number;
  readonly #training: Program;
  readonly #prediction: Program;
  readonly #divergence: boolean;
  readonly #weights: Feeds;

  private constructor(
    config: ModelConfig,
    parameters: Parameters,
    { batch, divergence = false }: TrainerOptions,
    programs: { training: Program; prediction: Program },
  ) {
    this.config = config;
    this.parameters = parameters;
    this.batch = batch;
    this.#divergence = divergence;
    this.#training = programs.training;
    this.#prediction = programs.prediction;
    const all = [...parameters.trained, ...parameters.frozen];
    this.#weights = Object.fromEntries(all.map(({ name, shape, data }) => [name, float32Tensor(data, shape)]));
  }

  static async create(config: ModelConfig, parameters: Parameters, options: TrainerOptions): Promise<Trainer> {
    const { threads = defaultThreads() } = options;
    const training = await compile(await trainingGraph(config, options), { threads });
    try {
      const prediction = await compile(await predictionGraph(config, options), { threads });
      return new Trainer(config, parameters, options, { training, prediction });
    } catch (error) {
      await training.release(); // no other code can
      throw error;
    }
  }

  /** As `layOut`, with the model's sliding window. */
  layOut(packs: readonly Pack[], factors?: Record<Term, number>): Layout {
    return layOut(packs, factors, this.config.slidingWindow);
  }

  /** What comes after each row of the layout that carries loss, `(R,)`. No gradient. */
  async predict(layout: Layout): Promise<Int32Array> {
    const results = await this.#prediction.run(this.#feeds(layout), ["next"]);
    return int64Data(results["next"]!);
  }

  /** Loss and gradients of some packs, one for each sequence of the batch. No weight is changed. See `layOut` for factors. */
  async gradients(packs: readonly Pack[], factors?: Record<Term, number>): Promise<Gradients> {
    const layout = this.layOut(packs, factors);
    const { trained } = this.parameters;
    const outputs = ["loss", "cross_entropies", "squares", ...trained.map(({ name }) => `gradient:${name}`)];
    const rows = layout.rows.length;
    const feeds: Feeds = {
      ...this.#feeds(layout),
      targets: int64Tensor(layout.targets, [rows, 1]),
      weights: float32Tensor(layout.weights, [rows, 1]),
    };
    if (this.#divergence) {
      feeds["teachers"] = int64Tensor(layout.teachers, [rows]);
      feeds["divergence_weights"] = float32Tensor(layout.divergenceWeights, [rows, 1]);
    }
    const results = await this.#training.run(feeds, outputs);
    return {
      loss: float32Data(results["loss"]!)[0] as number,
      crossEntropies: float32Data(results["cross_entropies"]!),
      layout,
      byTensor: trained.map(({ name }) => float32Data(results[`gradient:${name}`]!)),
      squares: float32Data(results["squares"]!),
    };
  }

  /** The sum of two passes' gradients, into the first one's arrays. */
  add(sum: Gradients, { loss, byTensor }: Gradients): Gradients {
    for (const [index, gradient] of byTensor.entries()) {
      const total = sum.byTensor[index] as Float32Array;
      for (let i = 0; i < total.length; i++) total[i] = (total[i] as number) + (gradient[i] as number);
    }
    const squares = Float32Array.from(sum.byTensor, (total) => total.reduce((all, g) => all + g * g, 0));
    return { ...sum, loss: sum.loss + loss, squares };
  }

  /**
   * One step of AdamW. Returns the norm of the gradients before clipping. Throws `diverged` where it is not finite, before
   * anything is changed.
   */
  step({ byTensor, squares }: Gradients, settings: StepSettings): number {
    const { step, learningRate, weightDecay, clipNorm, decayAll = false } = settings;
    const norm = Math.sqrt(squares.reduce((sum, square) => sum + square, 0));
    if (!Number.isFinite(norm)) {
      throw new CllmError("diverged", `the gradients of step ${step} are not finite: lower the learning rate`);
    }
    const scale = clipNorm > 0 && norm > clipNorm ? clipNorm / norm : 1;
    for (const [i, { data, shape, first, second }] of this.parameters.trained.entries()) {
      const decays = decayAll || shape.length > 1;
      adamWStep(data, byTensor[i] as Float32Array, first, second, {
        ...{ step, learningRate, scale },
        weightDecay: decays ? weightDecay : 0,
      });
    }
    return norm;
  }

  #feeds(layout: Layout): Feeds {
    const { length, ids, positions, bias, rows } = layout;
    if (positions.length !== this.batch * length) {
      throw new RangeError(`${positions.length / length} packs for a batch of ${this.batch}`);
    }
    return {
      ...this.#weights,
      ids: int64Tensor(ids, [ids.length]),
      positions: int64Tensor(positions, [this.batch, length]),
      bias: float32Tensor(bias, [this.batch, 1, length, length]),
      rows: int64Tensor(rows, [rows.length]),
    };
  }

  async dispose(): Promise<void> {
    await this.#training.release();
    await this.#prediction.release();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.dispose();
  }
}
