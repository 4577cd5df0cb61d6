/**
 * Chat templates: a conversation written out as the text that the model was trained on, by the Jinja template that its
 * checkpoint brings. Knows no ids: the text has its special tokens in it, so encode it with `addSpecialTokens: false`.
 */
import { specialToken } from "../checkpoint/huggingface/special-tokens.ts";
import type { TokenizerSource } from "../checkpoint/tokenizer-source.ts";
import { CllmError } from "../error.ts";
import { TemplateLimitError, type TemplateLimits } from "./jinja/budget.ts";
import type { ParsedTemplate } from "./jinja/template.ts";
import { strftime } from "./strftime.ts";
import { parseTemplate } from "./template-parser.ts";

/** One turn of a conversation. */
export interface ChatMessage {
  readonly role: string;
  /** Text, or parts for templates that know them; null or absent where the turn is calls of tools only. */
  readonly content?: string | null | readonly object[] | undefined;
  readonly name?: string | null | undefined;
  /** What the assistant thought before its answer; `thinking` and `reasoning` are other names for it. */
  readonly reasoning_content?: string | null | undefined;
  readonly thinking?: string | null | undefined;
  readonly reasoning?: string | null | undefined;
  readonly tool_calls?: readonly object[] | null | undefined;
  readonly tool_call_id?: string | null | undefined;
}

/** Variables of a template by name: JSON values. */
export type TemplateOptions = Readonly<Record<string, unknown>>;

export interface RenderOptions {
  /**
   * Leave the last message open, so that the model goes on with it. Default: whether it is the assistant's and has a text,
   * unless `addGenerationPrompt` is given.
   */
  readonly continueFinalMessage?: boolean | undefined;
  /** End with the opening of the assistant's turn, so that the model goes on with it. Default: unless the last is continued. */
  readonly addGenerationPrompt?: boolean | undefined;
  /** Variables for this rendering; they win over those of the template and over special tokens. */
  readonly templateOptions?: TemplateOptions | undefined;
  /** JSON schemas of functions, as the template takes them. Default: none. */
  readonly tools?: readonly object[] | null | undefined;
}

export interface ChatTemplateOptions {
  /** Which of the templates that the checkpoint names. Default: the one named `default`. */
  readonly name?: string | undefined;
  /** Variables for every rendering. */
  readonly templateOptions?: TemplateOptions | undefined;
  readonly limits?: TemplateLimits | undefined;
}

export interface ChatTemplate {
  /** The Jinja source, or null where the checkpoint has none or none that is the default. */
  readonly source: string | null;
  /** The Jinja source where tools are given: that of the template named `tool_use`, where no name was chosen. */
  readonly toolSource: string | null;
  /** Whether the checkpoint has any, if only by names of which one has to be chosen. */
  readonly exists: boolean;
  /**
   * The conversation as text. Throws `bad-template` where there is no template or it fails, loops or grows without
   * bound, `bad-input` for messages or variables that are none or that the template refuses.
   * @example
   * template.render([{ role: "user", content: "Hi" }], { templateOptions: { enable_thinking: false } });
   */
  render(messages: readonly ChatMessage[], options?: RenderOptions): string;
}

const USE_PROMPT = "give a prompt instead of messages, written out as the model expects it";

/** Variables that a rendering sets itself, and the option that does it. */
const RESERVED: ReadonlyMap<string, string> = new Map([
  ["messages", "messages"],
  ["add_generation_prompt", "addGenerationPrompt"],
  ["continue_final_message", "continueFinalMessage"],
]);

/** A template's own `raise_exception`: it finds fault with the messages. */
class Refusal extends Error {}

function refuse(reason: string): never {
  throw new Refusal(reason);
}

const strftimeNow = (format: string): string => strftime(new Date(), format);

/**
 * The chat template of a checkpoint. Nothing is parsed before the first rendering, so prompts need no good template.
 * Throws `usage` for a name that the checkpoint does not have, and for variables that are reserved.
 */
export function createChatTemplate(source: TokenizerSource, options: ChatTemplateOptions = {}): ChatTemplate {
  const { name, templateOptions: own = {}, limits = {} } = options;
  const chatTemplate = chooseTemplate(source, name);
  const withTools = (name === undefined ? source.namedTemplates?.["tool_use"] : undefined) ?? chatTemplate;
  const tokens = specialTokens(source);
  checkOptions(own, "usage");
  const parsed = new Map<string, ParsedTemplate>();

  return {
    source: chatTemplate,
    toolSource: withTools,
    exists: chatTemplate !== null || Object.keys(source.namedTemplates ?? {}).length > 0,
    render(messages, { continueFinalMessage, addGenerationPrompt, templateOptions = {}, tools = null } = {}) {
      const chosen = tools === null ? chatTemplate : withTools;
      if (chosen === null) throw noTemplate(source);
      checkMessages(messages);
      checkOptions(templateOptions, "bad-input");
      const open = opening(messages, continueFinalMessage, addGenerationPrompt);
      const turns = messages.map(withReasoning);
      try {
        const template = parsed.get(chosen) ?? parseTemplate(chosen, limits);
        parsed.set(chosen, template);
        const variables = {
          ...{ ...tokens, documents: null, tools, ...own, ...templateOptions },
          messages: open.continued ? [...turns.slice(0, -1), marked(turns.at(-1)!)] : turns,
          add_generation_prompt: open.generation,
        };
        const text = template.render(variables, { raise_exception: refuse, strftime_now: strftimeNow });
        return open.continued ? upToMark(text, messages.at(-1)!) : text;
      } catch (error) {
        throw templateError(error);
      }
    },
  };
}

