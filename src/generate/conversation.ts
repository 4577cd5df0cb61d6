/** The order that messages with calls have to have: each call is answered right behind the message that makes it. Knows no template. */
import type { Message } from "./types.ts";

/** What is wrong in a conversation, and where. */
export interface ConversationFault {
  readonly path: readonly (string | number)[];
  readonly message: string;
}

/** The first fault of the order; null where there is none. */
export function conversationFault(messages: readonly Message[]): ConversationFault | null {
  let open = new Map<string, string>(); // calls that wait for their result: name by id
  let caller = -1;
  const unanswered = (): ConversationFault => ({
    path: [caller, "toolCalls"],
    message: `messages[${caller}] calls ${[...open.values()].join(", ")} (${[...open.keys()].join(", ")}) and no tool message answers; put one for each call right behind it`,
  });
  for (const [i, { role, toolCalls = [], toolCallId }] of messages.entries()) {
    const fault = (key: string, what: string): ConversationFault => ({
      path: [i, key],
      message: `messages[${i}] ${what}`,
    });
    if (toolCalls.length > 0 && role !== "assistant")
      return fault("toolCalls", `has calls of tools and is the ${role}'s; only the assistant's messages can have them`);
    if (role !== "tool") {
      if (toolCallId !== undefined)
        return fault("toolCallId", `answers a call and is the ${role}'s; give it the role tool`);
      if (open.size > 0) return unanswered();
      const ids = toolCalls.map(({ id }) => id);
      const twice = ids.find((id, at) => ids.indexOf(id) !== at);
      if (twice !== undefined)
        return fault("toolCalls", `has two calls with the id ${twice}; give each an id of its own`);
      open = new Map(toolCalls.map(({ id, name }) => [id, name]));
      caller = i;
      continue;
    }
    if (toolCallId === undefined) return fault("toolCallId", "is a tool's and does not say which call it answers");
    if (!open.delete(toolCallId)) {
      const what = `answers the call ${toolCallId}, which the assistant's message before it does not have`;
      return fault("toolCallId", `${what}; put results right behind their calls, each once`);
    }
  }
  return open.size > 0 ? unanswered() : null;
}
