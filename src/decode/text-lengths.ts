/**
 * How long the texts of a model's latest requests were, and so how much is likely to be left of one that is being written. Knows no decoder.
 */

const KEPT = 32;
/** Of these, so many are looked at before each pass. */
const LOOKED_AT = 8;

export class TextLengths {
  #lengths: readonly number[] = [];

  /** A text ended after so many tokens, by itself or because no more were asked for. */
  observe(length: number): void {
    this.#lengths = [...this.#lengths.slice(1 - KEPT), length];
  }

  /** Of the texts that were longer than `written`, how many tokens each had in all: some of them, from the shortest to the longest. */
  beyond(written: number): readonly number[] {
    const longer = this.#lengths.filter((length) => length > written).sort((a, b) => a - b);
    const step = Math.max(1, longer.length / LOOKED_AT);
    return Array.from({ length: Math.min(longer.length, LOOKED_AT) }, (_, i) => longer[Math.floor((i + 0.5) * step)]!);
  }
}
