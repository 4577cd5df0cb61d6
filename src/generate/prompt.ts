/**
 * A prompt as token ids: text as it is, messages through the model's chat template. Knows no model.
 */
import { CllmError } from "../error.ts";
import type { TokenIds } from "../runtime/session.ts";
import type { ChatTemplate } from "../text/chat.ts";
import type { Tokenizer } from "../text/tokenizer.ts";
import type { PromptInput } from "./types.ts";

/** Throws `usage` where there is neither prompt nor messages, or both, and what the template throws. */
export function encodePrompt(
  { prompt, messages }: PromptInput,
  tokenizer: Tokenizer,
  template: ChatTemplate,
): TokenIds {
  if ((prompt === undefined) === (messages === undefined)) {
    const given = prompt === undefined ? "neither" : "both";
    throw new CllmError("usage", `a request needs either prompt or messages, not ${given}`);
  }
  if (messages !== undefined) return tokenizer.encode(template.render(messages), { addSpecialTokens: false });
  return tokenizer.encode(prompt ?? "");
}
