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
  /** How many of the parent's tokens come before it and are seen; with 0 it sees what the parent's first token sees. */
  readonly after: number;
  /** What each token should be followed by; -1 where that does not count. Empty for nowhere. */
  readonly targets: Int32Array;
  /** What each token's loss counts beside the others of its term. */
  readonly weights: Float32Array;
  /** Which loss its tokens belong to. */
  readonly term: Term;
  /**
   * Where the distributions are found that a divergence pulls its own to: token i's is that of token `from + i` of an earlier
   * segment. Null: its tokens learn their targets by cross entropy.
   */
  readonly teacher: { readonly segment: number; readonly from: number } | null;
}

/** The two losses of consistency training: autoregressive on clean text, consistency on noisy points. */
export type Term = "ar" | "consistency";

/** Segments whose tokens fit one sequence. */
export interface Pack {
  readonly segments: readonly Segment[];
}

export const packLength = ({ segments }: Pack): number => segments.reduce((sum, { tokens }) => sum + tokens.length, 0);

/** Tokens before the first noisy segment. */
function cleanLength({ segments }: Pack): number {
  const first = segments.findIndex(({ term }) => term === "consistency");
  return packLength({ segments: first < 0 ? segments : segments.slice(0, first) });
}

/** A segment of which only tokens and place are given. */
export function segment(
  tokens: Int32Array,
  {
    parent = -1,
    after = 0,
    targets = new Int32Array(0),
    weights,
    term = "ar",
    teacher = null,
  }: Partial<Omit<Segment, "tokens">> = {},
): Segment {
  return {
    tokens,
    parent,
    after,
    targets,
    weights: weights ?? new Float32Array(targets.length).fill(1),
    term,
    teacher,
  };
}

/** Sums of the weights of all tokens that count, by term: what a step's losses are averages over. */
export function totalWeights(packs: readonly Pack[]): Record<Term, number> {
  const totals = { ar: 0, consistency: 0 };
  for (const { segments } of packs) {
    for (const { targets, weights, term } of segments) {
      for (let i = 0; i < targets.length; i++) {
        if ((targets[i] as number) >= 0) totals[term] += weights[i] as number;
      }
    }
  }
  return totals;
}

/** What a graph is fed for some packs, one for each sequence of a pass. */
export interface Layout {
  readonly length: number; // T, the longest of the packs
  readonly ids: Int32Array; // (batch * T)
  readonly positions: Int32Array; // (batch, T)
  readonly bias: Float32Array; // (batch, T, T)
  /** The same with what is beyond the sliding window hidden too; null without one. */
  readonly windowBias: Float32Array | null;
  /** The rows that carry loss, as places among batch * T, and what belongs to each. All of the same length R, 1 or more. */
  readonly rows: Int32Array;
  readonly targets: Int32Array;
  readonly weights: Float32Array;
  /** Indices into `rows`: a row without a teacher is its own, with weight 0. */
  readonly teachers: Int32Array;
  readonly divergenceWeights: Float32Array;
  /** The term that each row belongs to, without rows that only teach. */
  readonly terms: readonly Term[];
  /** Where each segment's first token stands, by pack and segment. */
  readonly places: readonly (readonly number[])[];
  /** By pack: its tokens, and those of clean text, which come first. */
  readonly sizes: readonly { readonly all: number; readonly clean: number }[];
}

/** Added to the attention scores of tokens that must not be seen. */
const HIDDEN = -1e9;

/**
 * Lays packs out, each in a sequence of its own, padded to the longest. Each term's weights are multiplied by its factor: for an
 * average times a coefficient, the coefficient over `totalWeights`. A sliding window gives a bias of its own.
 */
export function layOut(
  packs: readonly Pack[],
  factors: Readonly<Record<Term, number>> = { ar: 1, consistency: 1 },
  slidingWindow: number | null = null,
): Layout {
  const length = packs.reduce((longest, pack) => Math.max(longest, packLength(pack)), 1);
  const ids = new Int32Array(packs.length * length);
  const positions = new Int32Array(packs.length * length);
  const bias = new Float32Array(packs.length * length * length).fill(HIDDEN);
  const places: number[][] = [];
  const rows: number[] = [];
  const targets: number[] = [];
  const weights: number[] = [];
  const teacherPlaces: number[] = [];
  const divergences: number[] = [];
  const terms: Term[] = [];
  for (const [b, { segments }] of packs.entries()) {
    const starts: number[] = [];
    const followed: (number | null)[] = []; // the place of the last token before each segment
    let at = 0;
    for (const part of segments) {
      const inParent = part.parent < 0 ? null : b * length + (starts[part.parent] as number) + part.after - 1;
      const seenBy = inParent === null || part.after > 0 ? inParent : (followed[part.parent] as number | null);
      starts.push(at);
      followed.push(seenBy);
      const first = b * length + at;
      const position = seenBy === null ? 0 : (positions[seenBy] as number) + 1;
      ids.set(part.tokens, first);
      for (let i = 0; i < part.tokens.length; i++) {
        positions[first + i] = position + i;
        const row = (first + i) * length;
        // All that the parent's last seen token sees, then the segment itself up to here.
        if (seenBy !== null) bias.copyWithin(row, seenBy * length, seenBy * length + at);
        bias.fill(0, row + at, row + at + i + 1);
        const target = part.targets[i] ?? -1;
        if (target < 0) continue;
        const weight = (part.weights[i] as number) * factors[part.term];
        const { teacher } = part;
        rows.push(first + i);
        terms.push(part.term);
        targets.push(target);
        weights.push(teacher === null ? weight : 0);
        divergences.push(teacher === null ? 0 : weight);
        teacherPlaces.push(teacher === null ? -1 : b * length + (starts[teacher.segment] as number) + teacher.from + i);
      }
      at += part.tokens.length;
    }
    // Padding sees itself, so that no row of scores is hidden as a whole.
    for (let i = at; i < length; i++) bias[(b * length + i) * length + i] = 0;
    places.push(starts.map((start) => b * length + start));
  }
  const windowBias = slidingWindow === null ? null : bias.slice();
  if (slidingWindow !== null && windowBias !== null) {
    for (let b = 0; b < packs.length; b++) {
      hideBeyond(slidingWindow, positions.subarray(b * length, (b + 1) * length), windowBias, b);
    }
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
    windowBias,
    rows: Int32Array.from(rows),
    targets: Int32Array.from(targets),
    weights: Float32Array.from(weights),
    teachers: Int32Array.from(teacherPlaces, (place, index) => (place < 0 ? index : (indexOf.get(place) as number))),
    divergenceWeights: Float32Array.from(divergences),
    terms,
    places,
    sizes: packs.map((pack) => ({ all: packLength(pack), clean: cleanLength(pack) })),
  };
}

/** Hide, in sequence `b`, what is `window` positions back or more. */
function hideBeyond(window: number, positions: Int32Array, bias: Float32Array, b: number): void {
  const length = positions.length;
  for (let i = 0; i < length; i++) {
    for (let j = 0; j < i; j++) {
      if ((positions[i] as number) - (positions[j] as number) >= window) bias[(b * length + i) * length + j] = HIDDEN;
    }
  }
}
