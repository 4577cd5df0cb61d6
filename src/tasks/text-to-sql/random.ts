/**
 * A small splittable generator of pseudo-random choices: a counter, hashed together with a key. `split` makes another
 * that depends on the key and a label only, never on what was drawn before, so that one part of a drawn thing can
 * change without changing the others. Knows nothing of what is drawn.
 */
import { hash } from "../../hash.ts";

export class Random {
  readonly #key: number;
  #drawn = 0;

  constructor(...seed: number[]) {
    this.#key = hash(...seed);
  }

  /** Another generator, a pure function of this one's seed and the label. */
  split(label: number): Random {
    return new Random(this.#key, label, 1);
  }

  /** A whole number from 0 to `n - 1`. */
  below(n: number): number {
    return Math.floor((hash(this.#key, this.#drawn++) / 2 ** 32) * n);
  }

  /** A whole number from `low` to `high`, both included. */
  between(low: number, high: number): number {
    return low + this.below(high - low + 1);
  }

  chance(probability: number): boolean {
    return this.below(2 ** 32) < probability * 2 ** 32;
  }

  pick<T>(list: readonly T[]): T {
    return list[this.below(list.length)]!;
  }

  /** `count` different members of a list in random order, or all of them where it has fewer. */
  sample<T>(list: readonly T[], count: number): T[] {
    const rest = [...list];
    const taken: T[] = [];
    while (taken.length < count && rest.length > 0) {
      const at = this.below(rest.length);
      taken.push(rest[at]!);
      rest[at] = rest[rest.length - 1]!;
      rest.pop();
    }
    return taken;
  }
}
