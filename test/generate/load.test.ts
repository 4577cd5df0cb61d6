/** A real checkpoint, small and random, from file to text: what holds over the scripted model holds over the engine. */
import { mkdtempSync, rmSync, truncateSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { load } from "../../src/generate/load.ts";
import {
  type GenerateOptions,
  type Generation,
  type LanguageModel,
  PLAIN_DECODERS,
  type Progress,
} from "../../src/generate/types.ts";
import { PRECISIONS } from "../../src/model/precision.ts";
import { writeTinyCheckpoint } from "./tiny-checkpoint.ts";

const scratch = mkdtempSync(join(tmpdir(), "cllm-load-"));
const cacheDir = join(scratch, "cache");
const tiny = writeTinyCheckpoint(join(scratch, "tiny"));
afterAll(() => rmSync(scratch, { recursive: true, force: true }));

const essence = ({ text, tokens, finishReason }: Generation): object => ({ text, tokens: [...tokens], finishReason });

describe.each(PRECISIONS)("in %s", (precision) => {
  let model: LanguageModel;
  beforeAll(async () => {
    model = await load(tiny, { precision, cacheDir });
  });
  afterAll(() => model.dispose());

  test("every decoder writes what ar writes, greedy and sampled", async () => {
    for (const prompt of ["the and the and the", "Hello, who are you?", "é"]) {
      for (const sampling of [{}, { temperature: 0.8, seed: 1 }, { temperature: 1.2, topK: 20, topP: 0.9, seed: 2 }]) {
        const request: GenerateOptions = { prompt, ...sampling, maxNewTokens: 40, ignoreEos: true };
        const baseline = await model.generate({ ...request, decoder: "ar" });
        for (const decoder of PLAIN_DECODERS) {
          const generation = await model.generate({ ...request, decoder });
          expect({ decoder, ...essence(generation) }).toEqual({ decoder, ...essence(baseline) });
        }
      }
    }
  });

  test("a conversation goes on from the cache with the tokens of a fresh start", async () => {
    const first = [{ role: "user" as const, content: "the first question" }];
    const answer = await model.generate({ messages: first, maxNewTokens: 16, decoder: "jacobi" });
    const next = [
      ...first,
      { role: "assistant" as const, content: answer.text },
      { role: "user" as const, content: "more" },
    ];
    const cached = await model.generate({ messages: next, maxNewTokens: 16 });
    expect(cached.stats.cachedTokens).toBeGreaterThan(0);
    await model.generate({ prompt: "something else entirely", maxNewTokens: 2 });
    const fresh = await model.generate({ messages: next, maxNewTokens: 16 });
    expect(fresh.stats.cachedTokens).toBe(0);
    expect(essence(cached)).toEqual(essence(fresh));
  });

  test("requests beside each other do not meet", async () => {
    const requests = PLAIN_DECODERS.map((decoder, i) => ({
      prompt: `the ${i} and`,
      decoder,
      maxNewTokens: 20,
      ignoreEos: true,
    }));
    const together = await Promise.all(requests.map((request) => model.generate(request)));
    for (const [i, request] of requests.entries()) {
      expect(essence(together[i]!)).toEqual(essence(await model.generate(request)));
    }
  });

  test("what passes cost is known by their size", async () => {
    const costs = await model.passCosts();
    expect([...costs.keys()]).toEqual([1, 2, 3, 4, 5, 6, 7, 8, 10, 12, 16, 24, 32]);
  });
});

test("loading tells how far it is", async () => {
  const seen: Progress[] = [];
  await using model = await load(tiny, {
    cacheDir: join(scratch, "fresh"),
    onProgress: (progress) => seen.push(progress),
  });
  await model.passCosts();
  for (const stage of ["compile", "calibrate"]) expect(seen.map((progress) => progress.stage)).toContain(stage);
  for (const { done, total } of seen) expect(total === 0 || done <= total).toBe(true);
});

describe("loading fails with one clear error", () => {
  test.each<[what: string, path: () => string, options: object, code: string, message: RegExp]>([
    [
      "for an option that does not exist",
      () => tiny,
      { precison: "int8" },
      "usage",
      /no precison; did you mean precision\?/,
    ],
    [
      "for a precision that does not exist",
      () => tiny,
      { precision: "fp8" },
      "usage",
      /one of fp32, f16, int8, int4, stored, not "fp8"/,
    ],
    ["for threads that are none", () => tiny, { threads: 0 }, "usage", /threads must be at least 1/],
    ["for a path that leads nowhere", () => join(scratch, "nothing"), {}, "not-found", /nothing/],
    ["for a hub id offline", () => "nobody/no-such-model", { offline: true }, "offline", /nobody\/no-such-model/],
    ["where it was aborted before", () => tiny, { signal: AbortSignal.abort() }, "aborted", /./],
    [
      "for weights that are cut off",
      () => {
        const folder = writeTinyCheckpoint(join(scratch, "cut"));
        truncateSync(join(folder, "model.safetensors"), 50_000);
        return folder;
      },
      {},
      "bad-file",
      /model\.safetensors/,
    ],
    [
      "for a configuration that is no JSON",
      () => {
        const folder = writeTinyCheckpoint(join(scratch, "no-json"));
        writeFileSync(join(folder, "config.json"), "{");
        return folder;
      },
      {},
      "bad-file",
      /config\.json/,
    ],
  ])("%s", async (_, path, options, code, message) => {
    const error = await load(path(), { cacheDir, ...options }).then(
      () => null,
      (reason: unknown) => reason,
    );
    expect(error).toMatchObject({ name: "CllmError", code });
    expect((error as Error).message).toMatch(message);
  });
});

test("rows of the embedding without a token are never written, and all decoders agree on what is", async () => {
  const padded = writeTinyCheckpoint(join(scratch, "padded"), { padding: 9 });
  await using model = await load(padded, { precision: "int8", cacheDir });
  const { tokenizer } = model;
  expect(tokenizer.silentIds.size).toBe(9);
  for (const sampling of [{}, { temperature: 1, seed: 3 }]) {
    const request: GenerateOptions = { prompt: "the and", ...sampling, maxNewTokens: 32, ignoreEos: true };
    const baseline = await model.generate({ ...request, decoder: "ar" });
    expect([...baseline.tokens].filter((id) => tokenizer.silentIds.has(id))).toEqual([]);
    for (const decoder of PLAIN_DECODERS)
      expect(essence(await model.generate({ ...request, decoder }))).toEqual(essence(baseline));
  }
});
