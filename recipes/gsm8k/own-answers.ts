/** The model's own answers to training questions of GSM8K in chat form, which whatever guesses for it learns from. */
import { gsm8k } from "../../src/tasks/gsm8k.ts";
import type { OwnAnswers } from "../answers.ts";
import type { Example } from "../examples.ts";

async function readData(dataDir: string): Promise<Example[]> {
  await using task = await gsm8k({ dataDir, split: "train", promptFormat: "chat", shots: 0 });
  return task.examples.map(({ id, input, reference }) => ({
    id,
    prompt: input([]).messages?.at(-1)?.content as string, // one turn
    answer: reference,
  }));
}

export const gsm8kAnswers: OwnAnswers & { readonly task: string; readonly asking: readonly string[] } = {
  ...{ task: "gsm8k", asking: ["--prompt-format", "chat", "--shots", "0"] },
  ...{ readData, adapter: null, chat: true, answerTokens: 256, keepTogether: 1 },
};
