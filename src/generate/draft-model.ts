/**
 * A draft model: a smaller one with the same vocabulary, whose guesses the model checks (arXiv:2211.17192). Its sequences are kept
 * between requests as the model's own are, and hold what was accepted. It chooses by the same seed, penalties and form, so
 * that it guesses what the model would choose. Knows no decoder.
 */
import { AskedRecord } from "../decode/asked-draft.ts";
import { type ChoiceOptions, chosen } from "../decode/choice.ts";
import type { DraftPolicy } from "../decode/drafts.ts";
import { fromSession } from "../decode/session-draft.ts";
import { CllmError } from "../error.ts";
import type { Forest, Session, TokenIds } from "../runtime/session.ts";
import { WrappedSession } from "../runtime/wrapped-session.ts";
import type { Tokenizer } from "../text/tokenizer.ts";
import { type AcquireOptions, type SequenceLease, SequencePool } from "./sequence-pool.ts";
import type { LanguageModel } from "./types.ts";

/** Most guesses of one pass, each of which costs a pass of the draft model. */
const MOST = 15;

export interface DraftModel {
  readonly name: string;
  /** What requests learn of it. */
  readonly record: AskedRecord;
  /** The draft of a request that chooses its tokens so. */
  policy(choice: ChoiceOptions, options: AcquireOptions): DraftPolicy;
  dispose(): Promise<void>;
}

/** A model as a draft for another one of `vocabSize` ids. It is disposed with the draft. */
export function draftModelOf(
  model: Pick<LanguageModel, "name" | "session" | "dispose">,
  vocabSize: number,
  keep?: number,
): DraftModel {
  const sequences = new SequencePool(() => model.session(), keep);
  return {
    name: model.name,
    record: new AskedRecord(),
    policy: ({ logprobs: _, logitBias, ...choice }, options) => {
      const open = (prompt: TokenIds): Session => {
        const lease = sequences.acquire(prompt, options);
        const known = [...(logitBias ?? [])].filter(([id]) => id < lease.session.vocabSize);
        return chosen(new Leased(lease), prompt, { ...choice, logitBias: new Map(known) });
      };
      return async (prompt) => {
        const draft = await fromSession(open, { most: MOST })(prompt);
        return {
          async guess(...args) {
            const guesses = await draft.guess(...args);
            const foreign = guesses.findIndex((id) => id >= vocabSize); // its embedding may have more rows
            return foreign < 0 ? guesses : guesses.subarray(0, foreign);
          },
          [Symbol.asyncDispose]: () => draft[Symbol.asyncDispose](),
        };
      };
    },
    async dispose() {
      await sequences.dispose();
      await model.dispose();
    },
  };
}

/** The session of a lease, which goes back when it is disposed. */
class Leased extends WrappedSession {
  readonly #lease: SequenceLease;
  readonly prefill?: NonNullable<Session["prefill"]>;

  constructor(lease: SequenceLease) {
    super(lease.session);
    this.#lease = lease;
    const { session } = lease;
    if (session.prefill !== undefined) this.prefill = (tokens, rows) => session.prefill!(tokens, rows);
  }

  forward(tokens: TokenIds, forest?: Forest): Promise<TokenIds> {
    return this.inner.forward(tokens, forest);
  }

  override async dispose(): Promise<void> {
    await this.#lease[Symbol.asyncDispose]();
  }
}

/**
 * Throws `bad-input` where a token of one vocabulary is another one in the other, with the first such id. Ids that stand for no text
 * are written by neither model, so they may differ.
 */
export function requireSameVocabulary(
  model: { readonly name: string; readonly tokenizer: Tokenizer },
  draft: { readonly name: string; readonly tokenizer: Tokenizer },
): void {
  const [own, other] = [model.tokenizer, draft.tokenizer];
  const hasText = ({ vocabSize, silentIds }: Tokenizer, id: number): boolean => id < vocabSize && !silentIds.has(id);
  for (let id = 0; id < Math.max(own.vocabSize, other.vocabSize); id++) {
    const [here, there] = [hasText(own, id), hasText(other, id)];
    if (!here && !there) continue;
    if (here && there && sameBytes(own.tokenBytes(id), other.tokenBytes(id))) continue;
    const tokenOf = (has: boolean, tokenizer: Tokenizer): string =>
      has ? JSON.stringify(tokenizer.tokenText(id)) : "no token";
    const differ = `id ${id} is ${tokenOf(here, own)} in ${model.name} and ${tokenOf(there, other)} in ${draft.name}`;
    throw new CllmError(
      "bad-input",
      `the draft model has another vocabulary: ${differ}; use one with the same tokenizer`,
    );
  }
}

const sameBytes = (a: Uint8Array, b: Uint8Array): boolean =>
  a.length === b.length && a.every((byte, i) => byte === b[i]);
