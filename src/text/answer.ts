/**
 * The text of an answer, split as it comes into what the model thought, what it says, and the tools that it calls. Knows no ids of
 * tokens and no model.
 */
import { createReasoningReader, type ReasoningTags } from "./reasoning.ts";
import { createCallReader, type PartReader } from "./tools/call-reader.ts";
import type { AnswerPart, ToolForm } from "./tools/types.ts";

export interface AnswerReaderOptions {
  /** Default: the answer has no reasoning. `inside`: the prompt has opened it. */
  readonly reasoning?: (ReasoningTags & { readonly inside: boolean }) | null | undefined;
  /** Default: nothing is a call. */
  readonly calls?: { readonly form: ToolForm; readonly names: ReadonlySet<string> } | null | undefined;
  /** Default: nine letters and digits, which is what Mistral's templates take. */
  readonly newId?: (() => string) | undefined;
}

const LETTERS = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789";

function randomId(): string {
  const bytes = crypto.getRandomValues(new Uint8Array(9));
  return Array.from(bytes, (byte) => LETTERS[byte % LETTERS.length]).join("");
}

const PLAIN: PartReader = { push: (text) => (text === "" ? [] : [{ type: "text", text }]), end: () => [] };

/**
 * Reads an answer. However its text is cut, the pieces add up to the same.
 *
 * @example
 * const reader = createAnswerReader({ calls: { form: hermes, names: new Set(["weather"]) } });
 * for (const part of [...reader.push(text), ...reader.end()]) if (part.type === "called") console.log(part.call);
 */
export function createAnswerReader({ reasoning, calls, newId = randomId }: AnswerReaderOptions): PartReader {
  const behind = calls == null ? PLAIN : createCallReader({ ...calls, newId });
  if (reasoning == null) return behind;
  const split = createReasoningReader(reasoning, reasoning.inside);
  const parts = ({ reasoning: thought, text }: { readonly reasoning: string; readonly text: string }): AnswerPart[] => [
    ...(thought === "" ? [] : [{ type: "reasoning" as const, text: thought }]),
    ...behind.push(text),
  ];
  return { push: (text) => parts(split.push(text)), end: () => [...parts(split.end()), ...behind.end()] };
}
