/**
 * Calls as Hermes and Qwen write them: a JSON object between `<tool_call>` and `</tool_call>`, as often as there are calls.
 */
import type { ToolForm } from "./types.ts";

export const hermes: ToolForm = {
  name: "hermes",
  // Qwen3-Coder has the same tags around XML, which is another form.
  fits: (template) => template.includes("<tool_call>") && !template.includes("<function="),
  openings: ["<tool_call>"],
  bare: false,
  closings: ["</tool_call>"],
  list: false,
  named: false,
  marks: ["<tool_call>", "</tool_call>"],
  written: (name) => ({
    begin: "<tool_call>",
    head: `\n{"name": ${JSON.stringify(name)}, "arguments": `,
    end: "}\n</tool_call>",
  }),
};
