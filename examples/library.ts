/**
 * The library in one page: load a model, stream an answer, ask again in the same conversation, and compare two decoders.
 * A program of your own imports from "cllm". The tests run this on a small random model.
 */
import { CllmError, load, type Message, type Progress } from "../src/index.ts";

/** Talks to the model named by a path or a hub id; `print` takes what a program would write. */
export async function main(pathOrId: string, print: (text: string) => void): Promise<void> {
  const onProgress = ({ stage, done, total }: Progress): void => {
    if (done === total) print(`${stage} done\n`);
  };
  await using model = await load(pathOrId, { precision: "int8", onProgress });

  // A conversation, streamed. The decoder is `auto`: it picks the fastest way, and the text does not depend on it.
  const conversation: Message[] = [{ role: "user", content: "What is a prime number?" }];
  let answer = "";
  const stream = model.stream({ messages: conversation, maxNewTokens: 48 });
  for await (const chunk of stream) {
    answer += chunk.text;
    print(chunk.text);
  }
  const { finishReason, stopReason } = await stream.result;
  print(`\nended by ${stopReason ?? finishReason}\n`);

  // The next turn begins with what is in the KV cache already.
  conversation.push({ role: "assistant", content: answer }, { role: "user", content: "Name three." });
  const next = await model.generate({ messages: conversation, maxNewTokens: 24, stop: ["\n\n"] });
  print(`\n${next.text}\n(${next.stats.cachedTokens} of ${next.stats.promptTokens} prompt tokens were cached)\n`);

  // Sampling is seeded, so that all decoders sample the same tokens.
  const request = { prompt: "Once upon a time", temperature: 0.8, seed: 7, maxNewTokens: 24 };
  const ar = await model.generate({ ...request, decoder: "ar" });
  const jacobi = await model.generate({ ...request, decoder: "jacobi", blockSize: 8 });
  print(`${ar.text}\n`);
  print(
    `jacobi: ${jacobi.stats.tokensPerForward.toFixed(2)} tokens per pass, ${ar.text === jacobi.text ? "the same" : "another"} text\n`,
  );

  // Errors have a code and say what to do.
  try {
    await model.generate({ prompt: "Hello", maxNewTokens: 10_000_000 });
  } catch (error) {
    if (!(error instanceof CllmError) || error.code !== "context-overflow") throw error;
    print(`${error.message}\n`);
  }
}
