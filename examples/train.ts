/**
 * Fine-tuning on a file of questions and answers, one JSON object a line. A program of your own imports from "cllm/train".
 */
import { prepareTraining, runTraining } from "../src/train/index.ts";

/** Trains for a few steps; returns where the weights are, and the losses on the way. */
export async function main(model: string, data: string, folder: string): Promise<{ output: string; losses: number[] }> {
  await using training = await prepareTraining({
    model,
    folder,
    source: { data, promptField: "question", answerField: "answer", raw: true },
    settings: { steps: 6, batch: 2, sequenceLength: 64, learningRate: 1e-2, warmupSteps: 0 },
    heldOut: 0,
    threads: 1,
  });
  const losses: number[] = [];
  const records = runTraining(training.run);
  for (;;) {
    const { done, value } = await records.next();
    if (done) return { output: value.output, losses };
    if (value.type === "step") losses.push(value.loss);
  }
}
