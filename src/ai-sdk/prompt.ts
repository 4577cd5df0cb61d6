/** The AI SDK's prompts and tools as requests of the library. Knows no model. */
import type {
  LanguageModelV4CallOptions,
  LanguageModelV4FunctionTool,
  LanguageModelV4Message,
  LanguageModelV4ToolResultOutput,
} from "@ai-sdk/provider";
import { CllmError } from "../error.ts";
import type { Message } from "../generate/types.ts";
import type { JsonObject, Tool, ToolCall } from "../text/tools/types.ts";

/** The messages of a prompt. Throws `unsupported` for files, which the models here cannot read. */
export function messagesOf(prompt: LanguageModelV4CallOptions["prompt"]): Message[] {
  return prompt.flatMap(messagesOfTurn);
}

function messagesOfTurn(turn: LanguageModelV4Message): Message[] {
  switch (turn.role) {
    case "system":
      return [{ role: "system", content: turn.content }];
    case "user":
      return [{ role: "user", content: turn.content.map(textOf).join("") }];
    case "assistant": {
      const reasoning = turn.content.map((part) => (part.type === "reasoning" ? part.text : "")).join("");
      const text = turn.content.filter(({ type }) => type !== "reasoning" && type !== "tool-call").map(textOf);
      const toolCalls = turn.content.flatMap((part) =>
        part.type === "tool-call" ? [callOf(part.toolCallId, part.toolName, part.input)] : [],
      );
      return [
        {
          role: "assistant",
          content: text.join(""),
          ...(reasoning !== "" && { reasoning }),
          ...(toolCalls.length > 0 && { toolCalls }),
        },
      ];
    }
    case "tool":
      return turn.content.flatMap((part): Message[] =>
        part.type === "tool-result"
          ? [{ role: "tool", toolCallId: part.toolCallId, content: outputText(part.output) }]
          : [],
      );
  }
}

function textOf(part: { readonly type: string; readonly text?: string }): string {
  if (part.type === "text") return part.text ?? "";
  throw new CllmError("unsupported", `the prompt has a part of type ${part.type}; the models here read text only`);
}

function callOf(id: string, name: string, input: unknown): ToolCall {
  const values = typeof input === "string" ? parsed(input) : input;
  if (typeof values === "object" && values !== null && !Array.isArray(values))
    return { id, name, arguments: values as JsonObject };
  throw new CllmError("bad-input", `the prompt's call ${id} of ${name} has an input that is no object; give it one`);
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text) as unknown;
  } catch {
    return null;
  }
}

function outputText(output: LanguageModelV4ToolResultOutput): string {
  switch (output.type) {
    case "text":
    case "error-text":
      return output.value;
    case "json":
    case "error-json":
      return JSON.stringify(output.value);
    case "execution-denied":
      return output.reason ?? "The call was not allowed.";
    case "content":
      return output.value.map(textOf).join("");
  }
}

/** A tool of the AI SDK's; one that a provider runs by itself is none here. */
export function toolOf({ name, description, inputSchema }: LanguageModelV4FunctionTool): Tool {
  return { name, ...(description !== undefined && { description }), parameters: inputSchema as JsonObject };
}
