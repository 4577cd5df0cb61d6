/**
 * One pass as a forest: a trunk that is verified, and side branches that explore. By the rule of `Forest` only the trunk
 * settles tokens; a branch that turns out right is the trunk's draft in the next pass, where it is verified exactly.
 */
import type { Forest, Session, TokenIds } from "../runtime/session.ts";
import { settledBy } from "./transcript.ts";

/** Tokens of a pass, in the order of its rows. Used again and again; `plant` empties it. */
export class Grove {
  readonly #tokens: Int32Array;
  readonly #parents: Int32Array;
  readonly #depths: Int32Array;
  #size = 0;
  #trunk = 0;
  #draftsFrom = Number.POSITIVE_INFINITY;

  constructor(rows: number) {
    this.#tokens = new Int32Array(rows);
    this.#parents = new Int32Array(rows);
    this.#depths = new Int32Array(rows);
  }

  get rows(): number {
    return this.#size;
  }

  /** Rows that are verified. A branch right behind a trunk of one token lengthens it. */
  get trunk(): number {
    return this.#trunk;
  }

  /** Begins a pass with the rows `trunk`: the last accepted token, and the draft after it. */
  plant(trunk: TokenIds): void {
    this.#size = 0;
    this.#trunk = 0;
    this.#draftsFrom = Number.POSITIVE_INFINITY;
    for (const [i, token] of trunk.entries()) this.add(token, i - 1);
  }

  /** Adds one row behind the row `parent` and returns its index. */
  add(token: number, parent: number): number {
    const row = this.#size++;
    this.#tokens[row] = token;
    this.#parents[row] = parent;
    this.#depths[row] = parent < 0 ? 0 : this.#depths[parent]! + 1;
    if (parent === row - 1 && this.#trunk === row && row < this.#draftsFrom) this.#trunk++;
    return row;
  }

  /** Adds a chain behind the root. */
  branch(tokens: TokenIds): void {
    let parent = 0;
    for (const token of tokens) parent = this.add(token, parent);
  }

  /** Adds draft rows behind the root, for a session that has a draft adapter. They come last. */
  drafts(tokens: TokenIds): void {
    if (tokens.length > 0) this.#draftsFrom = this.#size;
    this.branch(tokens);
  }

  /**
   * What the draft rows say comes behind the tokens that the pass accepted: of each that stands at the last of these or later,
   * what follows it. Empty where the pass accepted more than there were.
   */
  refined(next: TokenIds, settled: number): TokenIds {
    return next.subarray(Math.min(this.#draftsFrom + settled - 1, this.#size), this.#size);
  }

  /** Runs the pass, by `pass`. `next` follows each row, `settled` of its first ones are right. */
  async run(pass: Session["forward"]): Promise<{ next: TokenIds; settled: number }> {
    const tokens = this.#tokens.subarray(0, this.#size);
    const draftsFrom = Math.min(this.#draftsFrom, this.#size);
    const forest: Forest = { parents: this.#parents.subarray(0, this.#size), draftsFrom };
    const next = await (this.#trunk === this.#size ? pass(tokens) : pass(tokens, forest));
    return { next, settled: settledBy(tokens.subarray(0, this.#trunk), next) };
  }

  /**
   * What some branch says comes after the tokens that the pass accepted: the longest path that agrees with them and then
   * with the pass's own outputs, and the output at its end. Empty where no branch foresaw the accepted tokens.
   */
  suggestion(next: TokenIds, settled: number): TokenIds {
    const end = this.end(next, settled);
    const depth = this.#depths[end]!;
    if (depth < settled) return new Int32Array(0);
    const path = new Int32Array(depth - settled + 1);
    path[depth - settled] = next[end]!;
    for (let row = end, at = depth - settled; at-- > 0; row = this.#parents[row]!) path[at] = this.#tokens[row]!;
    return path;
  }

  /** The row at the end of that path: the deepest that is right, as the trunk's outputs say, and then a branch's own. */
  end(next: TokenIds, settled: number): number {
    const rows = Math.min(this.#draftsFrom, this.#size);
    const right = new Uint8Array(rows);
    right[0] = 1;
    let end = 0;
    for (let row = 1; row < rows; row++) {
      const parent = this.#parents[row]!;
      const depth = this.#depths[row]!;
      const expected = depth <= settled ? next[depth - 1] : next[parent]; // the trunk's outputs, then the branch's own
      if (right[parent] !== 1 || this.#tokens[row] !== expected) continue;
      right[row] = 1;
      if (depth > this.#depths[end]!) end = row;
    }
    return end;
  }
}
