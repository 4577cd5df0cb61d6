/** Evaluations made by hand: who answered what, in how many passes and milliseconds. */
import type { Contender } from "../../src/eval/contenders.ts";
import type { Answer, Trace } from "../../src/eval/records.ts";
import type { Evaluation } from "../../src/eval/run.ts";
import type { FinishReason } from "../../src/generate/types.ts";
import type { VerdictName } from "../../src/tasks/task.ts";

export interface MadeUpAnswer {
  readonly verdict: VerdictName;
  readonly measures?: Record<string, number>;
  /** Tokens of each pass after the prefill's own; none: no answer. */
  readonly accepted?: readonly number[];
  /** Milliseconds of a pass. */
  readonly ms?: number;
  /** Of every token. */
  readonly token?: number;
  /** The budget ended it. */
  readonly cutOff?: boolean;
}

/** Each contender's answers, question by question. */
export function madeUpEvaluation(
  contenders: readonly Contender[],
  given: readonly (readonly MadeUpAnswer[])[],
  { traces = [], question = String }: { traces?: readonly Trace[]; question?: (index: number) => string } = {},
): Evaluation {
  const questions = Array.from({ length: given[0]?.length ?? 0 }, (_, index) => question(index));
  const answers = contenders.map(({ name }, i) => {
    const own = questions.map((id, j) => [id, answerOf(name, id, given[i]![j]!)] as const);
    return [name, new Map(own)] as const;
  });
  return { task: "gsm8k", settings: { made: "up" }, contenders, questions, answers: new Map(answers), traces };
}

function answerOf(contender: string, question: string, given: MadeUpAnswer): Answer {
  const { verdict, measures = {}, accepted, ms = 10, token = 7, cutOff = false } = given;
  const shared = { kind: "answer", contender, question, verdict, detail: "made up", measures } as const;
  if (accepted === undefined) return { ...shared, turns: [] };
  const count = accepted.reduce((sum, k) => sum + k, 1);
  const turn = {
    ...{ text: "made up", tokens: Array<number>(count).fill(token), finishReason: finishReasonOf(cutOff) },
    stopReason: null,
    ...{ promptTokens: 3, prefillMs: 5, decodeMs: ms * accepted.length, accepted },
  };
  return { ...shared, turns: [turn] };
}

const finishReasonOf = (cutOff: boolean): FinishReason => (cutOff ? "length" : "stop");
