/**
 * A model in training, measured on held-out examples: how many of its answers are right, and how many tokens a pass of Jacobi
 * decoding settles. Decodes as anybody else would, on an engine made from the present weights. Knows no text; what is right
 * is the caller's to say.
 */
import { jacobi } from "../decode/jacobi.ts";
import { tokensPerForward } from "../decode/tokens-per-forward.ts";
import type { ModelConfig } from "../model/config.ts";
import { memoryWeights, type NamedTensor } from "../model/memory-weights.ts";
import { createEngine } from "../runtime/engine.ts";
import type { TokenIds } from "../runtime/session.ts";
import type { Example } from "./objectives.ts";

export interface HeldOut extends Example {
  /** Whether an answer is right; default: it is the example's completion. */
  readonly isRight?: (answer: TokenIds) => boolean | Promise<boolean>;
}

export interface Evaluation {
  readonly examples: number;
  /** Right answers / examples. */
  readonly accuracy: number;
  /** Over all answers; 1 where none needed a decode pass. */
  readonly tokensPerForward: number;
  /** Answers that the budget ended: where they go round in circles, they make a model look fast. */
  readonly cutOff: number;
}

export interface EvaluateOptions {
  readonly blockSize: number;
  readonly maxNewTokens?: number;
  readonly stopIds: ReadonlySet<number>;
  readonly threads?: number;
  readonly signal?: AbortSignal | undefined;
}

/** Answer every example with Jacobi decoding in fp32. */
export async function evaluate(
  config: ModelConfig,
  tensors: Iterable<NamedTensor>,
  examples: readonly HeldOut[],
  { blockSize, maxNewTokens = 256, stopIds, threads, signal }: EvaluateOptions,
): Promise<Evaluation> {
  const precision = "fp32";
  await using engine = await createEngine(config, memoryWeights(tensors), {
    precision,
    ...(threads === undefined ? {} : { threads }),
  });
  await using session = engine.session();
  let [right, cutOff] = [0, 0];
  const settled: number[] = []; // in each decode pass
  for (const example of examples) {
    const { promptIds, completionIds } = example;
    const budget = Math.min(maxNewTokens, config.contextLength - promptIds.length);
    if (budget < 1) continue; // a prompt that leaves no room has no right answer
    session.truncate(0);
    const answer: number[] = [];
    const options = { maxNewTokens: budget, stopIds, blockSize, ...(signal === undefined ? {} : { signal }) };
    for await (const { accepted, prefill } of jacobi(session, promptIds, options)) {
      answer.push(...accepted);
      if (!prefill) settled.push(accepted.length);
    }
    const ids = Int32Array.from(answer);
    cutOff += Number(!stopIds.has(answer.at(-1)!));
    right += Number(await (example.isRight?.(ids) ?? ids.join() === completionIds.join()));
  }
  return {
    examples: examples.length,
    accuracy: examples.length === 0 ? 0 : right / examples.length,
    tokensPerForward: settled.length === 0 ? 1 : tokensPerForward(settled),
    cutOff,
  };
}
