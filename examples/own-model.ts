/**
 * Decoders without a checkpoint: any model that can say what follows each of some tokens is a `Session`. Here it is the
 * scripted model that the tests use; a remote model or another engine would do as well. A program of your own imports from
 * "cllm/decode".
 */
import { ar, consistentModel, jacobi, sampled, scriptedSession } from "../src/decode/index.ts";

/** Decodes 32 tokens twice, one by one and in blocks; returns them and how many passes each took. */
export async function main(): Promise<{ same: boolean; arPasses: number; jacobiPasses: number }> {
  const model = consistentModel(1000, 0.8);
  const prompt = Int32Array.of(3, 1, 4, 1, 5);
  const limits = { maxNewTokens: 32, stopIds: new Set([0]) };

  await using one = scriptedSession(model);
  const plain: number[] = [];
  let arPasses = 0;
  for await (const { accepted, prefill } of ar(sampled(one, { temperature: 0.5, seed: 1 }), prompt, limits)) {
    plain.push(...accepted);
    if (!prefill) arPasses++;
  }

  await using other = scriptedSession(model);
  const blocks: number[] = [];
  let jacobiPasses = 0;
  for await (const { accepted, prefill } of jacobi(sampled(other, { temperature: 0.5, seed: 1 }), prompt, {
    ...limits,
    blockSize: 8,
  })) {
    blocks.push(...accepted);
    if (!prefill) jacobiPasses++;
  }
  return { same: plain.join() === blocks.join(), arPasses, jacobiPasses };
}
