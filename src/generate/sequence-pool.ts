/**
 * The sequences of a model: one for each running request, and those of the last finished ones, kept so that the next prompt
 * need not run what it shares with them. Knows token ids and sessions; no text and no decoder.
 */
import { CllmError } from "../error.ts";
import type { Session, TokenIds } from "../runtime/session.ts";
import { Sequence } from "./sequence.ts";

/** A sequence in the hands of one request. Disposing is the only way to give it back. */
export interface SequenceLease extends AsyncDisposable {
  readonly session: Session;
}

export interface AcquireOptions {
  /** Whether the cache may begin with what the prompt has in common with earlier requests. Default: true. */
  readonly cached?: boolean;
}

export class SequencePool implements AsyncDisposable {
  readonly #open: () => Session;
  readonly #keep: number;
  readonly #inUse = new Set<Sequence>();
  readonly #kept: Sequence[] = []; // the one that was used last comes last
  #disposal: Promise<void> | null = null;

  /** `open` gives a new, empty session; at most `keep` sequences that no request uses are kept. */
  constructor(open: () => Session, keep = 1) {
    this.#open = open;
    this.#keep = keep;
  }

  /** Sequences that are in use, and those that wait for a prompt to go on from them. */
  get counts(): { readonly inUse: number; readonly kept: number } {
    return { inUse: this.#inUse.size, kept: this.#kept.length };
  }

  /**
   * A sequence that holds as much of the prompt as any here does, but for its last token. Throws `disposed`, and what opening
   * a session throws.
   */
  acquire(prompt: TokenIds, { cached = true }: AcquireOptions = {}): SequenceLease {
    if (this.#disposal !== null) throw new CllmError("disposed", "the sequences were disposed; load the model again");
    const best = this.#reusable(prompt, cached);
    const sequence = best ?? new Sequence(this.#open());
    if (best !== null) this.#kept.splice(this.#kept.indexOf(best), 1);
    const shared = cached ? sequence.shared(prompt) : 0;
    const donor = cached ? closest([...this.#kept, ...this.#inUse], prompt) : null;
    sequence.truncate(shared);
    if (donor !== null && donor.shared(prompt) > shared) sequence.adopt(donor, donor.shared(prompt));
    this.#inUse.add(sequence);
    return { session: sequence, [Symbol.asyncDispose]: () => this.#release(sequence) };
  }

  /** Waits for the passes that are under way, and disposes every sequence; leases that come back later do nothing. */
  dispose(): Promise<void> {
    this.#disposal ??= this.#disposeAll();
    return this.#disposal;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.dispose();
  }

  /**
   * The kept sequence to continue with, if any: the one that shares most with the prompt. But a sequence that would
   * lose more than half of its tokens is another conversation's. It is left alone while there is room to keep more.
   * Without `cached`, the one that would be dropped next, for its memory alone: a new one's memory is slow until every
   * page of it was written to.
   */
  #reusable(prompt: TokenIds, cached: boolean): Sequence | null {
    const full = this.#kept.length >= this.#keep;
    if (!cached) return full ? (this.#kept[0] ?? null) : null;
    const best = closest(this.#kept, prompt);
    const losing = best !== null && 2 * best.shared(prompt) < best.length;
    return losing && !full ? null : best;
  }

  /** Keeps the sequence instead of the oldest one; a broken one is disposed. */
  async #release(sequence: Sequence): Promise<void> {
    if (!this.#inUse.delete(sequence)) return; // it came back before, or `dispose` took it
    await sequence.settled();
    if (sequence.broken || this.#disposal !== null) return sequence.dispose();
    this.#kept.push(sequence);
    if (this.#kept.length > this.#keep) await this.#kept.shift()!.dispose();
  }

  async #disposeAll(): Promise<void> {
    const all = [...this.#inUse, ...this.#kept.splice(0)];
    this.#inUse.clear();
    for (const sequence of all) {
      await sequence.settled();
      await sequence.dispose();
    }
  }
}

/** The sequence that shares most with a prompt, the first of several; null of none. */
function closest(sequences: readonly Sequence[], prompt: TokenIds): Sequence | null {
  let best: Sequence | null = null;
  for (const sequence of sequences) if (best === null || sequence.shared(prompt) > best.shared(prompt)) best = sequence;
  return best;
}
