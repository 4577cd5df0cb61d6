/**
 * Calls as Mistral writes them: behind `[TOOL_CALLS]` a JSON list of objects, or since 2025 a name and `[ARGS]` with the arguments
 * of one call each.
 */
import type { ToolForm } from "./types.ts";

const OPENING = "[TOOL_CALLS]";
const ARGS = "[ARGS]";

export const mistral: ToolForm = {
  name: "mistral",
  fits: (template) => template.includes(OPENING),
  openings: [OPENING],
  bare: false,
  closings: [],
  list: true,
  named: true,
  marks: [OPENING, ARGS, "[CALL_ID]"],
  written: (name, template) =>
    template.includes(ARGS)
      ? { begin: OPENING, head: `${name}${ARGS}`, end: "" }
      : { begin: OPENING, head: ` [{"name": ${JSON.stringify(name)}, "arguments": `, end: "}]" },
};
