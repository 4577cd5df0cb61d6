/**
 * One question and one contender: asks all turns and has the answers graded. What goes wrong with a question is a verdict
 * of its own and never "right": too long for the model, a grader that fails. Knows no file and no other contender.
 */
import { CllmError } from "../error.ts";
import type { GenerateOptions, Generation, LanguageModel } from "../generate/types.ts";
import { excerpt, type Task, type TaskExample, type Verdict } from "../tasks/task.ts";
import type { Contender } from "./contenders.ts";
import type { AnsweredTurn } from "./records.ts";

/** What it takes of a model. */
export interface EvaluatedModel
  extends Pick<LanguageModel, "promptIds" | "session" | "config" | "tokenizer" | "precision" | "device"> {
  generate(options: GenerateOptions): Promise<Generation>;
}

export interface AnswerOptions {
  /** Default: `window`. */
  readonly jacobiForm?: "window" | "block" | undefined;
  readonly signal?: AbortSignal | undefined;
}

/**
 * The answers to all turns; fewer where the context has no room for the next. An answer may have fewer tokens than the
 * task allows, where the context ends.
 */
export async function answerTurns(
  model: EvaluatedModel,
  example: TaskExample,
  { name, decoder, blockSize }: Pick<Contender, "name" | "decoder" | "blockSize">,
  { jacobiForm, signal }: AnswerOptions = {},
): Promise<readonly AnsweredTurn[]> {
  const turns: AnsweredTurn[] = [];
  while (turns.length < example.turns) {
    const input = example.input(turns.map(({ text }) => text));
    const promptTokens = model.promptIds(input).length;
    const maxNewTokens = Math.min(example.maxNewTokens, model.config.contextLength - promptTokens);
    if (maxNewTokens < 1) break;
    const size = blockSize === null ? {} : { blockSize };
    const { stop } = example;
    const prediction = turns.length === 0 ? example.prediction : undefined;
    // Every contender runs the question itself: the next one would find it in the cache. A conversation goes on with its own.
    const cachePrompt = turns.length > 0;
    const memoryScope = name; // and remembers its own answers alone
    const limits = { maxNewTokens, stop, cachePrompt, memoryScope, signal };
    const generation = await model.generate({ ...input, prediction, decoder, ...size, jacobiForm, ...limits });
    const { prefillMs, decodeMs, accepted } = generation.stats;
    const { text, finishReason, stopReason } = generation;
    turns.push({
      text,
      tokens: [...generation.tokens],
      finishReason,
      stopReason,
      promptTokens,
      prefillMs,
      decodeMs,
      accepted,
    });
  }
  return turns;
}

/** The verdict on an example's answers. Only an abort is an error. */
export async function gradeTurns<E extends TaskExample>(
  task: Task<E>,
  example: E,
  turns: readonly AnsweredTurn[],
  signal?: AbortSignal,
): Promise<Verdict> {
  if (turns.length < example.turns) {
    const which = example.turns === 1 ? "the question" : `question ${turns.length + 1} of ${example.turns}`;
    return { verdict: "too-long", detail: `the model's context has no room for an answer to ${which}` };
  }
  try {
    const answers = turns.map(({ text }) => text);
    return await task.grade(example, answers);
  } catch (error) {
    if (signal?.aborted || (error instanceof CllmError && error.code === "aborted")) throw error;
    return { verdict: "ungraded", detail: excerpt(`the grader failed: ${(error as Error).message}`) };
  }
}
