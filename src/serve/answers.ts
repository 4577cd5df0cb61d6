/**
 * Answers in OpenAI's shapes, whole and as stream events, for chats and for completions. snake_case begins here. Knows no
 * HTTP and no model.
 *
 * Extensions: `stop_reason` says which stop string or id ended a choice; `usage.completion_tokens_details` has `forwards` and `tokens_per_forward`; `cllm.seed` says which seed was
 * drawn for the first choice; with `stream_options.include_passes` there is an event for each pass, and its `cllm` has
 * `{ prefill, rows, ms, accepted, guesses }`, the last two lists of `{ id, text }`.
 */
import { randomUUID } from "node:crypto";
import { tokensPerForward } from "../decode/tokens-per-forward.ts";
import type { Stats, TokenLogprob } from "../generate/types.ts";
import type { AnswerPart, ToolCall } from "../text/tools/types.ts";
import type { PassEvent, ServedGeneration } from "./backend.ts";
import type { Asked } from "./bodies.ts";

export type Endpoint = "chat" | "completion";

/** Makes the objects of one answer: they share an id and a time. */
export interface AnswerShapes {
  whole(generations: readonly ServedGeneration[]): object;
  /** Opens a choice of a stream; null where nothing needs to be said. */
  opening(index: number): object | null;
  /** What a pass wrote; null if there is nothing to show. */
  event(index: number, event: PassEvent): object | null;
  closing(index: number, generation: ServedGeneration): object;
  /** The last event, where usage was asked for. */
  usage(generations: readonly ServedGeneration[]): object;
}

export function answerShapes(endpoint: Endpoint, { model, seed, perPrompt, includeUsage }: Asked): AnswerShapes {
  const chat = endpoint === "chat";
  const id = `${chat ? "chatcmpl" : "cmpl"}-${randomUUID()}`;
  const created = Math.floor(Date.now() / 1000);
  const head = (object: string): object => ({ id, object, created, model });
  const seeded = seed === null ? {} : { cllm: { seed } };

  const chunk = (choices: readonly object[], more: object = {}): object => ({
    ...head(chat ? "chat.completion.chunk" : "text_completion"),
    choices,
    ...(includeUsage && { usage: null }),
    ...more,
  });
  const scored = chat ? chatLogprobs : completionLogprobs();
  const choice = (index: number, event: PassEvent | null, end: object = { finish_reason: null }): object => {
    const logprobs = scored(event?.logprobs, index);
    return chat
      ? { index, delta: event === null ? {} : deltaOf(event), logprobs, ...end }
      : { index, text: event?.text ?? "", logprobs, ...end };
  };

  return {
    whole: (generations) => ({
      ...head(chat ? "chat.completion" : "text_completion"),
      choices: generations.map(({ text, reasoning, toolCalls, logprobs, ...end }, index) => ({
        index,
        ...(chat ? { message: messageOf({ text, reasoning, toolCalls }) } : { text }),
        logprobs: scored(logprobs, index),
        ...endOf(end),
      })),
      usage: usageOf(generations, perPrompt),
      ...seeded,
    }),
    opening: (index) => {
      if (!chat) return null;
      const delta = { role: "assistant", content: "" };
      return chunk([{ index, delta, logprobs: null, finish_reason: null }], seeded);
    },
    event: (index, event) => {
      const { text, parts, logprobs, pass } = event;
      const empty = text === "" && parts === undefined && logprobs === undefined;
      if (pass === undefined) return empty ? null : chunk([choice(index, event)]);
      return chunk([choice(index, event)], { cllm: pass });
    },
    closing: (index, generation) => chunk([choice(index, null, endOf(generation))]),
    usage: (generations) => chunk([], { usage: usageOf(generations, perPrompt) }),
  };
}

type Scores = ServedGeneration["logprobs"];

/** How likely each token was, as chats have it. */
function chatLogprobs(scores: Scores): object | null {
  if (scores === undefined) return null;
  const named = ({ text, logprob, bytes }: TokenLogprob): object => ({ token: text, logprob, bytes });
  return { content: scores.map(({ top, ...own }) => ({ ...named(own), top_logprobs: top.map(named) })), refusal: null };
}

