/**
 * Batches: examples, in the source's order, made into packs until the sequences of a step are full. Consistency training adds
 * noisy points to each example, stored ones or fresh ones that the student itself refines. A batch is a function of the
 * source's place, the seed and the student's weights. Knows no optimizer.
 */
import { hash } from "../hash.ts";
import {
  advance,
  arPack,
  cleanSegment,
  draftFromPrompt,
  type Example,
  type NoisyPoint,
  noisySegment,
  rightPrefix,
} from "./objectives.ts";
import { joinPacks, type Pack, packLength, type Segment, segment } from "./pack.ts";
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

/** A point in flight: which example it belongs to, and how many more passes are to refine it. */
interface Flight {
  readonly example: Example;
  /** The sequence, and the clean segment within its pack. */
  readonly bin: number;
  readonly clean: number;
  point: NoisyPoint | StoredPoint;
  refinements: number;
  readonly seed: readonly number[];
}

/** Make the batch that starts at place `from` of the source. */
export async function makeBatch(
  trainer: Trainer,
  source: ExampleSource,
  from: number,
  settings: TrainSettings,
): Promise<Batch> {
  const { batch, sequenceLength, objective, promptWeight } = settings;
  const bins: Pack[] = Array.from({ length: batch }, () => ({ segments: [] }));
  const used = new Array<number>(batch).fill(0);
  const flights: Flight[] = [];
  let [place, skipped] = [from, 0];
  for (; ; place++) {
    const example = source.example(place);
    const points = objective === "ar" ? [] : drawPoints(example, place, settings);
    const clean =
      objective === "ar" ? arPack(example, promptWeight) : { segments: [cleanSegment(example, promptWeight)] };
    const noisy = points.reduce((sum, { point }) => sum + noisyLength(example, point), 0);
    const size = packLength(clean) + noisy;
    if (size > sequenceLength) {
      if (++skipped > 10_000) throw new RangeError(`10,000 examples in a row are longer than ${sequenceLength} tokens`);
      continue;
    }
    const bin = used.findIndex((tokens) => tokens + size <= sequenceLength);
    if (bin < 0) break;
    const pack = bins[bin] as Pack;
    flights.push(...points.map((point) => ({ ...point, example, bin, clean: pack.segments.length })));
    bins[bin] = joinPacks(pack, clean);
    used[bin] = (used[bin] as number) + size;
  }
  for (let pass = 0; ; pass++) {
    const moving = flights.filter(({ refinements }) => refinements > pass);
    if (moving.length === 0) break;
    await refine(trainer, bins, moving, pass);
  }
  const packs = bins.map((pack, bin) => ({
    segments: flights
      .filter((flight) => flight.bin === bin)
      .reduce<Segment[]>((segments, flight) => addPoint(segments, flight, settings), [...pack.segments]),
  }));
  return { packs, next: place, skipped };
}

const noisyLength = ({ completionIds }: Example, point: NoisyPoint | StoredPoint): number => {
  const length = Math.max(0, Math.min(point.guesses.length + 1, completionIds.length - 1 - point.start));
  return "successor" in point ? 2 * length : length;
};

/** The points that an example is learned with at a place of the source. */
function drawPoints(
  example: Example,
  place: number,
  settings: TrainSettings,
): Pick<Flight, "point" | "refinements" | "seed">[] {
  const { pointsPerExample, refinements, blockSize, points, seed } = settings;
  if (points === "stored") {
    return storedPoints(example, place, settings).map((point) => ({ point, refinements: 0, seed: [] }));
  }
  const starts = example.completionIds.length - 2; // a block needs a guess and what follows it
  if (starts < 1) return [];
  return Array.from({ length: pointsPerExample }, (_, i) => {
    const own = [seed, place, i];
    const start = hash(...own, 1) % starts;
    return {
      point: { start, guesses: draftFromPrompt(example, blockSize - 1, ...own, 2) },
      refinements: hash(...own, 3) % (refinements + 1),
      seed: own,
    };
  });
}

/** Move points on by one pass of the student over all of them, beside the clean text that they follow. */
async function refine(
  trainer: Trainer,
  bins: readonly Pack[],
  flights: readonly Flight[],
  pass: number,
): Promise<void> {
  const packs = bins.map((pack) => ({
    segments: pack.segments.map((part) => segment(part.tokens, { parent: part.parent, after: part.after })),
  }));
  for (const { bin, clean, example, point } of flights) {
    const part = noisySegment(example, point, { clean });
    (packs[bin] as { segments: Segment[] }).segments.push({ ...part, targets: part.targets.map(() => 0) }); // all rows
  }
  const layout = trainer.layOut(packs);
  const next = await trainer.predict(layout);
  // Rows come pack by pack, and within one in the order in which its points were added.
  let at = 0;
  for (const bin of bins.keys()) {
    for (const flight of flights.filter((one) => one.bin === bin)) {
      const { example, point, seed } = flight;
      const length = Math.min(point.guesses.length + 1, example.completionIds.length - 1 - point.start);
      const moved = advance(example, point, next.subarray(at, at + length), ...seed, 4 + pass);
      at += length;
      if (moved === null) flight.refinements = 0;
      else flight.point = moved;
    }
  }
}

/** The point's segments behind those that are there; none where it has become right as a whole. */
function addPoint(
  segments: Segment[],
  { example, clean, point }: Flight,
  { loss, consistency }: TrainSettings,
): Segment[] {
  const length = Math.min(point.guesses.length + 1, example.completionIds.length - 1 - point.start);
  if (length < 2 || rightPrefix(point, example.completionIds) >= length - 1) return segments;
  const divergence = loss === "kl";
  const part = noisySegment(example, point, { clean, divergence });
  if (consistency !== "local" || !("successor" in point)) return [...segments, part];
  // The successor stands before the point, carries no loss of its own, and is what the point learns.
  const successor = noisySegment(example, { start: point.start, guesses: point.successor }, { clean });
  const teacher = { segment: segments.length, from: 0 };
  const silent = { ...successor, targets: successor.targets.map(() => -1) };
  return [...segments, silent, { ...part, teacher: divergence ? teacher : null }];
}
