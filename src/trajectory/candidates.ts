/**
 * From text to tokens: the examples of a data set as a model reads them. Checks every record before any is run. Knows no
 * decoder.
 */
import { CllmError } from "../error.ts";
import type { LanguageModel } from "../generate/types.ts";
import type { Example, UnusableRecord } from "./dataset.ts";
import type { Candidate } from "./run.ts";

/** What it takes of a model. */
export type Reader = Pick<LanguageModel, "tokenizer" | "promptIds" | "config">;

/**
 * Encodes prompts, as a user's message where `chat` says so, and answers, each ended by the model's end of sequence.
 * Errors name the record.
 */
export function toCandidates(
  model: Reader,
  examples: readonly (Example | UnusableRecord)[],
  { chat = false }: { readonly chat?: boolean } = {},
): Candidate[] {
  const [end] = model.config.eosTokenIds;
  return examples.map((example) => {
    const { dataId } = example;
    if ("unusable" in example) return { dataId, unusable: true };
    const { prompt } = example.input;
    try {
      const input =
        chat && prompt !== undefined ? { messages: [{ role: "user", content: prompt } as const] } : example.input;
      const promptIds = model.promptIds(input);
      if (example.answer === null) return { dataId, promptIds, labelIds: null };
      const label = model.tokenizer.encode(example.answer, { addSpecialTokens: false });
      return { dataId, promptIds, labelIds: Int32Array.from([...label, ...(end === undefined ? [] : [end])]) };
    } catch (error) {
      if (!(error instanceof CllmError)) throw error;
      throw new CllmError(error.code, `${example.where}: ${error.message}`, { cause: error });
    }
  });
}
