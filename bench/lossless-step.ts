/**
 * What a step of lossless training takes beside one of lossy training of the same examples, points and refinements: batches, gradients
 * and optimizer, in turn. Examples are as long as those of the recipe `spider-draft`: eight questions behind one schema.
 */
import { openCheckpoint } from "../src/checkpoint/open.ts";
import { CllmError } from "../src/error.ts";
import { hash } from "../src/hash.ts";
import { defaultThreads } from "../src/runtime/host.ts";
import { makeBatch } from "../src/train/batch.ts";
import type { Example } from "../src/train/objectives.ts";
import { packLength, totalWeights } from "../src/train/pack.ts";
import { loraParameters } from "../src/train/parameters.ts";
import { type TrainSettings, trainSettings } from "../src/train/settings.ts";
import type { ExampleSource } from "../src/train/source.ts";
import { Trainer } from "../src/train/trainer.ts";
import { flags, median, modelPath, report } from "./conditions.ts";

const given = flags({
  ...{ steps: 4, schema: 180, question: 30, answer: 28, together: 8, rank: 16, points: 8, "block-size": 10 },
  ...{ refinements: 2, "sequence-length": 640, threads: defaultThreads(), seed: 0 },
});
const checkpoint = await openCheckpoint(modelPath(), {});
const { config, weights } = checkpoint;

const tokens = (count: number, ...seed: number[]): number[] =>
  Array.from({ length: count }, (_, i) => hash(given.seed, ...seed, i) % config.vocabSize);
const source: ExampleSource = {
  size: null,
  example(index): Example {
    const group = Math.floor(index / given.together);
    return {
      promptIds: Int32Array.from([...tokens(given.schema, 1, group), ...tokens(given.question, 2, index)]),
      completionIds: Int32Array.from(tokens(given.answer, 3, index)),
    };
  },
};

interface Way {
  readonly name: string;
  readonly settings: TrainSettings;
  readonly trainer: Trainer;
  readonly ms: number[];
  tokens: number;
  place: number;
}

async function wayOf(name: string, lossless: boolean): Promise<Way> {
  const settings = trainSettings({
    ...{ objective: "consistency", lossless, loraRank: given.rank, pointsPerExample: given.points, leadingPoints: 1 },
    ...{
      blockSize: given["block-size"],
      refinements: given.refinements,
      draftToken: 16,
      rowDecay: 0.85,
      seed: given.seed,
    },
    sequenceLength: given["sequence-length"],
  });
  const { lora } = settings;
  if (lora === null) throw new CllmError("usage", "a rank of 1 or more is needed");
  const parameters = await loraParameters(config, weights, lora, given.seed);
  const trainer = await Trainer.create(config, parameters, { ...settings, drafts: lossless, threads: given.threads });
  return { name, settings, trainer, ms: [], tokens: 0, place: 0 };
}

async function step(way: Way, number: number): Promise<void> {
  const { trainer, settings } = way;
  const start = performance.now();
  const batch = await makeBatch(trainer, source, way.place, settings);
  const totals = totalWeights(batch.packs);
  const factors = { ar: totals.ar > 0 ? 1 / totals.ar : 0, consistency: 1 / totals.consistency };
  const gradients = await trainer.gradients(batch.packs, factors);
  await trainer.step(gradients, { step: number, learningRate: 1e-5, weightDecay: 0, clipNorm: 1 });
  way.ms.push(performance.now() - start);
  way.tokens += batch.packs.reduce((sum, pack) => sum + packLength(pack), 0);
  way.place = batch.next;
}

const ways = [await wayOf("lossy", false), await wayOf("lossless", true)];
for (let i = 0; i <= given.steps; i++) {
  for (const way of ways) await step(way, i + 1);
  if (i > 0) continue;
  for (const way of ways) Object.assign(way, { ms: [], tokens: 0 }); // the first step compiles and warms up
}
const figures = ways.map(({ name, ms, tokens, place, trainer }) => {
  const total = ms.reduce((sum, each) => sum + each, 0);
  void trainer.dispose();
  return {
    name,
    ms: median(ms),
    totalMs: total,
    tokens,
    examples: place,
    msPerThousandTokens: (1000 * total) / tokens,
  };
});
for (const { name, ms, tokens, msPerThousandTokens } of figures)
  console.log(
    `${name.padEnd(9)} ${ms.toFixed(0)} ms a step, ${tokens} tokens, ${msPerThousandTokens.toFixed(0)} ms for 1,000`,
  );
const [lossy, lossless] = figures as [(typeof figures)[0], (typeof figures)[0]];
const faster = lossy.msPerThousandTokens / lossless.msPerThousandTokens;
console.log(`a step of lossless training is ${faster.toFixed(2)} times as fast, for the same tokens`);
await checkpoint.close();
report("lossless-step", given, { faster, ways: figures });
