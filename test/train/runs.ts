/** What tests of every objective do with a run: interrupt it, and take the model's own answers to learn from. */
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect } from "vitest";
import { jacobi } from "../../src/decode/jacobi.ts";
import type { ModelConfig } from "../../src/model/config.ts";
import type { Weights } from "../../src/model/weights.ts";
import { createEngine } from "../../src/runtime/engine.ts";
import type { Example } from "../../src/train/objectives.ts";
import type { TrainSettings } from "../../src/train/settings.ts";
import { shuffled } from "../../src/train/source.ts";
import { type StepRecord, train } from "../../src/train/train.ts";
import type { Trainer } from "../../src/train/trainer.ts";

/** Expects that a run of at least six steps that was interrupted after the fifth ends with the weights of one that was not. */
export async function expectSameAfterInterruption(
  make: () => Promise<Trainer>,
  examples: readonly Example[],
  settings: TrainSettings,
  look: (record: StepRecord, trainer: Trainer) => void = () => {},
): Promise<void> {
  const folder = await mkdtemp(join(tmpdir(), "cllm-resume-"));
  const run = async (at: string, stopAfter = Number.POSITIVE_INFINITY): Promise<Trainer> => {
    const trainer = await make();
    const controller = new AbortController();
    try {
      const options = { folder: join(folder, at), signal: controller.signal };
      for await (const record of train(trainer, shuffled(examples, 5), settings, options)) {
        if (record.type !== "step") continue;
        look(record, trainer);
        if (record.step === stopAfter) controller.abort();
      }
    } catch (error) {
      expect(error).toMatchObject({ code: "aborted" });
    }
    return trainer;
  };
  try {
    await using whole = await run("whole");
    await (await run("parts", 5)).dispose();
    await using parts = await run("parts");
    for (const [i, { data }] of whole.parameters.trained.entries())
      expect(parts.parameters.trained[i]!.data).toEqual(data);
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

/** The examples' prompts with the 20 tokens that the model itself writes to each. */
export async function ownAnswers(
  config: ModelConfig,
  weights: Weights,
  examples: readonly Example[],
): Promise<readonly Example[]> {
  await using plain = await createEngine(config, weights, { precision: "fp32", threads: 1 });
  await using session = plain.session();
  const own: Example[] = [];
  for (const { promptIds } of examples) {
    const tokens: number[] = [];
    session.truncate(0);
    for await (const { accepted } of jacobi(session, promptIds, { maxNewTokens: 20 })) tokens.push(...accepted);
    own.push({ promptIds, completionIds: Int32Array.from(tokens) });
  }
  return own;
}
