/**
 * The AI SDK over a running `cllm serve`: a whole answer and a streamed one. The packages are "ai" and "@ai-sdk/openai-compatible".
 */
import { createOpenAICompatible } from "@ai-sdk/openai-compatible";
import { generateText, streamText } from "ai";

/** Asks the server at `baseURL`, such as `http://localhost:8000/v1`; returns both answers and what the first one took. */
export async function main(
  baseURL: string,
  name: string,
): Promise<{ whole: string; streamed: string; tokens: number | undefined }> {
  const model = createOpenAICompatible({ name: "cllm", baseURL })(name);
  const request = { model, prompt: "Name three prime numbers.", maxOutputTokens: 24 };
  const { text: whole, usage } = await generateText(request);
  let streamed = "";
  for await (const piece of streamText(request).textStream) streamed += piece;
  return { whole, streamed, tokens: usage.outputTokens };
}
