/**
 * Which weights of a run are the ones to use, by what was measured on its held-out examples. Knows no folder and no weights.
 *
 * Fine-tuning (`ar`) is chosen by held-out loss alone: how many answers equal the data's to the last token says little of free
 * text, and how many tokens a pass settles is not what was trained.
 *
 * A draft adapter and heads on a frozen model change no answer, so they are chosen by tokens per forward alone.
 *
 * Consistency is chosen by the share of answers that came out as expected, times the square root of tokens per forward: one per
 * cent more of such answers counts as much as two per cent more speed. Equal scores go by held-out loss. Where no answer ever came
 * out as expected, or where one answer more would have put the last weights in front, the score cannot tell, and the last ones are taken.
 */
import type { TrainSettings } from "./settings.ts";

/** What a choice looks at. */
export interface Measured {
  /** Optimizer steps of the weights that were measured. */
  readonly step: number;
  readonly examples: number;
  readonly accuracy: number;
  readonly tokensPerForward: number;
  /** Mean cross entropy of the held-out answers' tokens; null where it was not measured or is not finite. */
  readonly heldOutLoss: number | null;
}

/** The weights to use: those of the best evaluation, or those of the last step. */
export interface Choice {
  readonly checkpoint: "best" | "final";
  readonly step: number;
  /** For people: what the choice was made by. */
  readonly why: string;
}

/** What weights are trained for. */
export type Aim = "ar" | "consistency" | "lossless";

type Aiming = Pick<TrainSettings, "objective"> & Partial<Pick<TrainSettings, "lossless" | "medusa">>;

/** Heads on a frozen model change no answer, as a draft adapter; with the model they change it, as consistency training. */
export function aimOf({ objective, lossless = false, medusa }: Aiming): Aim {
  if (lossless || medusa?.base === "frozen") return "lossless";
  return objective === "ar" ? "ar" : "consistency";
}

/** What consistency is chosen by, before ties. */
export const consistencyScore = ({
  accuracy,
  tokensPerForward,
}: Pick<Measured, "accuracy" | "tokensPerForward">): number => accuracy * Math.sqrt(tokensPerForward);

/** No loss is worse than any. */
const lossOf = ({ heldOutLoss }: Measured): number => heldOutLoss ?? Number.POSITIVE_INFINITY;

/** Whether `now`, the later one, takes the place of `kept`. What cannot be told apart goes to the later one. */
export function isBetter(now: Measured, kept: Measured | null, aim: Aim): boolean {
  if (kept === null) return true;
  if (aim === "lossless") return now.tokensPerForward >= kept.tokensPerForward;
  if (aim === "ar") return lossOf(now) <= lossOf(kept);
  const [score, before] = [consistencyScore(now), consistencyScore(kept)];
  if (score !== before) return score > before;
  return score === 0 || lossOf(now) <= lossOf(kept);
}

/**
 * The weights to use of a run that is over, by its best evaluation and that of its last step; null for none. Without one the
 * last weights are taken.
 */
export function chooseWeights(
  best: Measured | null,
  last: Measured | null,
  { steps, ...settings }: Pick<TrainSettings, "steps"> & Aiming,
): Choice {
  const aim = aimOf(settings);
  const final = (why: string): Choice => ({ checkpoint: "final", step: steps, why });
  if (best === null || last === null) return final("nothing was held out to choose by");
  if (aim === "lossless") {
    const most = `the most tokens per forward, ${best.tokensPerForward.toFixed(2)}`;
    if (best.step === last.step) return final(most);
    return {
      checkpoint: "best",
      step: best.step,
      why: `${most}; at the last step it is ${last.tokensPerForward.toFixed(2)}`,
    };
  }
  if (aim === "ar") {
    const [loss, atEnd] = [best.heldOutLoss, last.heldOutLoss];
    if (loss === null) return final("the held-out loss is not a number, so it could not tell");
    const why = `the lowest held-out loss, ${loss.toFixed(3)}`;
    if (best.step === last.step) return final(why);
    const ended = atEnd === null ? "not a number" : atEnd.toFixed(3);
    return { checkpoint: "best", step: best.step, why: `${why}; at the last step it is ${ended}` };
  }
  const score = consistencyScore(best);
  if (score === 0) return final("no held-out answer came out as expected, so the score could not tell");
  const said = `${best.accuracy.toFixed(3)} as expected × √${best.tokensPerForward.toFixed(2)} = ${score.toFixed(3)}`;
  if (best.step === last.step) return final(`the highest score, ${said}`);
  const oneMore = consistencyScore({ ...last, accuracy: last.accuracy + 1 / last.examples });
  if (oneMore >= score) {
    return final(
      `its score is within one held-out answer of the highest, that of step ${best.step}, so it could not tell`,
    );
  }
  const why = `the highest score, ${said}; at the last step it is ${consistencyScore(last).toFixed(3)}`;
  return { checkpoint: "best", step: best.step, why };
}
