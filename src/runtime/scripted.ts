/**
 * A model that is a plain function of the tokens before it, behind the same `Session` as the real one: for the tests of
 * decoders, for people who write their own, and for simulations that count passes. It checks what a real session cannot
 * afford to check (overlapping calls, malformed forests) and counts what was run. Knows nothing about ONNX Runtime.
 */
import { CllmError } from "../error.ts";
import { hash, mix } from "../hash.ts";
import { type Candidates, type Forest, type Session, type TokenIds, trunkLength } from "./session.ts";

/** A model as a function. `context` is a view: the cached tokens, the row's ancestors and its own token last. */
export type ScriptedModel = {
  readonly vocabSize: number;
  /** Default: 4096. */
  readonly contextLength?: number;
  /**
   * Share of side rows whose output is deliberately wrong, 0 to 1. A decoder that settles tokens from them, against the
   * rule of `Forest`, then differs from autoregressive decoding at once instead of once in a million tokens. Default: 0.
   */
  readonly sideError?: number;
  /** As `Session` has it. Default: false. */
  readonly leadingDraft?: boolean;
  /** A draft adapter as a function: what it says that follows a draft row. Default: there is none. */
  readonly draft?: (context: TokenIds) => number;
  /** What it says in second place. Default: nobody knows. */
  readonly second?: (context: TokenIds) => number;
  /** Heads as a function: what each of them guesses behind a row. Default: there are none. */
  readonly heads?: { readonly count: number; readonly guess: (context: TokenIds) => readonly TokenIds[] };
} & (
  | { readonly next: (context: TokenIds) => number } // the likeliest next token; logits are made up around it
  | { readonly logits: (context: TokenIds) => Float32Array } // (V,)
);

export interface ScriptedSession extends Session {
  /** A copy of the cached tokens. */
  readonly cached: TokenIds;
  /** One entry for each pass so far: rows of its trunk, and rows in all. */
  readonly passes: readonly { readonly trunk: number; readonly rows: number }[];
}

/**
 * Opens an empty sequence on a scripted model. Breaking the protocol throws a plain `Error`.
 *
 * @example
 * await using session = scriptedSession(consistentModel(100));
 * for await (const { accepted } of jacobi(session, Int32Array.of(1, 2, 3), { maxNewTokens: 16 })) console.log(accepted);
 */
