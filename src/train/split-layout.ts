/**
 * A layout cut in two: clean text, which runs once and without a gradient, and the noisy tokens behind it, which are all that is
 * differentiated where only draft rows are trained. Knows no graph.
 */
import type { Layout } from "./pack.ts";

/** What a graph is fed for some tokens of each pack. */
export interface Part {
  readonly length: number; // T, the longest of the packs' parts
  readonly ids: Int32Array; // (batch * T)
  readonly positions: Int32Array; // (batch, T)
  readonly bias: Float32Array; // (batch, T, C + T), C of clean text before the part
  /** The same where the window hides more; null where the model has none. */
  readonly windowBias: Float32Array | null;
}

export interface SplitLayout {
  readonly clean: Part;
  readonly noisy: Part;
  /** The layout's rows, as places among the noisy tokens. */
  readonly rows: Int32Array;
}

const HIDDEN = -1e9;

/** Cuts it. All rows that carry loss must be of noisy tokens: a `RangeError` else. Each part has one token or more. */
export function splitLayout({ length, ids, positions, bias, windowBias, rows, sizes }: Layout): SplitLayout {
  const before = sizes.reduce((most, { clean }) => Math.max(most, clean), 1); // C
  const behind = sizes.reduce((most, { all, clean }) => Math.max(most, all - clean), 1); // T
  const part = (count: number, columns: number): Part => ({
    length: count,
    ids: new Int32Array(sizes.length * count),
    positions: new Int32Array(sizes.length * count),
    bias: new Float32Array(sizes.length * count * columns).fill(HIDDEN),
    windowBias: windowBias === null ? null : new Float32Array(sizes.length * count * columns).fill(HIDDEN),
  });
  const clean = part(before, before);
  const noisy = part(behind, before + behind);
  for (const [b, size] of sizes.entries()) {
    const copy = (to: Part, from: number, count: number, columns: number): void => {
      const first = b * length + from;
      to.ids.set(ids.subarray(first, first + count), b * to.length);
      to.positions.set(positions.subarray(first, first + count), b * to.length);
      const masks = [
        [bias, to.bias] as const,
        ...(windowBias && to.windowBias ? [[windowBias, to.windowBias] as const] : []),
      ];
      for (const [whole, cut] of masks) {
        for (let i = 0; i < to.length; i++) {
          const row = cut.subarray((b * to.length + i) * columns, (b * to.length + i + 1) * columns);
          if (i >= count)
            row[columns - to.length + i] = 0; // padding sees itself
          else {
            const seen = whole.subarray((first + i) * length, (first + i + 1) * length);
            row.set(seen.subarray(0, size.clean));
            if (to === noisy) row.set(seen.subarray(size.clean, size.all), before);
          }
        }
      }
    };
    copy(clean, 0, size.clean, before);
    copy(noisy, size.clean, size.all - size.clean, before + behind);
  }
  const moved = rows.map((place) => {
    const b = Math.floor(place / length);
    const own = place - b * length - (sizes[b]?.clean ?? 0);
    if (own < 0 && rows.length > 1)
      throw new RangeError("a row of clean text carries loss where only draft rows are trained");
    return b * behind + Math.max(0, own);
  });
  return { clean, noisy, rows: moved };
}
