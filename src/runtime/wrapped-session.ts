/**
 * A session around another one: what it says of its model and its cache is what the inner one says. Those that extend it say
 * how passes are run. Knows no decoder.
 */
import type { Candidates, Forest, Session, TokenIds } from "./session.ts";

export abstract class WrappedSession implements Session {
  protected readonly inner: Session;

  constructor(inner: Session) {
    this.inner = inner;
  }

  abstract forward(tokens: TokenIds, forest?: Forest): Promise<TokenIds>;

  get vocabSize(): number {
    return this.inner.vocabSize;
  }

  get contextLength(): number {
    return this.inner.contextLength;
  }

  get draftToken(): number | undefined {
    return this.inner.draftToken;
  }

  get leadingDraft(): boolean | undefined {
    return this.inner.leadingDraft;
  }

  get drafter(): boolean | undefined {
    return this.inner.drafter;
  }

  get heads(): number | undefined {
    return this.inner.heads;
  }

  get length(): number {
    return this.inner.length;
  }

  logits(tokens: TokenIds, forest?: Forest): Promise<Float32Array> {
    return this.inner.logits(tokens, forest);
  }

  /** Of the inner session's last `forward`: those that choose by its logits have none. */
  candidates(from: number): readonly Candidates[] {
    return this.inner.candidates?.(from) ?? [];
  }

  async headGuesses(row: number): Promise<readonly TokenIds[]> {
    return (await this.inner.headGuesses?.(row)) ?? [];
  }

  truncate(length: number): void {
    this.inner.truncate(length);
  }

  dispose(): Promise<void> {
    return this.inner.dispose();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.dispose();
  }
}
