/**
 * Batches: examples, in the source's order, made into packs until the sequences of a step are full. Consistency training adds
 * noisy points to each example, stored ones or fresh ones that the student itself refines. A batch is a function of the
 * source's place, the seed and the student's weights. Knows no optimizer.
 */
import { joinTokens } from "../decode/join-tokens.ts";
import { commonPrefix } from "../decode/prefix.ts";
import { CllmError } from "../error.ts";
import { hash } from "../hash.ts";
import {
  advance,
  cleanSegment,
  draftSegment,
  type Example,
  freshGuesses,
  LEADING,
  type NoisyPoint,
  noisySegment,
  pointLength,
  rightPrefix,
} from "./objectives.ts";
import { type Pack, type Segment, segment } from "./pack.ts";
import type { TrainSettings } from "./settings.ts";
import type { ExampleSource } from "./source.ts";
import { type StoredPoint, storedPoints } from "./stored-points.ts";
import type { Trainer } from "./trainer.ts";

export interface Batch {
  /** One for each sequence of a pass. */
  readonly packs: readonly Pack[];
  /** The source's place after it. */
  readonly next: number;
  /** Examples that are longer than a sequence. */
  readonly skipped: number;
}

/** A sequence that is being filled. */
interface Bin {
  readonly segments: Segment[];
  used: number;
  /** The last clean text that stands there whole, and its segment: others may share its first tokens. */
  root: { readonly tokens: Int32Array; readonly segment: number } | null;
}

/** A point in flight: which example it belongs to, and how many more passes are to refine it. */
interface Flight {
  readonly example: Example;
  readonly bin: Bin;
  /** The clean segment, and how many tokens it has from another one. */
  readonly clean: number;
  readonly shared: number;
  point: NoisyPoint | StoredPoint;
  refinements: number;
  readonly seed: readonly number[];
}

/** Fewer tokens in common are not worth a branch. */
const SHARED_FROM = 8;

/** Make the batch that starts at place `from` of the source. Calls `onPass` after each pass that it takes; what that throws ends it. */
export async function makeBatch(
  trainer: Trainer,
  source: ExampleSource,
  from: number,
  settings: TrainSettings,
  onPass: () => void = () => {},
): Promise<Batch> {
  const { batch, sequenceLength, objective, promptWeight, lossless } = settings;
  const bins = Array.from({ length: batch }, (): Bin => ({ segments: [], used: 0, root: null }));
  const flights: Flight[] = [];
  // All points of a batch are refined equally often, so that a batch of fresh ones costs no pass but its own.
  const refinements = hash(settings.seed, from, 3) % (settings.refinements + 1);
  let [place, skipped] = [from, 0];
  for (; ; place++) {
    const example = source.example(place);
    const points = objective !== "consistency" ? [] : drawPoints(example, place, refinements, settings);
    const noisy = points.reduce((sum, { point }) => sum + noisyLength(example, point, lossless), 0);
    const size = example.promptIds.length + example.completionIds.length - 1 + noisy;
    if (size > sequenceLength) {
      if (++skipped > 10_000) {
        const message = `10,000 examples in a row are longer than a sequence of ${sequenceLength} tokens`;
        throw new CllmError("bad-input", `${message}; raise sequenceLength, or lower pointsPerExample or blockSize`);
      }
      continue;
    }
    const found = findRoom(bins, example, size, sequenceLength);
    if (found === null) break;
    const { bin, shared } = found;
    const clean = bin.segments.length;
    const parent = shared > 0 ? (bin.root as NonNullable<Bin["root"]>).segment : -1;
    const whole = cleanSegment(example, promptWeight, { parent, shared });
    const text = lossless ? segment(whole.tokens, whole.parent < 0 ? {} : { parent, after: shared }) : whole; // the base is as it is
    bin.segments.push(text);
    bin.used += size - shared;
    if (shared === 0) bin.root = { tokens: text.tokens, segment: clean };
    for (const point of points) flights.push({ ...point, example, bin, clean, shared });
  }
  for (let pass = 0; ; pass++) {
    const moving = flights.filter(({ refinements }) => refinements > pass);
    if (moving.length === 0) break;
    await refine(trainer, bins, moving, pass, settings);
    onPass();
  }
  const packs = bins.map((bin) => {
    const segments = [...bin.segments];
    for (const flight of flights) if (flight.bin === bin) addPoint(segments, flight, settings);
    return { segments };
  });
  return { packs, next: place, skipped };
}

