/**
 * A prompt as token ids: text as it is, messages through the model's chat template. Knows no model.
 */
import { CllmError } from "../error.ts";
import type { TokenIds } from "../runtime/session.ts";
import type { ChatMessage, ChatTemplate } from "../text/chat.ts";
import type { Tokenizer } from "../text/tokenizer.ts";
import { toolFormOf } from "../text/tools/forms.ts";
import type { Tool } from "../text/tools/types.ts";
import { toolsOf } from "./answer-form.ts";
import { conversationFault } from "./conversation.ts";
import type { Message, PromptInput } from "./types.ts";

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
  const tools = toolsOf(options);
  if (messages !== undefined) {
    const { turns, told } = turnsOf(messages, tools ?? [], template);
    const more = { templateOptions, continueFinalMessage, addGenerationPrompt, tools: told };
    const text = template.render(turns, more);
    requireRoom(text);
    return tokenizer.encode(text, { addSpecialTokens: false });
  }
  const useless = Object.entries({ continueFinalMessage, addGenerationPrompt, tools: options.tools }).find(
    ([, value]) => value !== undefined,
  );
  if (useless !== undefined) throw new CllmError("usage", `${useless[0]} needs messages; a prompt has no turns`);
  requireRoom(prompt!);
  return tokenizer.encode(prompt!);
}

/** Messages as templates have them, and the tools that the template is to write out. */
function turnsOf(
  messages: readonly Message[],
  tools: readonly Tool[],
  template: ChatTemplate,
): { readonly turns: readonly ChatMessage[]; readonly told: readonly object[] | null } {
  const fault = conversationFault(messages);
  if (fault !== null) throw new CllmError("bad-input", fault.message);
  const names = new Map(messages.flatMap(({ toolCalls = [] }) => toolCalls.map(({ id, name }) => [id, name] as const)));
  const turns = messages.map((message) => asTurn(message, names));
  const source = (tools.length === 0 ? template.source : template.toolSource) ?? "";
  const { intoMessages } = toolFormOf(source);
  const inMessages = intoMessages !== undefined && (tools.length > 0 || names.size > 0);
  if (inMessages) return { turns: intoMessages(turns, tools, source), told: null };
  const told = tools.map(({ name, description, parameters = { type: "object", properties: {} } }) => ({
    type: "function",
    function: { name, ...(description !== undefined && { description }), parameters },
  }));
  return { turns, told: told.length === 0 ? null : told };
}

/** A message with the names that templates have for its parts. */
function asTurn(
  { role, content, toolCalls, toolCallId, reasoning }: Message,
  names: ReadonlyMap<string, string>,
): ChatMessage {
  const name = toolCallId === undefined ? undefined : names.get(toolCallId);
  return {
    role,
    content,
    ...(reasoning !== undefined && { reasoning_content: reasoning }),
    ...(toolCallId !== undefined && { tool_call_id: toolCallId, name }),
    ...(toolCalls !== undefined &&
      toolCalls.length > 0 && {
        tool_calls: toolCalls.map((call) => ({
          id: call.id,
          type: "function",
          function: { name: call.name, arguments: call.arguments },
        })),
      }),
  };
}
