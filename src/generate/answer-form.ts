/**
 * What an answer to a request may be made of: reasoning where the template marks it, calls where tools are given. Knows no tokens
 * but those that mark the parts.
 */

import { CllmError } from "../error.ts";
import type { TokenIds } from "../runtime/session.ts";
import type { ChatTemplate } from "../text/chat.ts";
import { endsInReasoning, type ReasoningTags, reasoningTagsOf } from "../text/reasoning.ts";
import type { Tokenizer } from "../text/tokenizer.ts";
import { toolFormOf } from "../text/tools/forms.ts";
import type { Tool, ToolForm } from "../text/tools/types.ts";
import { unknownName } from "./check.ts";
import type { Request } from "./options.ts";
import type { Message, PromptInput } from "./types.ts";

export interface AnswerForm {
  readonly reasoning: (ReasoningTags & { readonly inside: boolean }) | null;
  readonly calls: {
    readonly form: ToolForm;
    readonly names: ReadonlySet<string>;
    /** Those that may be called. */
    readonly tools: readonly Tool[];
    readonly template: string;
  } | null;
  /** Special tokens that are part of the answer's text. */
  readonly marks: ReadonlySet<number>;
  /** The answer is over with its first call. */
  readonly firstCallEnds: boolean;
}

const TAIL = 16; // tokens of the prompt: what a template writes when it opens a turn

/** How the answer to a request whose prompt has these ids is read. */
export function answerForm(
  request: Pick<Request, "messages" | "tools" | "toolChoice" | "parallelToolCalls" | "continueFinalMessage">,
  promptIds: TokenIds,
  tokenizer: Tokenizer,
  template: ChatTemplate,
): AnswerForm {
  const { messages, parallelToolCalls, toolChoice } = request;
  requireCallable(request);
  if (messages === undefined) return { reasoning: null, calls: null, marks: new Set(), firstCallEnds: false };
  const tools = toolsOf(request);
  const source = (tools === null ? template.source : template.toolSource) ?? "";
  const tags = reasoningTagsOf(source);
  const form = tools === null ? null : toolFormOf(source);
  const inside = tags !== null && opensReasoning(tags, messages, promptIds, tokenizer);
  const callable = (tools ?? []).filter(({ name }) => typeof toolChoice !== "object" || name === toolChoice.name);
  const names = new Set(callable.map(({ name }) => name));
  const marks = [...(form?.marks ?? []), ...(tags === null ? [] : [tags.open, tags.close])];
  return {
    reasoning: tags && { ...tags, inside },
    calls: form && { form, names, tools: callable, template: source },
    marks: new Set(marks.flatMap((mark) => specialIdOf(mark, tokenizer))),
    firstCallEnds: !parallelToolCalls || typeof toolChoice === "object",
  };
}

function requireCallable({ tools = [], toolChoice = "auto" }: Pick<PromptInput, "tools" | "toolChoice">): void {
  if (toolChoice === "auto" || toolChoice === "none") return;
  if (tools.length === 0) throw new CllmError("usage", "toolChoice asks for a call and there are no tools; give some");
  const names = tools.map(({ name }) => name);
  if (typeof toolChoice === "object" && !names.includes(toolChoice.name))
    throw new CllmError("usage", unknownName("toolChoice: tools", toolChoice.name, names));
}

/** The special tokens that are text in answers of a model: the marks of its calls and of its reasoning. */
export function markIds({ source, toolSource }: ChatTemplate, tokenizer: Tokenizer): ReadonlySet<number> {
  const texts = [source, toolSource].filter((template) => template !== null);
  const marks = texts.flatMap((template) => {
    const tags = reasoningTagsOf(template);
    return [...toolFormOf(template).marks, ...(tags === null ? [] : [tags.open, tags.close])];
  });
  return new Set(marks.flatMap((mark) => specialIdOf(mark, tokenizer)));
}

/** The tools that a model is told of; null where there are none. */
export function toolsOf({ tools, toolChoice }: Pick<PromptInput, "tools" | "toolChoice">): PromptInput["tools"] | null {
  return tools === undefined || tools.length === 0 || toolChoice === "none" ? null : tools;
}

/** Whether the answer goes on inside reasoning: the turn was opened so, or the message that is continued is there. */
function opensReasoning(
  tags: ReasoningTags,
  messages: readonly Message[],
  promptIds: TokenIds,
  tokenizer: Tokenizer,
): boolean {
  const tail = tokenizer.decode(promptIds.subarray(-TAIL));
  if (tail.trimEnd().endsWith(tags.open)) return true;
  const { role, content } = messages.at(-1)!;
  return role === "assistant" && endsInReasoning(content, tags) && tail.trimEnd().endsWith(content.slice(-8).trimEnd());
}

function specialIdOf(mark: string, tokenizer: Tokenizer): number[] {
  const [id, ...more] = tokenizer.encode(mark, { addSpecialTokens: false });
  return id !== undefined && more.length === 0 && tokenizer.specialIds.has(id) ? [id] : [];
}
