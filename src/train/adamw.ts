/**
 * AdamW with decoupled weight decay (Loshchilov and Hutter, arXiv:1711.05101, algorithm 2), in place on flat arrays.
 * Knows no tensors' names and no schedule.
 */

export interface AdamWSettings {
  readonly beta1: number;
  readonly beta2: number;
  readonly epsilon: number;
}

export const ADAMW: AdamWSettings = { beta1: 0.9, beta2: 0.95, epsilon: 1e-8 };

export interface AdamWStep {
  /** Optimizer steps with this one, from 1. */
  readonly step: number;
  readonly learningRate: number;
  readonly weightDecay: number;
  /** Gradients are multiplied by it first: for clipping and for averages. */
  readonly scale: number;
}

/**
 * One step on `weights` and both moments, all of one length. Everything is rounded to float32 after each operation, so
 * the processor works in float32 and every machine gets the same bits.
 */
export function adamWStep(
  weights: Float32Array,
  gradient: Float32Array,
  first: Float32Array,
  second: Float32Array,
  { step, learningRate, weightDecay, scale }: AdamWStep,
  settings: AdamWSettings = ADAMW,
): void {
  const f = Math.fround;
  const [b1, b2] = [f(settings.beta1), f(settings.beta2)];
  const [c1, c2] = [f(1 - settings.beta1), f(1 - settings.beta2)];
  const correction = f(Math.sqrt(1 - settings.beta2 ** step));
  const rate = f((learningRate * Math.sqrt(1 - settings.beta2 ** step)) / (1 - settings.beta1 ** step));
  const epsilon = f(settings.epsilon * correction);
  const keep = f(1 - learningRate * weightDecay);
  const by = f(scale);
  for (let i = 0; i < weights.length; i++) {
    const g = f(f(gradient[i] as number) * by);
    const m = f(f(b1 * f(first[i] as number)) + f(c1 * g));
    const v = f(f(b2 * f(second[i] as number)) + f(c2 * f(g * g)));
    first[i] = m;
    second[i] = v;
    const change = f(f(rate * m) / f(f(Math.sqrt(v)) + epsilon));
    weights[i] = f(f(f(weights[i] as number) * keep) - change);
  }
}
