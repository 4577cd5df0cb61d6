/**
 * What an evaluation stores: answers and trajectories, one JSON object a line, and beside them the passes that an answer took and
 * their times. Answers are the same whenever and wherever they are made; passes are not. snake_case on disk, camelCase inside;
 * this file is the only place that knows both. Knows no file.
 */
import * as z from "zod";
import { CllmError } from "../error.ts";
import { check } from "../generate/check.ts";
import type { FinishReason, StopReason } from "../generate/types.ts";
import { VERDICTS, type VerdictName } from "../tasks/task.ts";

export interface AnsweredTurn {
  readonly text: string;
  readonly tokens: readonly number[];
  readonly finishReason: FinishReason;
  /** null in older records, whatever ended the text. */
  readonly stopReason: StopReason;
  readonly promptTokens: number;
  readonly prefillMs: number;
  /** Of all decode passes, and of the guesses in the prefill. */
  readonly decodeMs: number;
  /** Tokens that each decode pass added to the text, in order. */
  readonly accepted: readonly number[];
}

/** A question as one contender answered it. */
export interface Answer {
  readonly kind: "answer";
  readonly contender: string;
  readonly question: string;
  /** First to last; none where the question was too long for the model. */
  readonly turns: readonly AnsweredTurn[];
  readonly verdict: VerdictName;
  readonly detail: string;
  readonly measures: Readonly<Record<string, number>>;
}

/** How a model's answer came to be under Jacobi decoding, block by block. */
export interface Trace {
  readonly kind: "trajectory";
  readonly model: string;
  readonly question: string;
  readonly blockSize: number;
  readonly completion: readonly number[];
  /** By block, its points in order: first the draft, last the fixed point. */
  readonly blocks: readonly (readonly (readonly number[])[])[];
}

export type EvaluationRecord = Answer | Trace;

const idSchema = z.int().min(0);
const idsSchema = z.array(idSchema);
const msSchema = z.number().min(0);

const turnSchema = z.strictObject({
  text: z.string(),
  tokens: idsSchema,
  finish_reason: z.enum(["stop", "stop-string", "length"]), // older records tell two kinds of stops apart
  stop_reason: z.union([z.string(), idSchema]).nullable().default(null),
  prompt_tokens: z.int().min(1),
  /** These three only in older files; newer ones have them beside. */
  prefill_ms: msSchema.optional(),
  decode_ms: msSchema.optional(),
  accepted: z.array(z.int().min(1)).optional(),
});

const passesSchema = z.strictObject({
  contender: z.string(),
  question: z.string(),
  turns: z.array(z.strictObject({ prefill_ms: msSchema, decode_ms: msSchema, accepted: z.array(z.int().min(1)) })),
});

/** How an answer came to be: by turn, the passes and their times. */
export type AnswerPasses = Pick<Answer, "contender" | "question"> & {
  readonly turns: readonly Pick<AnsweredTurn, "prefillMs" | "decodeMs" | "accepted">[];
};

const answerSchema = z.strictObject({
  type: z.literal("answer"),
  contender: z.string(),
  question: z.string(),
  turns: z.array(turnSchema),
  verdict: z.enum(VERDICTS as [VerdictName, ...VerdictName[]]),
  detail: z.string(),
  measures: z.record(z.string(), z.number()),
});

const traceSchema = z.strictObject({
  type: z.literal("trajectory"),
  model: z.string(),
  question: z.string(),
  block_size: z.int().min(1),
  completion: idsSchema,
  blocks: z.array(z.array(idsSchema).min(1)),
});

const recordSchema = z.discriminatedUnion("type", [answerSchema, traceSchema]);

/** One line, without its end, and without passes. */
export function encodeRecord(record: EvaluationRecord): string {
  if (record.kind === "trajectory") {
    const { kind: type, model, question, blockSize: block_size, completion, blocks } = record;
    return JSON.stringify({ type, model, question, block_size, completion, blocks });
  }
  const { kind: type, contender, question, verdict, detail, measures } = record;
  const turns = record.turns.map((turn) => ({
    text: turn.text,
    tokens: turn.tokens,
    finish_reason: turn.finishReason,
    stop_reason: turn.stopReason,
    prompt_tokens: turn.promptTokens,
  }));
  return JSON.stringify({ type, contender, question, verdict, detail, measures, turns });
}

/** One line about an answer's passes. */
export function encodePasses({ contender, question, turns: answered }: Answer): string {
  const turns = answered.map(({ prefillMs, decodeMs, accepted }) => ({
    prefill_ms: rounded(prefillMs),
    decode_ms: rounded(decodeMs),
    accepted,
  }));
  return JSON.stringify({ contender, question, turns });
}

/** Throws `bad-file`. */
export function decodePasses(value: unknown, what: string): AnswerPasses {
  const { contender, question, turns } = check(passesSchema, value, { what, code: "bad-file" });
  const camel = turns.map(({ prefill_ms, decode_ms, accepted }) => ({
    prefillMs: prefill_ms,
    decodeMs: decode_ms,
    accepted,
  }));
  return { contender, question, turns: camel };
}

/** Throws `bad-file`; `what` names file and line, `passesOf` looks up what is told beside. */
export function decodeRecord(
  value: unknown,
  what: string,
  passesOf: (answer: Pick<Answer, "contender" | "question">) => AnswerPasses | undefined = () => undefined,
): EvaluationRecord {
  const record = check(recordSchema, value, { what, code: "bad-file", nameOf: (key) => `${what}: ${key}` });
  if (record.type === "trajectory") {
    const { type: kind, model, question, block_size: blockSize, completion, blocks } = record;
    return { kind, model, question, blockSize, completion, blocks };
  }
  const { type: kind, contender, question, verdict, detail, measures } = record;
  const beside = passesOf({ contender, question })?.turns;
  const turns = record.turns.map((turn, i): AnsweredTurn => {
    const { prefill_ms: prefillMs, decode_ms: decodeMs, accepted } = turn;
    const inside =
      prefillMs === undefined || decodeMs === undefined || accepted === undefined
        ? undefined
        : { prefillMs, decodeMs, accepted };
    const passes = inside ?? beside?.[i];
    if (passes === undefined) {
      throw new CllmError("bad-file", `${what}: nothing beside it tells its passes; restore both files, or begin anew`);
    }
    return {
      text: turn.text,
      tokens: turn.tokens,
      finishReason: turn.finish_reason === "length" ? "length" : "stop",
      stopReason: turn.stop_reason,
      promptTokens: turn.prompt_tokens,
      prefillMs: passes.prefillMs,
      decodeMs: passes.decodeMs,
      accepted: withinText(passes.accepted, turn.tokens.length),
    };
  });
  return { kind, contender, question, turns, verdict, detail, measures };
}

/** Older records count what the last pass wrote past a stop string too; the prompt's pass wrote at least one token. */
function withinText(accepted: readonly number[], tokens: number): readonly number[] {
  const excess = accepted.reduce((sum, count) => sum + count, 1) - tokens;
  return excess <= 0 ? accepted : accepted.map((count, i) => (i < accepted.length - 1 ? count : count - excess));
}

/** Microseconds are more than a clock holds. */
const rounded = (ms: number): number => Number(ms.toFixed(3));