/** The same as completions have it, with where each token begins in its choice's text. */
function completionLogprobs(): (scores: Scores, index: number) => object | null {
  const offsets = new Map<number, number>();
  return (scores, index) => {
    if (scores === undefined) return null;
    const starts = scores.map(({ text }) => {
      const at = offsets.get(index) ?? 0;
      offsets.set(index, at + text.length);
      return at;
    });
    return {
      tokens: scores.map(({ text }) => text),
      token_logprobs: scores.map(({ logprob }) => logprob),
      top_logprobs: scores.map(({ top }) => Object.fromEntries(top.map(({ text, logprob }) => [text, logprob]))),
      text_offset: starts,
    };
  };
}

/** A whole answer; its content is null where it only calls tools. */
function messageOf({ text, reasoning, toolCalls }: Pick<ServedGeneration, "text" | "reasoning" | "toolCalls">): object {
  const calls = toolCalls.map(({ id, name, arguments: values, argumentsText }: ToolCall) => ({
    id,
    type: "function",
    function: { name, arguments: argumentsText ?? JSON.stringify(values) },
  }));
  return {
    role: "assistant",
    content: text === "" && calls.length > 0 ? null : text,
    refusal: null,
    ...(reasoning !== null && { reasoning_content: reasoning }),
    ...(calls.length > 0 && { tool_calls: calls }),
  };
}

/** What a pass added to an answer. */
function deltaOf({ text, parts = [] }: PassEvent): object {
  const reasoning = parts.map((part) => (part.type === "reasoning" ? part.text : "")).join("");
  const calls = callDeltas(parts);
  return {
    ...((text !== "" || (reasoning === "" && calls.length === 0)) && { content: text }),
    ...(reasoning !== "" && { reasoning_content: reasoning }),
    ...(calls.length > 0 && { tool_calls: calls }),
  };
}

/** The calls that a pass began or went on with: one entry each. */
function callDeltas(parts: readonly AnswerPart[]): object[] {
  const deltas = new Map<number, { head: object; name: object; text: string }>();
  for (const part of parts) {
    if (part.type === "begun") {
      const { id, name, index } = part;
      deltas.set(index, { head: { id, type: "function" }, name: { name }, text: "" });
    } else if (part.type === "arguments") {
      const known = deltas.get(part.index) ?? { head: {}, name: {}, text: "" };
      deltas.set(part.index, { ...known, text: known.text + part.text });
    }
  }
  return Array.from(deltas, ([index, { head, name, text }]) => ({
    index,
    ...head,
    function: { ...name, arguments: text },
  }));
}

/** Why a text ended, in OpenAI's words and, as vLLM has it, by what. */
const endOf = ({ finishReason, stopReason }: Pick<ServedGeneration, "finishReason" | "stopReason">): object => ({
  finish_reason: finishReason === "tool-calls" ? "tool_calls" : finishReason,
  stop_reason: stopReason,
});

/** Tokens of an answer. A prompt counts once, however many choices it has. */
function usageOf(generations: readonly ServedGeneration[], perPrompt: number): object {
  const sum = (of: (stats: Stats) => number, every = 1): number =>
    generations.reduce((total, { stats }, i) => total + (i % every === 0 ? of(stats) : 0), 0);
  const prompt = sum(({ promptTokens }) => promptTokens, perPrompt);
  const completion = sum(({ newTokens }) => newTokens);
  const forwards = sum((stats) => stats.forwards);
  return {
    prompt_tokens: prompt,
    completion_tokens: completion,
    total_tokens: prompt + completion,
    prompt_tokens_details: { cached_tokens: sum(({ cachedTokens }) => cachedTokens, perPrompt) },
    completion_tokens_details: {
      forwards,
      tokens_per_forward: tokensPerForward(generations.flatMap(({ stats }) => stats.accepted)),
      accepted_prediction_tokens: sum((stats) => stats.acceptedPredictionTokens),
      rejected_prediction_tokens: sum((stats) => stats.rejectedPredictionTokens),
    },
  };
}
