/**
 * A conversation as it stands: what was said, who the model is told to be, and how it decodes. Saved and loaded in the form that
 * `cllm generate --messages` takes. Knows no terminal.
 */

import { CllmError } from "../../error.ts";
import { parseJson } from "../../files/json.ts";
import { readText } from "../../files/text.ts";
import { writeWhole } from "../../files/write-whole.ts";
import { check } from "../../generate/check.ts";
import { conversationFault } from "../../generate/conversation.ts";
import { messagesSchema } from "../../generate/options.ts";
import type { DecoderName, Message } from "../../generate/types.ts";

const MAX_BYTES = 64 * 2 ** 20;

export interface Talk {
  /** Null: the model's template says who it is. */
  system: string | null;
  /** Without the system message. */
  messages: Message[];
  decoder: DecoderName;
}

/** Everything that the model is given. */
export function allMessages({ system, messages }: Talk): Message[] {
  return system === null ? [...messages] : [{ role: "system", content: system }, ...messages];
}

export async function saveTalk(talk: Talk, file: string): Promise<void> {
  const messages = allMessages(talk);
  if (messages.length === 0) throw new CllmError("usage", "there is nothing to save yet; say something first");
  await writeWhole(file, (handle) => handle.appendFile(`${JSON.stringify(messages, null, 2)}\n`));
}

/** Takes a saved conversation in place of the present one. */
export async function loadTalk(talk: Talk, file: string): Promise<void> {
  const value = parseJson(await readText(file, MAX_BYTES), file, {
    code: "bad-input",
    next: "give one JSON list of messages",
  });
  const messages = check(messagesSchema, value, { what: file, code: "bad-input" });
  const fault = conversationFault(messages);
  if (fault !== null) throw new CllmError("bad-input", `${file}: ${fault.message}`);
  const [first, ...rest] = messages;
  const told = first?.role === "system";
  talk.system = told ? first.content : null;
  talk.messages = told ? rest : [...messages];
}
