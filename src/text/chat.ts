/**
 * Chat templates: a conversation written out as the text that the model was trained on, by the Jinja template that its
 * checkpoint brings. Knows no ids: the text has its special tokens in it, so encode it with `addSpecialTokens: false`.
 */
import type { TokenizerSource } from "../checkpoint/tokenizer-source.ts";
import { CllmError } from "../error.ts";
import { type BoundedTemplate, parseTemplate, TemplateLimitError, type TemplateLimits } from "./bounded-jinja.ts";
import { specialToken } from "./huggingface-vocabulary.ts";
import { TimeLimitError } from "./within-time.ts";

/** One turn of a conversation. */
export interface ChatMessage {
  readonly role: string;
  readonly content: string;
}

export interface RenderOptions {
  /** End with the opening of the assistant's turn, so that the model goes on with it. Default: true. */
  readonly addGenerationPrompt?: boolean;
}

export interface ChatTemplate {
  /** The Jinja source, or null where the checkpoint has none. */
  readonly source: string | null;
  /**
   * The conversation as text. Throws `bad-template` where there is no template or it fails, loops or grows without
   * bound, `bad-input` for messages that are none or that the template refuses.
   */
  render(messages: readonly ChatMessage[], options?: RenderOptions): string;
}

const USE_PROMPT = "Give a prompt instead of messages, written out as the model expects it.";

/** A template's own `raise_exception`: it finds fault with the messages. */
class Refusal extends Error {}

/** The chat template of a checkpoint. Nothing is parsed before the first rendering, so prompts need no good template. */
export function createChatTemplate(source: TokenizerSource, limits: TemplateLimits = {}): ChatTemplate {
  const { chatTemplate } = source;
  const tokens = specialTokens(source);
  let template: BoundedTemplate | undefined;

  return {
    source: chatTemplate,
    render(messages, { addGenerationPrompt = true } = {}) {
      if (chatTemplate === null) {
        throw new CllmError("bad-template", `The model has no chat template: it takes text only. ${USE_PROMPT}`);
      }
      checkMessages(messages);
      try {
        template ??= parseTemplate(chatTemplate, limits);
        return template.render({
          ...tokens,
          messages: messages.map(({ role, content }) => ({ role, content })),
          add_generation_prompt: addGenerationPrompt,
          tools: null,
          documents: null,
          raise_exception: (reason: unknown) => {
            throw new Refusal(String(reason));
          },
          strftime_now: (format: string) => strftime(new Date(), format),
        });
      } catch (error) {
        throw templateError(error);
      }
    },
  };
}

function templateError(error: unknown): CllmError {
  const reason = error instanceof Error ? error.message : String(error);
  if (error instanceof Refusal) {
    return new CllmError("bad-input", `The model's chat template refuses these messages: ${reason}`, { cause: error });
  }
  const limit = error instanceof TemplateLimitError || error instanceof TimeLimitError;
  const what = limit ? reason : `failed: ${reason}`;
  return new CllmError("bad-template", `The model's chat template ${what}. ${USE_PROMPT}`, { cause: error });
}

function checkMessages(messages: readonly ChatMessage[]): void {
  if (!Array.isArray(messages) || messages.length === 0) {
    throw new CllmError("bad-input", "There are no messages; give at least one, such as { role, content }.");
  }
  for (const [i, message] of messages.entries()) {
    if (typeof message?.role !== "string" || typeof message.content !== "string") {
      throw new CllmError("bad-input", `Message ${i} needs a role and a content, both strings.`);
    }
  }
}

/** The special tokens that templates write, by the names they use. */
function specialTokens(source: TokenizerSource): Record<string, string> {
  const texts: [name: string, text: string | null | undefined][] =
    source.kind === "huggingface"
      ? ["bos_token", "eos_token", "unk_token", "pad_token"].map((key) => [
          key,
          specialToken(source.tokenizerConfig, key),
        ])
      : [
          ["bos_token", source.tokens[source.bosTokenId ?? -1]],
          ["eos_token", source.tokens[source.eosTokenId ?? -1]],
          ["unk_token", source.tokens[source.unknownTokenId ?? -1]],
          ["pad_token", source.tokens[source.padTokenId ?? -1]],
        ];
  return Object.fromEntries(texts.filter((entry): entry is [string, string] => typeof entry[1] === "string"));
}

const DAYS = ["Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday"];
const MONTHS = [
  ...["January", "February", "March", "April", "May", "June"],
  ...["July", "August", "September", "October", "November", "December"],
];

/** Python's `strftime` in the C locale, for the fields that templates use; others stay as they are. */
export function strftime(date: Date, format: string): string {
  const two = (n: number) => String(n).padStart(2, "0");
  const day = DAYS[date.getDay()]!;
  const month = MONTHS[date.getMonth()]!;
  const fields: Readonly<Record<string, string>> = {
    Y: String(date.getFullYear()),
    y: two(date.getFullYear() % 100),
    m: two(date.getMonth() + 1),
    d: two(date.getDate()),
    B: month,
    b: month.slice(0, 3),
    A: day,
    a: day.slice(0, 3),
    H: two(date.getHours()),
    I: two(date.getHours() % 12 || 12),
    p: date.getHours() < 12 ? "AM" : "PM",
    M: two(date.getMinutes()),
    S: two(date.getSeconds()),
    "%": "%",
  };
  return format.replace(/%([%A-Za-z])/g, (written, field: string) => fields[field] ?? written);
}
