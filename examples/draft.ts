/**
 * A draft of one's own: guesses that take their time, as from a service, and a decoder of one's own over them. A program of your
 * own imports from "cllm/decode", which runs in a browser too. Here model and service are made up.
 */
import {
  consistentModel,
  type Decoder,
  type DraftPolicy,
  jacobi,
  scriptedSession,
  tokensPerForward,
} from "../src/decode/index.ts";

/** Guesses what the service answers, and lets go of it when the text ends. */
function fromService(ask: (context: Int32Array, count: number) => Promise<number[]>, close: () => void): DraftPolicy {
  return () => ({
    guess: async (text, guesses, { count }) =>
      Int32Array.from(await ask(Int32Array.of(...text, ...guesses), Math.min(count, 4))),
    [Symbol.asyncDispose]: async () => close(),
  });
}

/** Writes 40 tokens with it; returns them, the tokens per pass, and how often the service was closed. */
export async function main(): Promise<{ tokens: number[]; perPass: number; closed: number }> {
  const model = consistentModel(1000, 0.9);
  await using session = scriptedSession(model);
  const service = async (context: Int32Array, count: number): Promise<number[]> => {
    const ids = [...context];
    for (let i = 0; i < count; i++) ids.push("next" in model ? model.next(Int32Array.from(ids)) : 0);
    return ids.slice(context.length);
  };
  let closed = 0;
  const draft = fromService(service, () => {
    closed++;
  });
  const decode: Decoder = (on, prompt, options) => jacobi(on, prompt, { ...options, blockSize: 8, draft });
  const tokens: number[] = [];
  const accepted: number[] = [];
  for await (const iteration of decode(session, Int32Array.of(3, 1, 4), { maxNewTokens: 40 })) {
    tokens.push(...iteration.accepted);
    if (!iteration.prefill) accepted.push(iteration.accepted.length);
  }
  return { tokens, perPass: tokensPerForward(accepted), closed };
}
