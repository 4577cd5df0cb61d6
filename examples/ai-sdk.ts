/**
 * The AI SDK in two ways: over a running `cllm serve`, and in this process without a server. The packages are "ai" and, for the
 * server, "@ai-sdk/openai-compatible". A program of your own imports `createCllm` from "cllm/ai-sdk".
 */
import { createOpenAICompatible } from "@ai-sdk/openai-compatible";
import { generateText, streamText } from "ai";
import { createCllm } from "../src/ai-sdk/index.ts";

const request = { prompt: "Name three prime numbers.", maxOutputTokens: 24 };

/** Asks the server at `baseURL`, such as `http://localhost:8000/v1`; returns both answers and what the first one took. */
export async function main(
  baseURL: string,
  name: string,
): Promise<{ whole: string; streamed: string; tokens: number | undefined }> {
  const model = createOpenAICompatible({ name: "cllm", baseURL })(name);
  const { text: whole, usage } = await generateText({ model, ...request });
  let streamed = "";
  for await (const piece of streamText({ model, ...request }).textStream) streamed += piece;
  return { whole, streamed, tokens: usage.outputTokens };
}

/** Asks the model at a path or hub id, in this process. */
export async function inThisProcess(pathOrId: string): Promise<string> {
  await using cllm = createCllm();
  const { text } = await generateText({ model: cllm(pathOrId, { decoder: "jacobi" }), ...request });
  return text;
}
