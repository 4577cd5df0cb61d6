/**
 * Where the numbers of a model in training are: in the arrays of its parameters. Another device may keep them in its own memory, see
 * `resident-numbers.ts`. Knows no graph's inside and no schedule.
 */
import { type Feeds, float32Data, float32Tensor, type Program, type Tensor } from "../runtime/ort.ts";
import { type AdamWStep, adamWStep } from "./adamw.ts";
import type { Parameters } from "./parameters.ts";

/** Gradients by trained tensor, where they were computed, and what was fetched beside them. */
export interface Computed {
  readonly gradients: readonly Tensor[];
  readonly results: Readonly<Record<string, Tensor>>;
}

export interface Numbers {
  /** Every tensor of the model, for a run. Holds until the next `update` or `bring`. */
  feeds(): Feeds;
  /** Runs the training graph and fetches `outputs`. */
  compute(program: Program, feeds: Feeds, outputs: readonly string[]): Promise<Computed>;
  /** Adds the second to the first, and gives the sum with its squared norms; neither may be used afterwards. */
  add(
    sum: readonly Tensor[],
    other: readonly Tensor[],
  ): Promise<{ gradients: readonly Tensor[]; squares: Float32Array }>;
  /** One step of AdamW on each tensor, as `stepOf` says. The gradients may not be used afterwards. */
  update(gradients: readonly Tensor[], stepOf: (index: number) => AdamWStep): Promise<void>;
  /** The gradients in the process's memory. */
  read(gradients: readonly Tensor[]): Promise<readonly Float32Array[]>;
  /** Puts into the parameters' arrays what was trained since the last time. */
  fetch(): Promise<void>;
  /** Takes over what the parameters' arrays have. */
  bring(): Promise<void>;
  release(): Promise<void>;
}

export const gradientName = (tensor: string): string => `gradient:${tensor}`;

export function hostNumbers({ trained, frozen }: Parameters): Numbers {
  const all = [...trained, ...frozen];
  const weights = Object.fromEntries(all.map(({ name, shape, data }) => [name, float32Tensor(data, shape)]));
  return {
    feeds: () => weights,
    async compute(program, feeds, outputs) {
      const names = trained.map(({ name }) => gradientName(name));
      const results = await program.run(feeds, [...outputs, ...names]);
      return { results, gradients: names.map((name) => results[name] as Tensor) };
    },
    async add(sum, other) {
      for (const [index, gradient] of other.entries()) {
        const [total, more] = [float32Data(sum[index] as Tensor), float32Data(gradient)];
        for (let i = 0; i < total.length; i++) total[i] = (total[i] as number) + (more[i] as number);
      }
      const squares = Float32Array.from(sum, (total) => float32Data(total).reduce((all, g) => all + g * g, 0));
      return { gradients: sum, squares };
    },
    async update(gradients, stepOf) {
      for (const [i, { data, first, second }] of trained.entries()) {
        adamWStep(data, float32Data(gradients[i] as Tensor), first, second, stepOf(i));
      }
    },
    read: async (gradients) => gradients.map(float32Data),
    fetch: async () => {},
    bring: async () => {},
    release: async () => {},
  };
}
