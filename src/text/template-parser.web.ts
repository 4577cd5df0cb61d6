/** The twin of `template-parser.ts`: Jinja is loaded when it is needed, because many pages write text without a template. */
import { CllmError } from "../error.ts";
import type { parseTemplate as Parse } from "./jinja/template.ts";

let loaded: typeof Parse | null = null;

export async function loadTemplateParser(): Promise<void> {
  loaded ??= (await import("./jinja/template.ts")).parseTemplate;
}

/** To be called behind `loadTemplateParser`. */
export const parseTemplate: typeof Parse = (...given) => {
  if (loaded !== null) return loaded(...given);
  throw new CllmError("usage", "what renders chat templates is not loaded: open the model with load");
};
