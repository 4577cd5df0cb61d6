/**
 * The prompt of a command: as an argument, a file, piped in, or as a conversation; and whether it is a message. Shared by
 * the commands that take one. Knows nothing of what is done with it.
 */
import * as z from "zod";
import { CllmError } from "../error.ts";
import { parseJson } from "../files/json.ts";
import { check } from "../generate/check.ts";
import { type Fields, messagesSchema } from "../generate/options.ts";
import type { LanguageModel, PromptInput } from "../generate/types.ts";
import { inGroup } from "./flags.ts";
import { readInput } from "./input.ts";

export interface PromptSettings {
  readonly prompt: string | undefined;
  readonly file: string | undefined;
  readonly messages: string | undefined;
  readonly chat: boolean;
  readonly raw: boolean;
}

export const promptFields: Fields<PromptSettings> = inGroup("Prompt", {
  prompt: z.string().optional().meta({ description: "the text to answer or to continue", short: "p" }),
  file: z
    .string()
    .min(1)
    .optional()
    .meta({ description: "read the prompt from a file; - is standard input", placeholder: "file", short: "f" }),
  messages: z
    .string()
    .min(1)
    .optional()
    .meta({ description: 'read a conversation, [{"role", "content"}, ...]; - is standard input', placeholder: "file" }),
  chat: z.boolean().default(false).meta({ description: "take the prompt for a user's message; needs a chat template" }),
  raw: z.boolean().default(false).meta({ description: "continue the prompt as it is, without the chat template" }),
});

/** What the help says about them. */
export const PROMPT_DETAILS: string =
  "The prompt is an argument, a file, or what is piped in, less one final line break. Where the model has a chat " +
  "template a prompt is taken for a user's message; --raw continues it as it is.";

/** Reads what the settings name. Throws `usage` where they name none or several. */
export async function readPrompt(settings: PromptSettings, signal: AbortSignal): Promise<PromptInput> {
  const { prompt, file, messages, chat, raw } = settings;
  const sources = { "--prompt": prompt, "--file": file, "--messages": messages };
  const given = Object.entries(sources).filter(([, value]) => value !== undefined);
  if (given.length > 1) {
    throw new CllmError("usage", `${given.map(([flag]) => flag).join(" and ")} are both given; give one`);
  }
  if (chat && raw) throw new CllmError("usage", "--chat and --raw exclude each other; give one");
  if (prompt !== undefined) return { prompt };
  if (messages !== undefined) {
    const where = `--messages ${messages}`;
    const conversation = parseJson(await readInput(messages, signal), where, {
      code: "bad-input",
      next: "give one JSON list of messages",
    });
    return { messages: check(messagesSchema, conversation, { what: where, code: "bad-input" }) };
  }
  if (file === undefined && process.stdin.isTTY) {
    throw new CllmError("usage", "no prompt; give it as an argument, with --file or --messages, or pipe it in");
  }
  const text = (await readInput(file ?? "-", signal)).replace(/\r?\n$/, "");
  if (text === "")
    throw new CllmError(
      "usage",
      `no prompt: ${file ?? "standard input"} is empty; give one as an argument, with --file or --messages, or pipe it in`,
    );
  return { prompt: text };
}

/** A prompt as a message, with `--chat`, or if the model has a chat template and `--raw` is not given. */
export function asMessage(input: PromptInput, { chat, raw }: PromptSettings, model: LanguageModel): PromptInput {
  const { prompt } = input;
  const talks = chat || (model.hasChatTemplate && !raw);
  return talks && prompt !== undefined ? { messages: [{ role: "user", content: prompt }] } : input;
}
