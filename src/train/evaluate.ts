/**
 * A model in training, measured on held-out examples: how many of its answers are right, and how many tokens a pass of
 * Jacobi decoding settles, and what the expected answers cost it in nats. Decodes on an ordinary engine made from the
 * present weights. Knows no text; what is right is the caller's to say.
 */
import { jacobi } from "../decode/jacobi.ts";
import { medusa } from "../decode/medusa.ts";
import { tokensPerForward } from "../decode/tokens-per-forward.ts";
import { CllmError } from "../error.ts";
import type { ModelConfig } from "../model/config.ts";
import type { DraftAdapter } from "../model/draft-adapter.ts";
import type { MedusaHeads } from "../model/heads-graph.ts";
import { memoryWeights, type NamedTensor } from "../model/memory-weights.ts";
import type { Device } from "../runtime/devices/device.ts";
import { createEngine } from "../runtime/engine.ts";
import type { Session, TokenIds } from "../runtime/session.ts";
import type { HeldOut } from "./held-out.ts";

export interface Evaluation {
  readonly examples: number;
  /** Right answers / examples. */
  readonly accuracy: number;
  /** Over all answers; 1 where none needed a decode pass. */
  readonly tokensPerForward: number;
  /** Answers that the budget ended: if they loop, they make a model look fast. */
  readonly cutOff: number;
  /** Mean cross entropy of the expected answers' tokens, each after the right ones before it; null where it is not finite. */
  readonly heldOutLoss: number | null;
}

export interface EvaluateOptions {
  readonly blockSize: number;
  /** Most tokens of an answer, where the expected one is not longer. Default: 256. */
  readonly maxNewTokens?: number;
  readonly stopIds: ReadonlySet<number>;
  /** A draft adapter to measure, for the tensors as they are. Default: none. */
  readonly draft?: DraftAdapter | null;
  /** Medusa heads to measure, by their decoder. Default: none. */
  readonly heads?: MedusaHeads | null;
  readonly threads?: number;
  /** Default: the processor. */
  readonly device?: Device;
  readonly signal?: AbortSignal | undefined;
}

/** Rows whose logits are in memory at once. */
const LOSS_ROWS = 32;

/**
 * Answer every example with Jacobi decoding in fp32. An expected answer that the context cannot hold is compared as far as it
 * goes; a prompt that leaves no room counts as wrong. Throws `aborted`.
 */
export async function evaluate(
  config: ModelConfig,
  tensors: Iterable<NamedTensor>,
  examples: readonly HeldOut[],
  { blockSize, maxNewTokens = 256, stopIds, threads, device, signal, draft = null, heads = null }: EvaluateOptions,
): Promise<Evaluation> {
  const precision = "fp32";
  await using engine = await createEngine(config, memoryWeights(tensors), {
    precision,
    draft,
    heads,
    ...(threads === undefined ? {} : { threads }),
    ...(device === undefined ? {} : { device }),
  });
  await using session = engine.session();
  let [right, cutOff] = [0, 0];
  const settled: number[] = []; // in each decode pass
  const entropies = { sum: 0, tokens: 0 };
  for (const example of examples) {
    const { promptIds, completionIds } = example;
    const room = config.contextLength - promptIds.length;
    if (room < 1) continue;
    const expected = completionIds.subarray(0, room);
    session.truncate(0);
    const answer: number[] = [];
    const options = {
      maxNewTokens: Math.min(room, Math.max(maxNewTokens, expected.length)),
      ...{ stopIds, blockSize, ...(signal === undefined ? {} : { signal }) },
    };
    const passes = heads === null ? jacobi(session, promptIds, options) : medusa(session, promptIds, options);
    for await (const { accepted, prefill } of passes) {
      for (const id of accepted) answer.push(id);
      if (!prefill) settled.push(accepted.length);
    }
    const ids = Int32Array.from(answer);
    cutOff += Number(!stopIds.has(answer.at(-1)!));
    right += Number(await (example.isRight?.(ids) ?? ids.join() === expected.join()));
    entropies.sum += await crossEntropy(session, promptIds, expected, signal);
    entropies.tokens += expected.length;
  }
  const heldOutLoss = entropies.sum / entropies.tokens;
  return {
    examples: examples.length,
    accuracy: examples.length === 0 ? 0 : right / examples.length,
    tokensPerForward: settled.length === 0 ? 1 : tokensPerForward(settled),
    cutOff,
    heldOutLoss: Number.isFinite(heldOutLoss) ? heldOutLoss : null,
  };
}

/** The sum over an answer's tokens behind a prompt that the sequence begins with. */
async function crossEntropy(
  session: Session,
  promptIds: TokenIds,
  answer: TokenIds,
  signal: AbortSignal | undefined,
): Promise<number> {
  session.truncate(promptIds.length - 1);
  const inputs = new Int32Array(answer.length);
  inputs.set(promptIds.subarray(-1));
  inputs.set(answer.subarray(0, -1), 1);
  let sum = 0;
  for (let from = 0; from < answer.length; from += LOSS_ROWS) {
    if (signal?.aborted) throw new CllmError("aborted", "the evaluation was aborted", { cause: signal.reason });
    const logits = await session.logits(inputs.subarray(from, from + LOSS_ROWS)); // (R, V)
    for (const [row, id] of answer.subarray(from, from + LOSS_ROWS).entries()) {
      sum += entropyOf(logits.subarray(row * session.vocabSize, (row + 1) * session.vocabSize), id);
    }
  }
  return sum;
}

/** -log softmax(logits)[id], summed in double. */
function entropyOf(logits: Float32Array, id: number): number {
  let largest = Number.NEGATIVE_INFINITY;
  for (const logit of logits) if (logit > largest) largest = logit;
  let sum = 0;
  for (const logit of logits) sum += Math.exp(logit - largest);
  return largest + Math.log(sum) - (logits[id] as number);
}
