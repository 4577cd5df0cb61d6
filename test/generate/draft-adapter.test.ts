/** A draft adapter from its folder to text: every decoder writes what the plain model's `ar` writes, whatever the adapter has learned. */
import { cpSync, mkdtempSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { writeNgrams } from "../../src/checkpoint/ngrams.ts";
import { openCheckpoint } from "../../src/checkpoint/open.ts";
import { type AdapterContent, adapterOf, writeAdapter } from "../../src/checkpoint/peft/adapter.ts";
import { readAdapter } from "../../src/checkpoint/peft/read-adapter.ts";
import { NgramCounts } from "../../src/decode/ngram-counts.ts";
import { countAnswer } from "../../src/decode/suffix-memory.ts";
import { load } from "../../src/generate/load.ts";
import {
  type GenerateOptions,
  type LanguageModel,
  type LoadOptions,
  PLAIN_DECODERS,
} from "../../src/generate/types.ts";
import { LORA_TARGETS, loraTensors } from "../../src/model/lora.ts";
import { PRECISIONS } from "../../src/model/precision.ts";
import { gaussian } from "../model/random-model.ts";
import { writeTinyCheckpoint } from "./tiny-checkpoint.ts";

const scratch = mkdtempSync(join(tmpdir(), "cllm-load-draft-"));
const cacheDir = join(scratch, "cache");
const tiny = writeTinyCheckpoint(join(scratch, "tiny"));
const [drafts, plain, stranger] = ["drafts", "plain", "stranger"].map((name) => join(scratch, name)) as [
  string,
  string,
  string,
];
afterAll(() => rmSync(scratch, { recursive: true, force: true }));

beforeAll(async () => {
  const checkpoint = await openCheckpoint(tiny);
  await checkpoint.close();
  const random = gaussian(3);
  const write = async (folder: string, content: Partial<AdapterContent>, hiddenSize = checkpoint.config.hiddenSize) => {
    const lora = { rank: 3, alpha: 6, targets: LORA_TARGETS };
    const tensors = Array.from(loraTensors({ ...checkpoint.config, hiddenSize }, lora), ([name, shape]) => {
      const count = shape.reduce((product, size) => product * size, 1);
      return { name, shape, data: Float32Array.from({ length: count }, () => random()) };
    });
    await writeAdapter(folder, await adapterOf({ name: "a", rank: 3, alpha: 6, ...content }, tensors));
  };
  await write(drafts, { drafts: true, draftTokenId: 5 });
  await write(plain, {});
  await write(stranger, { drafts: true }, 32);
});

describe.each(PRECISIONS)("in %s", (precision) => {
  let model: LanguageModel;
  let drafting: LanguageModel;
  beforeAll(async () => {
    model = await load(tiny, { precision, cacheDir });
    drafting = await load(tiny, { precision, cacheDir, draftAdapter: drafts });
  });
  afterAll(async () => {
    await model.dispose();
    await drafting.dispose();
  });

  test("the text is the plain model's, greedy and sampled, by every decoder", async () => {
    expect([model.drafter, drafting.drafter]).toEqual([false, true]);
    for (const [i, prompt] of ["the and the and the", "Hello, who are you?"].entries()) {
      for (const sampling of [{}, { temperature: 0.8, seed: i }, { temperature: 1.2, topK: 20, topP: 0.9, seed: 2 }]) {
        const request: GenerateOptions = { prompt, ...sampling, maxNewTokens: 40, ignoreEos: true };
        const { tokens } = await model.generate({ ...request, decoder: "ar" });
        for (const decoder of PLAIN_DECODERS) {
          const generation = await drafting.generate({ ...request, decoder });
          expect({ decoder, tokens: [...generation.tokens] }).toEqual({ decoder, tokens: [...tokens] });
        }
      }
    }
  });

  test("jacobi runs draft rows beside those that verify", async () => {
    const rows: number[] = [];
    for await (const { pass } of drafting.stream({
      prompt: "the",
      maxNewTokens: 30,
      ignoreEos: true,
      decoder: { name: "jacobi", blockSize: 6, draftRows: 9 },
    }))
      if (pass !== undefined && !pass.prefill) rows.push(pass.rows);
    expect(Math.max(...rows)).toBeGreaterThan(9);
    expect(Math.max(...rows)).toBeLessThanOrEqual(15 + 4); // four other candidates
  });
});

test("the costs of passes with draft rows are measured, and there are none without an adapter", async () => {
  await using drafting = await load(tiny, { cacheDir, draftAdapter: drafts });
  const costs = await drafting.passCosts(undefined, { drafting: true });
  expect([...costs.values()].every((ms) => ms > 0)).toBe(true);
  await using model = await load(tiny, { cacheDir });
  await expect(model.passCosts(undefined, { drafting: true })).rejects.toMatchObject({ code: "usage" });
});

test("the model is prepared once, with the adapter and without", () => {
  expect(readdirSync(join(cacheDir, "prepared")).length).toBe(PRECISIONS.length);
});

test("both kinds of adapters are refused in the other's place, with what to do", async () => {
  await expect(load(tiny, { cacheDir, draftAdapter: plain })).rejects.toThrow(
    /to be merged, not a draft adapter.*--adapter/,
  );
  await expect(load(tiny, { cacheDir, adapter: drafts })).rejects.toThrow(/is a draft adapter.*--draft-adapter/);
  await expect(load(tiny, { cacheDir, draftAdapter: stranger })).rejects.toThrow(/another model/);
  await expect(load(tiny, { cacheDir, draftAdapter: join(scratch, "none") })).rejects.toMatchObject({
    code: "not-found",
  });
});

test("n-grams in its folder, or in one of their own, are drafted from; no text depends on them", async () => {
  const request = { prompt: "the and the", maxNewTokens: 40, ignoreEos: true };
  await using model = await load(tiny, { cacheDir });
  const { tokens, stats: alone } = await model.generate({ ...request, decoder: "ar" });
  const counts = new NgramCounts(1e6);
  countAnswer(counts, model.promptIds(request), Int32Array.from(tokens));
  const folder = join(scratch, "ngrams");
  await writeNgrams(folder, counts.table());
  const adapter = await readAdapter(drafts);
  await writeAdapter(join(scratch, "knowing"), { ...adapter, ngrams: { path: folder, table: counts.table() } });
  for (const options of [{ ngrams: folder }, { draftAdapter: join(scratch, "knowing") }]) {
    for (const suffixMemory of [0, 16]) {
      await using knowing = await load(tiny, { cacheDir, ...options, suffixMemory });
      const { stats, ...other } = await knowing.generate({ ...request, decoder: "suffix", cachePrompt: false });
      expect(other.tokens).toEqual(tokens);
      expect(stats.forwards).toBeLessThan(alone.forwards / 2);
      expect((await knowing.generate({ ...request, decoder: "auto" })).tokens).toEqual(tokens);
    }
  }
  const own = join(scratch, "own");
  cpSync(tiny, own, { recursive: true });
  await writeNgrams(own, counts.table());
  const forwards = async (options: LoadOptions): Promise<number> => {
    await using knowing = await load(own, { cacheDir, ...options });
    return (await knowing.generate({ ...request, decoder: "suffix", cachePrompt: false })).stats.forwards;
  };
  expect(await forwards({})).toBeLessThan(alone.forwards / 2);
  expect(await forwards({ adapter: plain })).toBeGreaterThan(alone.forwards / 2); // it is another model
  const foreign = counts.table();
  foreign[2] = 256 * model.config.vocabSize + 1;
  await writeNgrams(join(scratch, "foreign"), foreign);
  await expect(load(tiny, { cacheDir, ngrams: join(scratch, "foreign") })).rejects.toMatchObject({
    code: "bad-weights",
    message: expect.stringContaining(`token id ${model.config.vocabSize}`),
  });
  await expect(load(tiny, { cacheDir, ngrams: drafts })).rejects.toMatchObject({ code: "not-found" });
});

test("with another adapter than it was trained for, a note says that it may guess worse; the text is the same", async () => {
  const notes: string[] = [];
  await using both = await load(tiny, {
    cacheDir,
    adapter: plain,
    draftAdapter: drafts,
    onWarning: (line) => notes.push(line),
  });
  expect(notes.join()).toMatch(/trained for the model without an adapter/);
  await using merged = await load(tiny, { cacheDir, adapter: plain });
  const request = { prompt: "the and the", maxNewTokens: 24, ignoreEos: true };
  const { tokens } = await merged.generate({ ...request, decoder: "ar" });
  expect((await both.generate({ ...request, decoder: "jacobi" })).tokens).toEqual(tokens);
});
