/**
 * Accepted tokens to a reply: special tokens left out, cut before a stop string, never half a character, split into reasoning, text
 * and calls. Knows no session and no decoder.
 */
import type { TokenIds } from "../runtime/session.ts";
import { createAnswerReader } from "../text/answer.ts";
import { createStopMatcher } from "../text/stop.ts";
import { createDetokenizer } from "../text/stream.ts";
import type { Tokenizer } from "../text/tokenizer.ts";
import type { AnswerPart, BrokenCall, ToolCall } from "../text/tools/types.ts";
import type { AnswerForm } from "./answer-form.ts";
import type { Request } from "./options.ts";
import type { Chunk, Generation, StopReason } from "./types.ts";

export interface Writer {
  /** Takes the tokens of one pass and gives what of them can be shown. */
  write(accepted: TokenIds): Chunk;
  /** A stop ended the text. */
  finished(): boolean;
  /** What was written is whole: nothing can follow. */
  finish(): void;
  /** The whole reply, and what of it is in no chunk yet. */
  end(): Written & { readonly rest: Chunk };
}

export type Written = Pick<
  Generation,
  "text" | "reasoning" | "toolCalls" | "brokenCalls" | "tokens" | "finishReason" | "stopReason"
>;

/** The ids that end a text: the model's own say nothing of why. */
export interface StopIds {
  readonly own: ReadonlySet<number>;
  readonly asked: ReadonlySet<number>;
}

/** What an answer is made of where nothing is said of it. */
const TEXT_ONLY: AnswerForm = { reasoning: null, calls: null, marks: new Set(), firstCallEnds: false };

/**
 * Tokens to text, up to a stop. Tokens are taken one by one, so that where the text ends does not depend on how many a
 * pass accepted: the token that completes a stop string, or the stop id, or the only call, is the last one.
 */
export function createWriter(
  { prompt, stop }: Pick<Request, "prompt" | "stop">,
  tokenizer: Tokenizer,
  { own, asked }: StopIds,
  form: AnswerForm = TEXT_ONLY,
): Writer {
  const options = { skipSpecialTokens: true, continuation: prompt !== undefined, keep: form.marks };
  const detokenizer = createDetokenizer(tokenizer, options);
  const matcher = createStopMatcher(stop);
  const reader = createAnswerReader(form);
  const tokens: number[] = [];
  const toolCalls: ToolCall[] = [];
  const brokenCalls: BrokenCall[] = [];
  let text = "";
  let reasoning: string | null = null;
  let ended: { readonly by: StopReason } | null = null;

  /** Adds pieces to the reply; the text of them. */
  function take(parts: readonly AnswerPart[]): string {
    let added = "";
    for (const part of parts) {
      if (part.type === "text") added += part.text;
      else if (part.type === "reasoning") reasoning = (reasoning ?? "") + part.text;
      else if (part.type === "called") toolCalls.push(part.call);
      else if (part.type === "broken") brokenCalls.push(part.broken);
    }
    text += added;
    return added;
  }
  function chunk(parts: readonly AnswerPart[], ids: readonly number[]): Chunk {
    const shown = take(parts);
    const plain = parts.every(({ type }) => type === "text");
    return { text: shown, tokens: Int32Array.from(ids), ...(!plain && { parts }) };
  }

  return {
    write(accepted) {
      const first = tokens.length;
      const parts: AnswerPart[] = [];
      for (const id of accepted) {
        tokens.push(id);
        if (own.has(id) || asked.has(id)) {
          ended = { by: own.has(id) ? null : id };
          break;
        }
        const match = matcher.push(detokenizer.push([id]));
        const read = reader.push(match.text);
        for (const part of read) parts.push(part);
        if (match.stop !== null || (form.firstCallEnds && read.some(({ type }) => type === "called"))) {
          ended = { by: match.stop };
          break;
        }
      }
      return chunk(united(parts), tokens.slice(first));
    },
    finished: () => ended !== null,
    finish() {
      ended ??= { by: null };
    },
    end() {
      const parts: AnswerPart[] = [];
      if (typeof ended?.by !== "string") {
        const match = matcher.push(detokenizer.end());
        for (const part of reader.push(match.text + (match.stop === null ? matcher.end() : ""))) parts.push(part);
        if (match.stop !== null) ended = { by: match.stop };
      }
      const rest = chunk(united([...parts, ...reader.end()]), []);
      const finishReason = ended === null ? "length" : toolCalls.length > 0 ? "tool-calls" : "stop";
      const split = { text, reasoning, toolCalls, brokenCalls };
      return { ...split, tokens: Int32Array.from(tokens), finishReason, stopReason: ended?.by ?? null, rest };
    },
  };
}

/** Pieces of the same kind as one. */
function united(parts: readonly AnswerPart[]): AnswerPart[] {
  const all: AnswerPart[] = [];
  for (const part of parts) {
    const last = all.at(-1);
    if (last !== undefined && "text" in last && "text" in part && last.type === part.type)
      all[all.length - 1] = { ...last, text: last.text + part.text };
    else all.push(part);
  }
  return all;
}
