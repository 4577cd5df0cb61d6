/**
 * What decoding needs to know of a grammar: which tokens may follow, and where a text may end. An engine of another kind is
 * one file that makes a `Constraint`. Knows no notation and no engine.
 */

/** A place in a grammar, by the engine's own number. States are values: going back is taking an earlier one. */
export type State = number;

/** A grammar over a model's tokens. */
export interface Constraint {
  /** Before the first token. */
  readonly start: State;
  /** Fewest tokens of a text that the grammar allows. */
  readonly fewestTokens: number;
  /** The state after one more token, or null where the grammar does not allow it. */
  next(state: State, token: number): State | null;
  /** One bit per token, `id & 31` of word `id >>> 5`: whether it may come next. A view that must not be changed. */
  allowed(state: State): Uint32Array;
  /** Whether the text may end here. */
  canEnd(state: State): boolean;
  /**
   * Tokens that write what must come next, the model's own where it has them; none where several texts may follow. They are a
   * guess, and a good one: others may write the same.
   */
  forced(state: State): Int32Array;
}
