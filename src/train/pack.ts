/**
 * Packing: pieces of text that see each other or not, laid side by side in one sequence of tokens. A segment follows another
 * one, up to some token of it, and sees what that one sees, then itself causally. So a prompt with many completions is one
 * segment and its children, and a noisy point of a block is a child of the clean text, cut where the block begins (Jacobi
 * Forcing, arXiv:2512.14681, section 3). Knows no loss and no model.
 */

/** Tokens that follow some of another segment's. */
export interface Segment {
  readonly tokens: Int32Array;
  /** Index, in its pack, of the segment that it follows; -1 for none. Smaller than its own. */
  readonly parent: number;
  /** How many of the parent's tokens come before it and are seen. */
  readonly after: number;
  /** What each token should be followed by; -1 where that does not count. Empty for nowhere. */
  readonly targets: Int32Array;
  /** What each token's cross entropy counts, times its share of the step. */
  readonly weight: number;
  /**
   * For a divergence: by token, where the distribution to be learned is found, as a segment's index and a token's within it;
   * null for no divergence.
   */
  readonly teacher: { readonly segment: number; readonly from: number; readonly weight: number } | null;
}

/** Segments whose tokens fit one sequence. */
export interface Pack {
  readonly segments: readonly Segment[];
}

export const packLength = ({ segments }: Pack): number => segments.reduce((sum, { tokens }) => sum + tokens.length, 0);

/** A segment that nothing is said of but its tokens and place. */
export function segment(
  tokens: Int32Array,
  {
    parent = -1,
    after = 0,
    targets = new Int32Array(0),
    weight = 1,
    teacher = null,
  }: Partial<Omit<Segment, "tokens">> = {},
): Segment {
  return { tokens, parent, after, targets, weight, teacher };
}

/** Both packs' segments in one, the second's parents and teachers moved accordingly. */
export function joinPacks(first: Pack, second: Pack): Pack {
  const moved = first.segments.length;
  return {
    segments: [
      ...first.segments,
      ...second.segments.map((part) => ({
        ...part,
        parent: part.parent < 0 ? -1 : part.parent + moved,
        teacher: part.teacher === null ? null : { ...part.teacher, segment: part.teacher.segment + moved },
      })),
    ],
  };
}

/**
 * Puts packs into as few sequences of at most `length` tokens as the largest-first rule finds (first fit decreasing). Packs
 * that are longer alone are left out and counted by the caller, who checks them first. Keeps the order of equals.
 */
export function fitPacks(packs: readonly Pack[], length: number): Pack[] {
  const bins: { pack: Pack; used: number }[] = [];
  const sized = packs.map((pack) => ({ pack, size: packLength(pack) })).sort((a, b) => b.size - a.size);
  for (const { pack, size } of sized) {
    if (size > length) continue;
    const bin = bins.find(({ used }) => used + size <= length);
    if (bin === undefined) bins.push({ pack, used: size });
    else {
      bin.pack = joinPacks(bin.pack, pack);
      bin.used += size;
    }
  }
  return bins.map(({ pack }) => pack);
}

/** What a graph is fed for some packs, one for each sequence of a pass. */
export interface Layout {
  readonly length: number; // T, the longest of the packs
  readonly ids: Int32Array; // (batch * T)
  readonly positions: Int32Array; // (batch, T)
  readonly bias: Float32Array; // (batch, T, T)
  /** The rows that carry loss, as places among batch * T, and what belongs to each. All of the same length R, 1 or more. */
  readonly rows: Int32Array;
  readonly targets: Int32Array;
  readonly weights: Float32Array;
  /** Indices into `rows`: a row without a teacher is its own, with weight 0. */
  readonly teachers: Int32Array;
  readonly divergenceWeights: Float32Array;
  /** Where each segment's first token stands, by pack and segment. */
  readonly places: readonly (readonly number[])[];
}

/** Added to the attention scores of tokens that must not be seen. */
const HIDDEN = -1e9;

/** Lays packs out, each in a sequence of its own, padded to the longest. Weights are taken as they are. */
export function layOut(packs: readonly Pack[]): Layout {
  const length = Math.max(1, ...packs.map(packLength));
  const ids = new Int32Array(packs.length * length);
  const positions = new Int32Array(packs.length * length);
  const bias = new Float32Array(packs.length * length * length).fill(HIDDEN);
  const places: number[][] = [];
  const rows: number[] = [];
  const targets: number[] = [];
  const weights: number[] = [];
  const teacherPlaces: number[] = [];
  const divergences: number[] = [];
  for (const [b, { segments }] of packs.entries()) {
    const starts: number[] = [];
    let at = 0;
    for (const part of segments) {
      const parentStart = part.parent < 0 ? 0 : (starts[part.parent] as number);
      const parentEnd = parentStart + part.after; // exclusive
      starts.push(at);
      const first = b * length + at;
      const seenBy = part.parent < 0 || part.after === 0 ? null : b * length + parentEnd - 1;
      const position = seenBy === null ? 0 : (positions[seenBy] as number) + 1;
      ids.set(part.tokens, first);
      for (let i = 0; i < part.tokens.length; i++) {
        positions[first + i] = position + i;
        const row = (first + i) * length;
        // All that the parent's last seen token sees, then the segment itself up to here.
        if (seenBy !== null) bias.copyWithin(row, seenBy * length, seenBy * length + at);
        bias.fill(0, row + at, row + at + i + 1);
        const target = part.targets[i] ?? -1;
        if (target < 0 && part.teacher === null) continue;
        rows.push(first + i);
        targets.push(Math.max(target, 0));
        weights.push(target < 0 ? 0 : part.weight);
        const teacher = part.teacher;
        const teacherStart = teacher === null ? undefined : starts[teacher.segment];
        teacherPlaces.push(
          teacher === null || teacherStart === undefined ? -1 : b * length + teacherStart + teacher.from + i,
        );
        divergences.push(teacher?.weight ?? 0);
      }
      at += part.tokens.length;
    }
    // Padding sees itself, so that no row of scores is hidden as a whole.
    for (let i = at; i < length; i++) bias[(b * length + i) * length + i] = 0;
    places.push(starts.map((start) => b * length + start));
  }
  const indexOf = new Map(rows.map((place, index) => [place, index]));
  for (const place of teacherPlaces) {
    if (place < 0 || indexOf.has(place)) continue;
    indexOf.set(place, rows.length);
    rows.push(place); // its logits are needed, whether or not they count themselves
  }
  while (targets.length < rows.length || rows.length === 0) {
    if (rows.length === 0) rows.push(0);
    targets.push(0);
    weights.push(0);
    teacherPlaces.push(-1);
    divergences.push(0);
  }
  return {
    length,
    ids,
    positions,
    bias,
    rows: Int32Array.from(rows),
    targets: Int32Array.from(targets),
    weights: Float32Array.from(weights),
    teachers: Int32Array.from(teacherPlaces, (place, index) => (place < 0 ? index : (indexOf.get(place) as number))),
    divergenceWeights: Float32Array.from(divergences),
    places,
  };
}
