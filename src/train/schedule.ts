/** The learning rate over a run: a linear warm-up, then half a cosine down to a share of the peak. Knows no optimizer. */

export interface Schedule {
  readonly learningRate: number;
  /** Steps until the peak. */
  readonly warmupSteps: number;
  /** Steps of the whole run. */
  readonly totalSteps: number;
  /** What is left of the peak at the end, 0 to 1. */
  readonly finalShare: number;
}

/** The learning rate of step `step`, from 1. After the last step it does not change. */
export function learningRateAt(step: number, { learningRate, warmupSteps, totalSteps, finalShare }: Schedule): number {
  if (step < warmupSteps) return (learningRate * step) / warmupSteps;
  const rest = Math.max(1, totalSteps - warmupSteps);
  const done = Math.min(1, (step - warmupSteps) / rest);
  return learningRate * (finalShare + (1 - finalShare) * 0.5 * (1 + Math.cos(Math.PI * done)));
}
