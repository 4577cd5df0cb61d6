/**
 * Calls for models whose chat template knows no tools: an answer that is a JSON object with `name` and `arguments`. A system message
 * tells the model so, and calls and results of earlier turns are written out as messages.
 */
import type { ChatMessage } from "../chat.ts";
import type { Tool, ToolForm } from "./types.ts";

export const json: ToolForm = {
  name: "json",
  fits: () => true,
  openings: [],
  bare: true,
  closings: [],
  list: false,
  named: false,
  marks: [],
  written: (name) => ({ begin: '{"name": "', head: `${name}", "arguments": `, end: "}" }),
  intoMessages: (messages, tools, template) => {
    const turns = messages.map(asText);
    return tools.length === 0 ? turns : instructed(turns, instruction(tools), template);
  },
};

function instruction(tools: readonly Tool[]): string {
  const lines = tools.map(({ name, description, parameters = { type: "object" } }) =>
    JSON.stringify({ name, ...(description !== undefined && { description }), parameters }),
  );
  return [
    "You can call these functions. Each line has a name and the JSON schema of the arguments:",
    ...lines,
    'To call one, answer with nothing but {"name": the name, "arguments": an object}. For several calls write one such line each.',
    "The results come with the next message.",
  ].join("\n");
}

/** Puts the instruction into the system message, or into the first message where the template takes no system. */
function instructed(turns: readonly ChatMessage[], text: string, template: string): readonly ChatMessage[] {
  const [first, ...rest] = turns;
  const joins = first?.role === "system" || /system role not supported/i.test(template);
  if (first === undefined || !joins || typeof first.content !== "string")
    return [{ role: "system", content: text }, ...turns];
  const before = first.role === "system" ? [first.content, text] : [text, first.content];
  return [{ ...first, content: before.join("\n\n") }, ...rest];
}

/** A turn with calls as the text that the model is told to write, and a result as a message of the user's. */
function asText({ tool_calls: calls, tool_call_id: _, ...message }: ChatMessage): ChatMessage {
  if (message.role === "tool") {
    const what = message.name == null ? "Result" : `Result of ${message.name}`;
    return { role: "user", content: `${what}:\n${String(message.content)}` };
  }
  if (calls === undefined || calls === null || calls.length === 0) return message;
  const written = (
    calls as readonly { readonly function: { readonly name: string; readonly arguments: unknown } }[]
  ).map(({ function: { name, arguments: values } }) => JSON.stringify({ name, arguments: values }));
  const content = typeof message.content === "string" && message.content !== "" ? [message.content] : [];
  return { ...message, content: [...content, ...written].join("\n") };
}
