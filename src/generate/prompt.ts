/**
 * A prompt as token ids: text as it is, messages through the model's chat template. Knows no model.
 */
import { CllmError } from "../error.ts";
import type { TokenIds } from "../runtime/session.ts";
import type { ChatTemplate } from "../text/chat.ts";
import type { Tokenizer } from "../text/tokenizer.ts";
import type { PromptInput } from "./types.ts";

/**
 * Throws `usage` where there is neither prompt nor messages, or both, or a prompt with what only messages have, and what
 * the template throws.
 */
export function encodePrompt(
  { prompt, messages, ...options }: PromptInput,
  tokenizer: Tokenizer,
  template: ChatTemplate,
): TokenIds {
  if ((prompt === undefined) === (messages === undefined)) {
    const given = prompt === undefined ? "neither" : "both";
    throw new CllmError("usage", `a request needs either prompt or messages, not ${given}`);
  }
  const { templateOptions, continueFinalMessage, addGenerationPrompt } = options;
  if (messages !== undefined) {
    const text = template.render(messages, { templateOptions, continueFinalMessage, addGenerationPrompt });
    return tokenizer.encode(text, { addSpecialTokens: false });
  }
  const useless = Object.entries({ continueFinalMessage, addGenerationPrompt }).find(
    ([, value]) => value !== undefined,
  );
  if (useless !== undefined) throw new CllmError("usage", `${useless[0]} needs messages; a prompt has no turns`);
  return tokenizer.encode(prompt ?? "");
}
