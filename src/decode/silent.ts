/**
 * Ids that stand for no text: many models have more rows in their embedding than their tokenizer has tokens. `withoutIds` wraps a
 * session so that such an id is never the next one. Looks at logits only where the model found one likeliest, so passes cost
 * what they cost before. Knows no tokenizer.
 */
import type { Forest, Session, TokenIds } from "../runtime/session.ts";
import { WrappedSession } from "../runtime/wrapped-session.ts";
import { bestAllowed } from "./allowed.ts";

/**
 * A session whose next tokens are the likeliest of all ids but `silent`, and to which these are impossible in logits. Returns the
 * session as it is where there are none. Disposing of either does.
 *
 * @example
 * const session = withoutIds(engine.session(), tokenizer.silentIds);
 */
export function withoutIds(session: Session, silent: ReadonlySet<number>): Session {
  return silent.size === 0 ? session : new Speaking(session, silent);
}

class Speaking extends WrappedSession {
  readonly #silent: ReadonlySet<number>;
  readonly prefill?: NonNullable<Session["prefill"]>;
  readonly copyFrom?: NonNullable<Session["copyFrom"]>;

  constructor(inner: Session, silent: ReadonlySet<number>) {
    super(inner);
    this.#silent = silent;
    if (inner.prefill !== undefined)
      this.prefill = async (tokens, rows) => this.#mended(await inner.prefill!(tokens, rows), tokens.slice(-rows));
    if (inner.copyFrom !== undefined)
      this.copyFrom = (donor, length) => inner.copyFrom!(donor instanceof Speaking ? donor.inner : donor, length);
  }

  async forward(tokens: TokenIds, forest?: Forest): Promise<TokenIds> {
    const start = this.inner.length;
    return this.#mended(await this.inner.forward(tokens, forest), tokens, forest, start);
  }

  override async logits(tokens: TokenIds, forest?: Forest): Promise<Float32Array> {
    const { vocabSize } = this;
    const logits = await this.inner.logits(tokens, forest); // (T, V)
    for (let row = 0; row < logits.length; row += vocabSize)
      for (const id of this.#silent) logits[row + id] = Number.NEGATIVE_INFINITY;
    return logits;
  }

  /** What a pass gave for `tokens`, which begin at `start` of the text: run again for logits where an id among it is silent. */
  async #mended(
    next: TokenIds,
    tokens: TokenIds,
    forest?: Forest,
    start = this.inner.length - tokens.length,
  ): Promise<TokenIds> {
    if (!next.some((id) => this.#silent.has(id))) return next;
    const { vocabSize } = this;
    this.inner.truncate(start);
    const logits = await this.logits(tokens, forest);
    return next.map((id, row) =>
      this.#silent.has(id) ? bestAllowed(logits.subarray(row * vocabSize, (row + 1) * vocabSize), null, null) : id,
    );
  }
}
