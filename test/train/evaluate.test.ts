/** A model in training, measured: its held-out loss is the trainer's, and an answer may be as long as it is expected to be. */
import { expect, test } from "vitest";
import { adapterOf, withAdapter } from "../../src/checkpoint/peft/adapter.ts";
import { ar } from "../../src/decode/ar.ts";
import type { ModelConfig } from "../../src/model/config.ts";
import { addLowRank, type LoraSettings, mergedTensors } from "../../src/model/lora.ts";
import { memoryWeights } from "../../src/model/memory-weights.ts";
import { createEngine } from "../../src/runtime/engine.ts";
import { evaluate } from "../../src/train/evaluate.ts";
import type { HeldOut } from "../../src/train/held-out.ts";
import { cleanSegment } from "../../src/train/objectives.ts";
import { loraParameters, randomParameters } from "../../src/train/parameters.ts";
import { Trainer } from "../../src/train/trainer.ts";
import { BASE, randomIds } from "../model/random-model.ts";

const config: ModelConfig = { ...BASE, vocabSize: 40, contextLength: 400, eosTokenIds: [] };
const parameters = randomParameters(config, 5);
for (const { data } of parameters.trained) for (let i = 0; i < data.length; i++) data[i]! *= 2; // far from uniform
const how = { blockSize: 8, maxNewTokens: 16, stopIds: new Set<number>(), threads: 1 };

test("the held-out loss is the trainer's mean cross entropy of the answers' tokens", async () => {
  const examples: HeldOut[] = [3, 50].map((length, i) => ({
    promptIds: randomIds(4 + i, config.vocabSize, i),
    completionIds: randomIds(length, config.vocabSize, 7 + i),
  }));
  await using trainer = await Trainer.create(config, parameters, { batch: 1, threads: 1 });
  const entropies: number[] = [];
  for (const example of examples) {
    entropies.push(...(await trainer.gradients([{ segments: [cleanSegment(example)] }])).crossEntropies);
  }
  const mean = entropies.reduce((sum, entropy) => sum + entropy, 0) / entropies.length;
  const { heldOutLoss } = await evaluate(config, parameters.trained, examples, how);
  expect(entropies).toHaveLength(53);
  expect(Math.abs(heldOutLoss! - mean)).toBeLessThan(1e-4 * mean); // float32 sums in another order
});

test("an answer longer than the budget can be right, and one that fills the context too", async () => {
  await using engine = await createEngine(config, memoryWeights(parameters.trained), { precision: "fp32", threads: 1 });
  await using session = engine.session();
  const promptIds = randomIds(5, config.vocabSize, 3);
  const written: number[] = [];
  const room = config.contextLength - promptIds.length;
  for await (const { accepted } of ar(session, promptIds, { maxNewTokens: room, stopIds: how.stopIds }))
    written.push(...accepted);
  const fits = Int32Array.from(written.slice(0, 40));
  const fills = Int32Array.of(...written, 0); // its last token has a place in training, and none in decoding
  for (const completionIds of [fits, fills]) {
    const { accuracy } = await evaluate(config, parameters.trained, [{ promptIds, completionIds }], how);
    expect(accuracy).toBe(1);
  }
});

test("an adapter is measured with the bits that it is loaded with", async () => {
  const lora: LoraSettings = { rank: 3, alpha: 5, targets: ["q_proj", "down_proj"] };
  const base = memoryWeights(parameters.trained);
  const { trained, frozen } = await loraParameters(config, base, lora, 1);
  for (const [i, { data }] of trained.entries()) for (let j = 0; j < data.length; j++) data[j]! += Math.sin(i + 3 * j);
  const { rank, alpha } = lora;
  const adapted = withAdapter(base, await adapterOf({ name: "a", rank, alpha }, trained));
  for (const { name, data } of mergedTensors(frozen, trained, lora)) {
    expect(Buffer.from(data.buffer).equals(Buffer.from((await adapted.read(name)).buffer))).toBe(true);
  }
});

test("low-rank products are sums in double, whichever row they begin with", () => {
  const [rank, inputs, outputs] = [3, 5, 4];
  const numbers = (length: number, by: number) => Float32Array.from({ length }, (_, i) => Math.sin(by * (i + 1)));
  const [a, b, values] = [numbers(rank * inputs, 1), numbers(outputs * rank, 2), numbers(outputs * inputs, 3)];
  const expected = values.map((value, place) => {
    const [row, column] = [Math.floor(place / inputs), place % inputs];
    let sum = 0;
    for (let k = 0; k < rank; k++) sum += b[row * rank + k]! * a[k * inputs + column]!;
    return value + 0.7 * sum;
  });
  for (const from of [0, 2]) {
    const part = values.slice(from * inputs);
    addLowRank(part, { rank, scale: 0.7, a, b, inputs }, from);
    expect(part).toEqual(expected.slice(from * inputs));
  }
});
