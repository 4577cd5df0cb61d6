/**
 * Results that others published, to stand beside one's own: other models, other hardware, so only ratios within one source
 * compare. Each says how the figure was read: quoted by someone from the paper's table, read off the authors' plot (give
 * or take 0.2 tokens/s), or in the authors' own text. Facts only.
 */
import type { TaskName } from "../tasks/open-task.ts";

export interface PublishedResult {
  readonly task: TaskName;
  /** What it was measured on, where that is not the task itself. */
  readonly variant: string | null;
  readonly system: string;
  readonly model: string;
  readonly hardware: string;
  readonly tokensPerSecond: number;
  /** Over autoregressive decoding in the same source. */
  readonly speedup: number;
  /** Percent, or of 10 where a judge rated. */
  readonly score: number | null;
  /** For CLLMs, what the paper calls fast-forwarded tokens. */
  readonly tokensPerForward: number | null;
  readonly source: string;
  readonly read: "quoted" | "plot" | "authors";
}

type Figures = readonly [
  system: string,
  tokensPerSecond: number,
  speedup: number,
  score: number | null,
  tokensPerForward: number | null,
  read: PublishedResult["read"],
];

function results(
  shared: Pick<PublishedResult, "task" | "variant" | "model" | "hardware" | "source">,
  figures: readonly Figures[],
): PublishedResult[] {
  return figures.map(([system, tokensPerSecond, speedup, score, tokensPerForward, read]) => ({
    ...shared,
    ...{ system, tokensPerSecond, speedup, score, tokensPerForward, read },
  }));
}

const CLLM = { hardware: "A100 40 GB", source: "CLLMs, arXiv:2403.00835" } as const;
const FORCING = { hardware: "A100", source: "Jacobi Forcing, arXiv:2512.14681", model: "Qwen2.5 7B class" } as const;

/** Speeds and scores of one result may have been read in different places; `read` is the speed's. */
export const PUBLISHED: readonly PublishedResult[] = [
  ...results({ ...CLLM, task: "gsm8k", variant: null, model: "7B, fine-tuned" }, [
    ["target, AR", 43.5, 1, 59.1, null, "quoted"],
    ["target, Jacobi", 45.7, 1.1, 59.1, 1.1, "quoted"],
    ["target, lookahead", 74.8, 1.7, 59.1, null, "quoted"],
    ["CLLM, Jacobi", 132.4, 3, 56.4, 2.8, "quoted"],
    ["CLLM, lookahead", 125.2, 2.9, 56.4, null, "quoted"],
    ["Medusa-2", 70.3, 1.6, null, null, "plot"],
  ]),
  ...results({ ...FORCING, task: "gsm8k", variant: null }, [
    ["AR", 41.8, 1, 92.4, null, "authors"],
    ["CLLM", 86.8, 2.1, 92.2, 2.3, "authors"],
    ["Jacobi Forcing", 146.1, 3.5, 91.4, 3.7, "authors"],
    ["Jacobi Forcing, multiblock and recycling", 154.9, 3.7, 91.4, 4, "authors"],
  ]),
  ...results({ ...CLLM, task: "spider", variant: null, model: "7B, fine-tuned" }, [
    ["target, AR", 38, 1, 70, null, "plot"],
    ["target, Jacobi", 39.5, 1, null, 1.1, "plot"],
    ["CLLM, Jacobi", 127.7, 3.4, 69.3, 5.7, "plot"],
    ["Medusa-2", 104.1, 2.7, null, null, "plot"],
  ]),
  ...results({ ...CLLM, task: "humaneval", variant: "trained on CSN-Python", model: "7B, fine-tuned" }, [
    ["target, Jacobi", 43.3, 1.1, null, 1.1, "plot"],
    ["CLLM, Jacobi", 102.2, 2.5, null, 4, "plot"],
    ["Medusa-2", 128.1, 3.2, null, null, "plot"],
  ]),
  ...results({ ...FORCING, task: "humaneval", variant: null }, [
    ["AR", 41.3, 1, 87.8, null, "authors"],
    ["CLLM", 103.3, 2.5, 88, 2.7, "authors"],
    ["Jacobi Forcing", 159.5, 3.9, 83.5, 4, "authors"],
    ["Jacobi Forcing, multiblock and recycling", 163.9, 4, 83.5, 4.1, "authors"],
  ]),
  ...results({ ...CLLM, task: "mt-bench", variant: "trained on ShareGPT", model: "7B, fine-tuned" }, [
    ["target, AR", 37.6, 1, 6.5, null, "plot"],
    ["target, Jacobi", 39.9, 1.1, null, 1.1, "plot"],
    ["target, lookahead", 60.8, 1.6, null, null, "plot"],
    ["CLLM, Jacobi", 88.6, 2.4, 6.4, 2.2, "plot"],
    ["Medusa-2", 102.6, 2.7, null, null, "plot"],
    ["speculative decoding, distilled draft model", 51.3, 1.4, null, null, "plot"],
  ]),
];

/** The results of a task; none for one's own. */
export function publishedResults(task: string): readonly PublishedResult[] {
  return PUBLISHED.filter((result) => result.task === task);
}