/** The first sequence with room, of those that have the example's first tokens already, else of all. */
function findRoom(bins: readonly Bin[], example: Example, size: number, length: number) {
  for (const bin of bins) {
    // At most all but the prompt's last token, which the first one of the answer follows.
    const shared = bin.root === null ? 0 : commonPrefix(bin.root.tokens, example.promptIds.subarray(0, -1));
    if (shared >= SHARED_FROM && bin.used + size - shared <= length) return { bin, shared };
  }
  const bin = bins.find(({ used }) => used + size <= length);
  return bin === undefined ? null : { bin, shared: 0 };
}

function noisyLength({ completionIds }: Example, point: NoisyPoint | StoredPoint, lossless: boolean): number {
  const length = pointLength(completionIds, point);
  return lossless ? Math.max(0, length - 1) : length * ("successor" in point ? 2 : 1);
}

/** The points that an example is learned with at a place of the source. */
function drawPoints(
  example: Example,
  place: number,
  refinements: number,
  settings: TrainSettings,
): Pick<Flight, "point" | "refinements" | "seed">[] {
  const { pointsPerExample, leadingPoints, blockSize, points, draftToken, seed, lossless } = settings;
  if (points === "stored") {
    return storedPoints(example, place, settings).map((point) => ({ point, refinements: 0, seed: [] }));
  }
  const starts = example.completionIds.length - 2; // a block needs a guess and what follows it
  if (starts < 1) return [];
  return Array.from({ length: pointsPerExample }, (_, i) => {
    const own = [seed, place, i];
    const first = lossless ? 0 : LEADING; // draft rows follow a token that the base wrote
    const start = i < leadingPoints ? first : hash(...own, 1) % starts;
    return {
      point: { start, guesses: freshGuesses(example, blockSize - 1, draftToken, ...own, 2) },
      refinements,
      seed: own,
    };
  });
}

/** Move points on by one pass of the student over all of them, beside the clean text that they follow. */
async function refine(
  trainer: Trainer,
  bins: readonly Bin[],
  flights: readonly Flight[],
  pass: number,
  { draftToken, lossless }: TrainSettings,
): Promise<void> {
  const ordered: Flight[] = [];
  const packs = bins.map((bin) => {
    const segments = bin.segments.map(({ tokens, parent, after }) => segment(tokens, { parent, after }));
    for (const flight of flights) {
      if (flight.bin !== bin) continue;
      const part = (lossless ? draftSegment : noisySegment)(flight.example, flight.point, flight);
      segments.push({ ...part, targets: part.targets.map(() => 0) }); // all of its rows
      ordered.push(flight);
    }
    return { segments };
  });
  const next = await trainer.predict(trainer.layOut(packs)); // rows come pack by pack, segment by segment
  let at = 0;
  for (const flight of ordered) {
    const { example, point, seed } = flight;
    const length = noisyLength(example, point, lossless);
    const written = next.subarray(at, at + length);
    // What follows a point's first token is settled in any case, so that nobody reads what stands in its place.
    const after = lossless ? joinTokens(Int32Array.of(0), written) : written;
    const moved = advance(example, point, after, draftToken, ...seed, 4 + pass);
    at += length;
    if (moved === null) flight.refinements = 0;
    else flight.point = moved;
  }
}

/** The point's segments behind those that are there; none where it has become right as a whole. */
function addPoint(segments: Segment[], { example, clean, shared, point }: Flight, settings: TrainSettings): void {
  const length = pointLength(example.completionIds, point);
  if (settings.lossless) {
    if (length >= 2) segments.push(draftSegment(example, point, { clean, shared, decay: settings.rowDecay }));
    return;
  }
  if (length < 2 || rightPrefix(point, example.completionIds) >= length - 1) return;
  const divergence = settings.loss === "kl";
  const part = noisySegment(example, point, { clean, shared, divergence, decay: settings.rowDecay });
  if (settings.consistency !== "local" || !("successor" in point)) {
    segments.push(part);
    return;
  }
  // The successor stands before the point, carries no loss of its own, and is what the point learns.
  const successor = noisySegment(example, { start: point.start, guesses: point.successor }, { clean, shared });
  const teacher = { segment: segments.length, from: 0 };
  segments.push({ ...successor, targets: successor.targets.map(() => -1) });
  segments.push({ ...part, teacher: divergence ? teacher : null });
}
