/**
 * A chat: questions come in one by one, answers are streamed, and a line of statistics follows each. A program of your own imports
 * from "cllm", and takes its questions from `createInterface` of "node:readline/promises".
 */
import { type LanguageModel, load, type Message, type Stats } from "../src/index.ts";

/** Answers each question in turn; `print` takes what a program would write. Returns the statistics of every answer. */
export async function main(
  pathOrId: string,
  questions: AsyncIterable<string> | Iterable<string>,
  print: (text: string) => void,
): Promise<Stats[]> {
  await using model = await load(pathOrId);
  const messages: Message[] = [];
  const all: Stats[] = [];
  for await (const question of questions) {
    messages.push({ role: "user", content: question });
    const { text, stats } = await answer(model, messages, print);
    messages.push({ role: "assistant", content: text });
    const { newTokens, tokensPerForward, tokensPerSecond, cachedTokens } = stats;
    const speed = `${tokensPerForward.toFixed(2)} per pass, ${tokensPerSecond.toFixed(0)} per second`;
    print(`\n[${newTokens} tokens, ${speed}; ${cachedTokens} of the prompt were cached]\n`);
    all.push(stats);
  }
  return all;
}

async function answer(
  model: LanguageModel,
  messages: readonly Message[],
  print: (text: string) => void,
): Promise<{ text: string; stats: Stats }> {
  const stream = model.stream({ messages, maxNewTokens: 32 });
  for await (const chunk of stream) print(chunk.text);
  return stream.result;
}
