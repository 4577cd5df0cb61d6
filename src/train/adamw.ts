/**
 * AdamW with decoupled weight decay (Loshchilov and Hutter, arXiv:1711.05101, algorithm 2), in place on flat arrays.
 * Knows no tensors' names and no schedule.
 */
import { type AdamWConstants, adamWKernel, CHUNK } from "./adamw-kernel.ts";

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

/** What a step multiplies and adds, all in float32. */
export function adamWConstants(
  { step, learningRate, weightDecay, scale }: AdamWStep,
  { beta1, beta2, epsilon }: AdamWSettings = ADAMW,
): AdamWConstants {
  const f = Math.fround;
  const correction = Math.sqrt(1 - beta2 ** step);
  return {
    ...{ scale: f(scale), b1: f(beta1), c1: f(1 - beta1), b2: f(beta2), c2: f(1 - beta2) },
    rate: f((learningRate * correction) / (1 - beta1 ** step)),
    epsilon: f(epsilon * correction),
    keep: f(1 - learningRate * weightDecay),
  };
}

/**
 * One step on `weights` and both moments, all of one length, chunk by chunk. Everything is rounded to float32 after each
 * operation, so every machine gets the same bits.
 */
export function adamWStep(
  weights: Float32Array,
  gradient: Float32Array,
  first: Float32Array,
  second: Float32Array,
  step: AdamWStep,
  settings: AdamWSettings = ADAMW,
): void {
  const kernel = adamWKernel();
  const constants = adamWConstants(step, settings);
  for (let from = 0; from < weights.length; from += CHUNK) {
    const to = Math.min(weights.length, from + CHUNK);
    kernel.weights.set(weights.subarray(from, to));
    kernel.first.set(first.subarray(from, to));
    kernel.second.set(second.subarray(from, to));
    kernel.gradient.set(gradient.subarray(from, to));
    kernel.run(to - from, constants);
    weights.set(kernel.weights.subarray(0, to - from), from);
    first.set(kernel.first.subarray(0, to - from), from);
    second.set(kernel.second.subarray(0, to - from), from);
  }
}
