/**
 * Guesses of another model, such as a smaller one with the same vocabulary: what it would write one token at a time. One of
 * its passes for each guess, so it pays where these are cheap beside the passes that they save (arXiv:2211.17192, section 2,
 * with guesses that are either right or wrong). Knows a `Session` and nothing of the model that checks the guesses.
 */
import type { Session, TokenIds } from "../runtime/session.ts";
import type { DraftPolicy } from "./drafts.ts";
import { joinTokens } from "./join-tokens.ts";
import { commonPrefix } from "./prefix.ts";

export interface SessionDraftOptions {
  /** Most guesses of one pass: each costs a pass of the other model. Default: 4. */
  readonly most?: number;
}

/**
 * Opens a sequence of the other model for each text, and disposes it with the text. The sequence may hold a prefix of the prompt.
 * Where its context ends, or its vocabulary lacks a token of the text, it guesses nothing.
 *
 * @example jacobi(session, prompt, { maxNewTokens: 64, draft: fromSession(() => small.session()) })
 */
export function fromSession(open: (prompt: TokenIds) => Session, { most = 4 }: SessionDraftOptions = {}): DraftPolicy {
  return (prompt) => {
    const session = open(prompt);
    let held: TokenIds = prompt.slice(0, session.length); // what the sequence may hold a prefix of
    return {
      async guess(text, guesses, { count, signal }) {
        const context = joinTokens(text, guesses);
        const room = session.contextLength - context.length;
        const found = new Int32Array(Math.max(0, Math.min(count, most, room)));
        session.truncate(Math.min(session.length, commonPrefix(held, context), context.length - 1));
        let rest = context.subarray(session.length);
        if (rest.some((id) => id >= session.vocabSize)) return new Int32Array(0);
        for (let i = 0; i < found.length && !signal?.aborted; i++) {
          found[i] = (await session.forward(rest)).at(-1)!;
          rest = found.subarray(i, i + 1);
        }
        held = joinTokens(context, found);
        return found;
      },
      [Symbol.asyncDispose]: () => session.dispose(),
    };
  };
}