/** The template of that name, or the default one. */
function chooseTemplate({ chatTemplate, namedTemplates = {} }: TokenizerSource, name: string | undefined) {
  if (name === undefined) return chatTemplate;
  if (Object.hasOwn(namedTemplates, name)) return namedTemplates[name]!;
  if (name === "default" && chatTemplate !== null) return chatTemplate;
  const names = Object.keys(namedTemplates);
  if (names.length > 0) throw new CllmError("usage", unknownTemplate(`no chat template is named ${name}`, names));
  const has = chatTemplate === null ? "has no chat template" : "has one chat template, which has no name";
  throw new CllmError("usage", `template: the model ${has}; leave out the name ${name}`);
}

function noTemplate({ namedTemplates = {} }: TokenizerSource): CllmError {
  const names = Object.keys(namedTemplates);
  if (names.length === 0) {
    return new CllmError("bad-template", `the model has no chat template: it takes text only; ${USE_PROMPT}`);
  }
  return new CllmError("bad-template", unknownTemplate("the model has several chat templates and no default", names));
}

const unknownTemplate = (what: string, names: readonly string[]): string =>
  `${what}; there are ${names.join(", ")}: name one with template (--template NAME)`;

/** Whether the last message is left open, and whether a turn is opened after it. */
function opening(
  messages: readonly ChatMessage[],
  continued: boolean | undefined,
  generation: boolean | undefined,
): { readonly continued: boolean; readonly generation: boolean } {
  const last = messages.at(-1)!;
  if (continued === true && generation === true) {
    const what = "the last message cannot be continued and a new turn opened";
    throw new CllmError("bad-input", `${what}; give one of continueFinalMessage and addGenerationPrompt`);
  }
  const byDefault = generation === undefined && last.role === "assistant" && lastText(last) !== null;
  const open = continued ?? byDefault;
  if (open && lastText(last) === null) {
    throw new CllmError("bad-input", "continueFinalMessage: the last message has no text to continue");
  }
  return { continued: open, generation: generation ?? !open };
}

/** What of a message is continued: its text, or the last of its parts that is text. */
function lastText({ content }: ChatMessage): string | null {
  if (typeof content === "string") return content;
  if (!Array.isArray(content)) return null;
  const part = content.findLast(isTextPart);
  return part === undefined ? null : part.text;
}

function isTextPart(part: unknown): part is { readonly text: string } {
  return typeof part === "object" && part !== null && "text" in part && typeof part.text === "string";
}

/** Stands behind the text to continue while the template is rendered, so that the end of that text can be found. */
const MARK = "CONTINUE_FINAL_MESSAGE_TAG ";

function marked(message: ChatMessage): ChatMessage {
  const { content } = message;
  if (!Array.isArray(content)) return { ...message, content: `${content as string}${MARK}` };
  const index = content.findLastIndex(isTextPart);
  const part = content[index] as { readonly text: string };
  return { ...message, content: content.with(index, { ...part, text: part.text + MARK }) };
}

/** The text before the mark; templates that trim a message also lose the white space at its end. */
function upToMark(text: string, last: ChatMessage): string {
  const at = text.lastIndexOf(MARK.trim());
  if (at < 0 || !text.includes(lastText(last)!.trim())) {
    const next = "give addGenerationPrompt: true to have it answered instead";
    throw new CllmError("bad-input", `the model's chat template does not write the last message as it is; ${next}`);
  }
  return text.startsWith(MARK, at) ? text.slice(0, at) : text.slice(0, at).trimEnd();
}

/**
 * A message as transformers hands it to templates: what is null is absent, since many templates write "None" or fail on
 * it; and reasoning is there by each of the names that templates have for it.
 */
function withReasoning(message: ChatMessage): ChatMessage {
  const entries = Object.entries(message).filter(([, value]) => value !== null && value !== undefined);
  const turn = Object.fromEntries(entries) as unknown as ChatMessage;
  const reasoning = turn.reasoning_content ?? turn.thinking ?? turn.reasoning;
  if (reasoning === undefined || reasoning === null) return turn;
  const named: ChatMessage = { thinking: reasoning, ...turn };
  return { ...named, reasoning_content: reasoning };
}

function templateError(error: unknown): CllmError {
  if (error instanceof CllmError) return error;
  const reason = error instanceof Error ? error.message : String(error);
  if (error instanceof Refusal) {
    return new CllmError("bad-input", `the model's chat template refuses these messages: ${reason}`, { cause: error });
  }
  const limit = error instanceof TemplateLimitError;
  const what = limit ? reason : `failed: ${reason}`;
  return new CllmError("bad-template", `the model's chat template ${what}; ${USE_PROMPT}`, { cause: error });
}

function checkMessages(messages: readonly ChatMessage[]): void {
  if (!Array.isArray(messages) || messages.length === 0) {
    throw new CllmError("bad-input", "there are no messages; give at least one, such as { role, content }");
  }
  for (const [i, message] of messages.entries()) {
    if (typeof message?.role !== "string" || !hasContent(message)) {
      throw new CllmError("bad-input", `message ${i} needs a role and a content, both strings`);
    }
  }
}

function hasContent({ content, tool_calls }: ChatMessage): boolean {
  if (content === null || content === undefined) return Array.isArray(tool_calls);
  return typeof content === "string" || Array.isArray(content);
}

function checkOptions(options: TemplateOptions, code: "usage" | "bad-input"): void {
  for (const name of Object.keys(options)) {
    const instead = RESERVED.get(name);
    if (instead === undefined) continue;
    throw new CllmError(code, `templateOptions cannot set ${name}; use ${instead} instead`);
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
