/** All forms of calls, and which one a chat template means. A new form is a file and an entry here. */
import { hermes } from "./hermes.ts";
import { json } from "./json.ts";
import { llama3 } from "./llama3.ts";
import { mistral } from "./mistral.ts";
import type { ToolForm } from "./types.ts";

/** The first that fits counts; the last one fits all. */
export const TOOL_FORMS: readonly ToolForm[] = [mistral, hermes, llama3, json];

/**
 * The form in which a model with this chat template writes calls. Templates that know no tools, or write them in a form that is
 * not built, get the plain JSON form.
 *
 * @example toolFormOf(template).name; // "hermes" for Qwen
 */
export function toolFormOf(template: string): ToolForm {
  const fitting = TOOL_FORMS.find(({ fits }) => fits(template))!;
  return /\btools\b/.test(template) ? fitting : json;
}
