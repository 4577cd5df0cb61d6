/**
 * A prompt as token ids: text as it is, messages through the model's chat template. Knows no model.
 */
import { CllmError } from "../error.ts";
import type { TokenIds } from "../runtime/session.ts";
import type { ChatTemplate } from "../text/chat.ts";
import type { Tokenizer } from "../text/tokenizer.ts";
import type { PromptInput } from "./types.ts";

/**
 * A text that cannot fit in `contextLength` tokens, even of the longest kind, is refused before it is encoded
 * (`context-overflow`), because encoding a book takes seconds. Throws `usage` where there is neither prompt nor
 * messages, or both, or a prompt with what only messages have, and what the template throws.
 */
export function encodePrompt(
  { prompt, messages, ...options }: PromptInput,
  tokenizer: Tokenizer,
  template: ChatTemplate,
  contextLength: number = Number.POSITIVE_INFINITY,
): TokenIds {
  if ((prompt === undefined) === (messages === undefined)) {
    const given = prompt === undefined ? "neither" : "both";
    throw new CllmError("usage", `a request needs either prompt or messages, not ${given}`);
  }
  const requireRoom = (text: string): void => {
    const fewest = tokenizer.fewestTokens(text);
    if (fewest < contextLength) return;
    const much = `a text of ${text.length} characters has at least ${fewest} tokens`;
    throw new CllmError("context-overflow", `${much}, and the context is ${contextLength}; shorten the prompt`);
  };
  const { templateOptions, continueFinalMessage, addGenerationPrompt } = options;
  if (messages !== undefined) {
    const text = template.render(messages, { templateOptions, continueFinalMessage, addGenerationPrompt });
    requireRoom(text);
    return tokenizer.encode(text, { addSpecialTokens: false });
  }
  const useless = Object.entries({ continueFinalMessage, addGenerationPrompt }).find(
    ([, value]) => value !== undefined,
  );
  if (useless !== undefined) throw new CllmError("usage", `${useless[0]} needs messages; a prompt has no turns`);
  requireRoom(prompt!);
  return tokenizer.encode(prompt!);
}
