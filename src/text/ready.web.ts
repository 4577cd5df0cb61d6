/**
 * The twin of `ready.ts`: a page loads the reader of GGUF vocabularies with the first GGUF file, and Jinja with the first model that has
 * a chat template.
 */
import type { TokenizerSource } from "../checkpoint/tokenizer-source.ts";
import { loadGgufVocabulary } from "./gguf-vocabulary.web.ts";
import { loadTemplateParser } from "./template-parser.web.ts";

export async function textReady(source: TokenizerSource): Promise<void> {
  const { kind, chatTemplate, namedTemplates = {} } = source;
  const hasTemplate = chatTemplate !== null || Object.keys(namedTemplates).length > 0;
  await Promise.all([kind === "gguf" && loadGgufVocabulary(), hasTemplate && loadTemplateParser()]);
}
