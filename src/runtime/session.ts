/**
 * The seam between decoding and a model: one sequence, its KV cache, and forward passes over it. Decoders know this
 * interface and token ids, nothing else. Implemented by the ONNX Runtime session and by the scripted model for tests.
 */

/** Token ids, each in `[0, vocabSize)`. */
export type TokenIds = Int32Array;

/** Likely ids behind a row, the likeliest first, with their logits. */
export interface Candidates {
  readonly ids: TokenIds; // (c,)
  readonly logits: Float32Array; // (c,)
}

/**
 * Tokens of one pass as a forest instead of a chain. `parents[i]` is the index, within the pass, of the token that
 * token i follows, smaller than i, or -1 where it follows the cached sequence. A token sees the cached sequence and its
 * ancestors, and its position is that of its parent plus one. Branches need a cached sequence: ONNX Runtime's attention
 * counts positions by itself where there is none.
 *
 * The *trunk* is the longest leading run with `parents[i] === i - 1`. Its outputs are bit for bit those of a pass over the
 * trunk alone, and only the trunk stays in the cache: every other token can suggest drafts, but never settle anything,
 * because sums over scattered cache places round differently in the last bit.
 */
export interface Forest {
  readonly parents: Int32Array; // (T,)
  /**
   * Index of the first *draft row*, 1 or more: it and all rows behind it run with the session's draft adapter. They are never part of
   * the trunk, and no row before them sees them. Only where the session is a `drafter`. Default: there are none.
   */
  readonly draftsFrom?: number;
}

/** Rows of the trunk. */
export function trunkLength({ parents, draftsFrom = parents.length }: Forest): number {
  let length = 0;
  while (length < draftsFrom && parents[length] === length - 1) length++;
  return length;
}

/** A trunk of so many rows, and behind its first one a chain of draft rows: `rows` in all. */
export const draftForest = (trunk: number, rows: number): Forest => ({
  parents: Int32Array.from({ length: rows }, (_, i) => (i === trunk ? 0 : i - 1)),
  draftsFrom: trunk,
});

/** One sequence on one model. It owns a KV cache. Calls must not overlap. */
export interface Session extends AsyncDisposable {
  readonly vocabSize: number;
  /** Most tokens that the sequence can hold. */
  readonly contextLength: number;
  /** What the model was trained to see where nothing is guessed yet; decoders draft it. Undefined: tokens of the prompt. */
  readonly draftToken?: number | undefined;
  /** It was also trained to see that right behind a prompt: decoders let a first draft ride in the prompt's pass. */
  readonly leadingDraft?: boolean | undefined;
  /** It has a draft adapter, for the draft rows of a `Forest`. */
  readonly drafter?: boolean | undefined;
  /** How many heads on the last hidden state it has, which guess further tokens. Undefined or 0: none. */
  readonly heads?: number | undefined;
  /** Tokens now in the KV cache. */
  readonly length: number;
  /**
   * Run `tokens` in one forward pass after the cached ones. Returns the greedy next token after each of them, `(T,)`;
   * ties go always the same way. Without `forest` the tokens are a chain and all stay in the cache; with it, the trunk.
   * Throws `bad-input` for ids out of range or no tokens, `context-overflow` where they do not fit, `disposed`.
   */
  forward(tokens: TokenIds, forest?: Forest): Promise<TokenIds>;
  /**
   * As `forward`, but returns the logits after each token, row-major `(T, V)`, valid until the next call.
   */
  logits(tokens: TokenIds, forest?: Forest): Promise<Float32Array>;
  /**
   * As `forward` of a chain, but returns only what follows its last `rows` tokens, `(rows,)`: for prompts, so that a
   * session need not compute the logits of the other rows. Callers use `forward` where a session does not have it.
   */
  prefill?(tokens: TokenIds, rows: number): Promise<TokenIds>;
  /**
   * Guesses for what follows the cached tokens and then `last`, made better by what the session knows of its text: tokens that
   * must come are put in, and guesses that cannot come end them. At most `most`. Callers keep their guesses where a session
   * does not have it.
   */
  mend?(last: number, guesses: TokenIds, most: number): TokenIds;
  /**
   * What the heads guess behind row `row` of those that the last call gave: head k, from 0 on, says what stands k + 1 places behind the
   * token that follows the row. Of each head the likeliest ids, the likeliest first. Only where it has `heads`.
   */
  headGuesses?(row: number): Promise<readonly TokenIds[]>;
  /**
   * The likeliest ids behind each row of the last `forward` from row `from` on, what it wrote first. Only where the session is a `drafter`,
   * and empty behind a pass without draft rows.
   */
  candidates?(from: number): readonly Candidates[];
  /** Forget every cached token at index `length` and after. Throws `bad-input` beyond the present length. */
  truncate(length: number): void;
  /**
   * Replace the cached tokens by the first `length` of another sequence of the same model. It copies memory, which
   * takes less than a hundredth of the time of running the tokens and gives the same bits. The donor may be in a pass.
   * Throws `bad-input` beyond the donor's length or for another model's, `disposed`. Callers run the tokens where a
   * session does not have it.
   */
  copyFrom?(donor: Session, length: number): void;
  dispose(): Promise<void>;
}