export function scriptedSession(model: ScriptedModel): ScriptedSession {
  const { vocabSize, contextLength = 4096, sideError = 0, leadingDraft = false, draft, second, heads } = model;
  const context = new Int32Array(contextLength);
  const passes: { trunk: number; rows: number }[] = [];
  let contexts: TokenIds[] = []; // of the last pass's rows, for heads
  let candidates: Candidates[] = []; // of the last pass's rows, if some were draft rows
  let length = 0;
  let busy = false;
  let disposed = false;

  const logitsAfter = (ids: TokenIds): Float32Array => {
    if ("logits" in model) return model.logits(ids);
    const next = model.next(ids);
    return Float32Array.from({ length: vocabSize }, (_, id) => (id === next ? 2.5 : hash(next, id) / 2 ** 31));
  };
  const nextAfter = (ids: TokenIds): number => ("next" in model ? model.next(ids) : argmax(model.logits(ids)));

  /** Calls `row` with each row's context, then keeps the trunk. */
  async function pass(tokens: TokenIds, forest: Forest | undefined, row: (i: number, ids: TokenIds) => void) {
    if (busy) throw new Error("scripted session: a call began before the one before it had ended");
    if (disposed) throw new CllmError("disposed", "the session was disposed of: open a new one");
    const rows = tokens.length;
    if (rows === 0) throw new CllmError("bad-input", "no tokens to run: pass at least one");
    const bad = tokens.find((id) => id < 0 || id >= vocabSize);
    if (bad !== undefined)
      throw new CllmError(
        "bad-input",
        `token id ${bad} is outside the vocabulary of ${vocabSize}: check the tokenizer`,
      );
    if (length + rows > contextLength)
      throw new CllmError("context-overflow", `${length} + ${rows} tokens exceed the context of ${contextLength}`);
    const parents = forest?.parents ?? Int32Array.from(tokens, (_, i) => i - 1);
    if (parents.length !== rows || parents.some((parent, i) => parent < -1 || parent >= i))
      throw new Error(`scripted session: malformed forest [${parents}] for ${rows} tokens`);
    const draftsFrom = forest?.draftsFrom ?? rows;
    if (draftsFrom < 1 || draftsFrom > rows || (draftsFrom < rows && draft === undefined))
      throw new Error(`scripted session: draft rows from ${draftsFrom} on, of ${rows}`);
    if (parents.some((parent, i) => i >= draftsFrom && parent >= draftsFrom && parent !== i - 1))
      throw new Error("scripted session: draft rows are one chain");

    busy = true;
    await null; // so that overlapping calls can be seen
    const trunk = trunkLength({ parents, draftsFrom });
    contexts = [];
    for (let i = 0; i < rows; i++) {
      let depth = 0;
      for (let a = i; a >= 0; a = parents[a]!) depth++;
      for (let a = i, at = length + depth; a >= 0; a = parents[a]!) context[--at] = tokens[a]!;
      if (heads !== undefined) contexts.push(context.slice(0, length + depth));
      row(i, context.subarray(0, length + depth));
    }
    context.set(tokens.subarray(0, trunk), length);
    length += trunk;
    passes.push({ trunk, rows });
    busy = false;
    return trunk;
  }

  const dispose = async () => {
    disposed = true;
  };
  return {
    vocabSize,
    contextLength,
    leadingDraft,
    drafter: draft !== undefined,
    heads: heads?.count ?? 0,
    passes,
    get length() {
      return length;
    },
    get cached() {
      return context.slice(0, length);
    },
    async forward(tokens, forest) {
      const next = new Int32Array(tokens.length);
      const start = length;
      const draftsFrom = forest?.draftsFrom ?? tokens.length;
      const asked = second !== undefined && draftsFrom < tokens.length;
      candidates = [];
      const trunk = await pass(tokens, forest, (i, ids) => {
        next[i] = i >= draftsFrom && draft ? draft(ids) : nextAfter(ids);
        if (asked)
          candidates[i] = {
            ids: Int32Array.of(next[i]!, second(ids), (next[i]! + 1) % vocabSize),
            logits: Float32Array.of(1, 0.5, 0),
          };
      });
      for (let i = trunk; i < next.length; i++)
        if (hash(start, i, next[i]!) / 2 ** 32 < sideError) next[i] = (next[i]! + 1) % vocabSize;
      return next;
    },
    async logits(tokens, forest) {
      const logits = new Float32Array(tokens.length * vocabSize);
      const trunk = await pass(tokens, forest, (i, ids) => logits.set(logitsAfter(ids), i * vocabSize));
      if (sideError > 0) logits.subarray(trunk * vocabSize).reverse();
      return logits;
    },
    candidates: (from) => candidates.slice(from),
    async headGuesses(row) {
      const ids = contexts[row];
      if (heads === undefined || ids === undefined)
        throw new Error(`scripted session: heads at row ${row} of the last pass`);
      return heads.guess(ids);
    },
    truncate(to) {
      if (busy) throw new Error("scripted session: truncate during a pass");
      if (!Number.isInteger(to) || to < 0 || to > length)
        throw new CllmError("bad-input", `cannot truncate to ${to}: the cache holds ${length} tokens`);
      length = to;
    },
    copyFrom(donor, count) {
      if (busy) throw new Error("scripted session: copied to during a pass");
      if (disposed) throw new CllmError("disposed", "the session was disposed of: open a new one");
      const { cached } = donor as ScriptedSession;
      if (!Number.isInteger(count) || count < 0 || count > cached.length)
        throw new CllmError("bad-input", `cannot copy ${count} tokens: the cache holds ${cached.length}`);
      context.set(cached.subarray(0, count));
      length = count;
    },
    dispose,
    [Symbol.asyncDispose]: dispose,
  };
}

/** Index of the greatest element; the smallest index of several. */
function argmax(values: Float32Array): number {
  let best = 0;
  for (let i = 1; i < values.length; i++) if (values[i]! > values[best]!) best = i;
  return best;
}

/**
 * Text that repeats itself: with probability `predictability` a token depends on the one before it alone, and otherwise
 * on the whole context. At 1 the text soon loops, at 0 it is `chaoticModel`. Friendly to lookup, not to Jacobi.
 *
 * @example const session = scriptedSession(ngramModel(100, 0.8)); // the text often says what follows
 */
export function ngramModel(vocabSize: number, predictability: number, seed = 0): ScriptedModel {
  const chaos = nextFromAll(vocabSize, seed);
  return {
    vocabSize,
    next: (context) =>
      hash(seed, context.length) / 2 ** 32 < predictability ? hash(seed, context.at(-1)!) % vocabSize : chaos(context),
  };
}

/**
 * A model like a CLLM: with probability `consistency` a token depends on the prompt's first token and on its position
 * alone, so it is right even after wrong guesses; otherwise on the whole context. At 1 one pass makes any block right.
 *
 * @example const session = scriptedSession(consistentModel(100, 0.9)); // nine guesses of ten are right
 */
export function consistentModel(
  vocabSize: number,
  consistency = 1,
  seed = 0,
): ScriptedModel & { readonly next: (context: TokenIds) => number } {
  const chaos = nextFromAll(vocabSize, seed);
  return {
    vocabSize,
    next: (context) => {
      const fixed = hash(seed, context.length, context[0]!);
      return mix(fixed + 1) / 2 ** 32 < consistency ? fixed % vocabSize : chaos(context);
    },
  };
}

/**
 * A model that accepts next to nothing: every token depends on the whole context.
 *
 * @example const session = scriptedSession(chaoticModel(100)); // no guess is ever right
 */
export function chaoticModel(vocabSize: number, seed = 0): ScriptedModel {
  return { vocabSize, next: nextFromAll(vocabSize, seed) };
}

function nextFromAll(vocabSize: number, seed: number): (context: TokenIds) => number {
  return (context) => {
    let h = mix(seed + 1);
    for (const id of context) h = mix(h ^ id);
    return h % vocabSize;
  };
}
