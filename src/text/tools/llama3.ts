/**
 * Calls as Llama 3.1 and later write them: an answer that is a JSON object with `name` and `parameters`, several of them with
 * semicolons between. `<|python_tag|>` may stand before them.
 */
import type { ToolForm } from "./types.ts";

const TAG = "<|python_tag|>";

export const llama3: ToolForm = {
  name: "llama3",
  fits: (template) => template.includes('"parameters"') && template.includes("<|start_header_id|>"),
  openings: [TAG],
  bare: true,
  closings: [";"],
  list: false,
  named: false,
  marks: [TAG],
  written: (name) => ({ begin: '{"name": "', head: `${name}", "parameters": `, end: "}" }),
};
