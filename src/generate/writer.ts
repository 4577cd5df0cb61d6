/**
 * Accepted tokens to the text of a reply: special tokens left out, cut before a stop string, never half a character.
 * Knows no session and no decoder.
 */
import type { TokenIds } from "../runtime/session.ts";
import { createStopMatcher } from "../text/stop.ts";
import { createDetokenizer } from "../text/stream.ts";
import type { Tokenizer } from "../text/tokenizer.ts";
import type { Request } from "./options.ts";
import type { Chunk, FinishReason, StopReason } from "./types.ts";

export interface Writer {
  /** Takes the tokens of one pass and gives what of them can be shown. */
  write(accepted: TokenIds): Chunk;
  /** A stop ended the text. */
  finished(): boolean;
  /** The whole reply, and what of its text is in no chunk yet. */
  end(): Written & { readonly rest: string };
}

export interface Written {
  readonly text: string;
  readonly tokens: TokenIds;
  readonly finishReason: FinishReason;
  readonly stopReason: StopReason;
}

/** The ids that end a text: the model's own say nothing of why. */
export interface StopIds {
  readonly own: ReadonlySet<number>;
  readonly asked: ReadonlySet<number>;
}

/**
 * Tokens to text, up to a stop. Tokens are taken one by one, so that where the text ends does not depend on how many a
 * pass accepted: the token that completes a stop string, or the stop id, is the last one.
 */
export function createWriter(
  { prompt, stop }: Pick<Request, "prompt" | "stop">,
  tokenizer: Tokenizer,
  { own, asked }: StopIds,
): Writer {
  const detokenizer = createDetokenizer(tokenizer, { skipSpecialTokens: true, continuation: prompt !== undefined });
  const matcher = createStopMatcher(stop);
  const tokens: number[] = [];
  let text = "";
  let ended: { readonly by: StopReason } | null = null;
  return {
    write(accepted) {
      const before = text.length;
      const first = tokens.length;
      for (const id of accepted) {
        tokens.push(id);
        if (own.has(id) || asked.has(id)) {
          ended = { by: own.has(id) ? null : id };
          break;
        }
        const match = matcher.push(detokenizer.push([id]));
        text += match.text;
        if (match.stop !== null) {
          ended = { by: match.stop };
          break;
        }
      }
      return { text: text.slice(before), tokens: Int32Array.from(tokens.slice(first)) };
    },
    finished: () => ended !== null,
    end() {
      let rest = "";
      if (typeof ended?.by !== "string") {
        const match = matcher.push(detokenizer.end());
        rest = match.text + (match.stop === null ? matcher.end() : "");
        if (match.stop !== null) ended = { by: match.stop };
      }
      const finishReason = ended === null ? "length" : "stop";
      return { text: text + rest, tokens: Int32Array.from(tokens), finishReason, stopReason: ended?.by ?? null, rest };
    },
  };
}
