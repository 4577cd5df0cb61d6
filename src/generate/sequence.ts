/**
 * A session that records which tokens its cache holds. So what a prompt can continue from does not depend on what a
 * decoder reports. Knows no request.
 */
import { commonPrefix } from "../decode/prefix.ts";
import type { Forest, Session, TokenIds } from "../runtime/session.ts";
import { WrappedSession } from "../runtime/wrapped-session.ts";

/** One sequence of a pool, as decoders see it. It passes everything on. */
export class Sequence extends WrappedSession {
  readonly prefill?: NonNullable<Session["prefill"]>;
  #buffer = new Int32Array(0); // what was run, in its place; the cache holds as much of it as it has tokens
  #pass: Promise<unknown> | null = null;
  #broken = false;

  constructor(session: Session) {
    super(session);
    if (session.prefill !== undefined)
      this.prefill = (tokens, rows) => this.#run(tokens, () => session.prefill!(tokens, rows));
  }

  /** The tokens in the cache; during a pass those that it has finished. A view that is valid until the next call. */
  get tokens(): TokenIds {
    return this.#buffer.subarray(0, this.length);
  }

  /** A pass failed: what the cache holds is not known. */
  get broken(): boolean {
    return this.#broken;
  }

  /** How many of its first tokens a prompt need not run: its last one is always run, for what follows it. */
  shared(prompt: TokenIds): number {
    return Math.min(commonPrefix(this.tokens, prompt), prompt.length - 1);
  }

  forward(tokens: TokenIds, forest?: Forest): Promise<TokenIds> {
    return this.#run(tokens, () => this.inner.forward(tokens, forest));
  }

  override logits(tokens: TokenIds, forest?: Forest): Promise<Float32Array> {
    return this.#run(tokens, () => this.inner.logits(tokens, forest));
  }

  /** Holds the first `length` tokens of another sequence, copied where the session can, else those that it has itself. */
  adopt(donor: Sequence, length: number): void {
    if (this.inner.copyFrom === undefined) return;
    this.inner.copyFrom(donor.inner, length);
    this.#reserve(length);
    this.#buffer.set(donor.#buffer.subarray(0, length));
  }

  /** Waits until the pass that is under way has ended, with success or not. */
  async settled(): Promise<void> {
    await this.#pass?.catch(() => {});
  }

  /** The trunk of a forest is its first rows, so what stays in the cache is always a beginning of `tokens`. */
  async #run<T>(tokens: TokenIds, pass: () => Promise<T>): Promise<T> {
    if (this.#pass !== null) return pass(); // which refuses it
    this.#reserve(this.length + tokens.length);
    this.#buffer.set(tokens, this.length);
    try {
      const running = pass();
      this.#pass = running;
      return await running;
    } catch (error) {
      this.#broken = true;
      throw error;
    } finally {
      this.#pass = null;
    }
  }

  #reserve(length: number): void {
    if (length <= this.#buffer.length) return;
    const larger = new Int32Array(2 * length);
    larger.set(this.#buffer);
    this.#buffer = larger;
  }
}
