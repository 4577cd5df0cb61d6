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
 * Encodes prompts, as a user's message where `chat` says so, and answers, each ended as the model ends one: in conversations by
 * the end that the chat template writes behind an assistant's turn, else by the first of the model's ends. Errors name the record.
 */
export function toCandidates(
  model: Reader,
  examples: readonly (Example | UnusableRecord)[],
  { chat = false }: { readonly chat?: boolean } = {},
): Candidate[] {
  const ends = { text: model.config.eosTokenIds[0], turn: undefined as number | undefined };
  return examples.map((example) => {
    const { dataId } = example;
    if ("unusable" in example) return { dataId, unusable: true };
    const { prompt } = example.input;
    try {
      const input =
        chat && prompt !== undefined ? { messages: [{ role: "user", content: prompt } as const] } : example.input;
      const promptIds = model.promptIds(input);
      if (input.messages !== undefined) ends.turn ??= turnEnd(model) ?? ends.text;
      const end = input.messages === undefined ? ends.text : ends.turn;
      if (example.answer === null) return { dataId, promptIds, labelIds: null };
      const label = model.tokenizer.encode(example.answer, { addSpecialTokens: false });
      return { dataId, promptIds, labelIds: Int32Array.from([...label, ...(end === undefined ? [] : [end])]) };
    } catch (error) {
      if (!(error instanceof CllmError)) throw error;
      throw new CllmError(error.code, `${example.where}: ${error.message}`, { cause: error });
    }
  });
}

/** The last of the model's ends in a conversation that ends with an answer; undefined where its template writes none. */
function turnEnd({ promptIds, config }: Reader): number | undefined {
  const messages = [{ role: "user", content: "a" } as const, { role: "assistant", content: "b" } as const];
  try {
    return promptIds({ messages, continueFinalMessage: false, addGenerationPrompt: false }).findLast((id) =>
      config.eosTokenIds.includes(id),
    );
  } catch {
    return undefined; // a template that takes no such conversation
  }
}
