/** A draft model from its folder to text: every decoder writes what the model's `ar` writes, whatever the draft model says. */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, test } from "vitest";
import { load } from "../../src/generate/load.ts";
import type { GenerateOptions } from "../../src/generate/types.ts";
import { writeTinyCheckpoint } from "./tiny-checkpoint.ts";

const scratch = mkdtempSync(join(tmpdir(), "cllm-draft-model-"));
const common = { precision: "int8", threads: 1, cacheDir: join(scratch, "cache") } as const;
const tiny = writeTinyCheckpoint(join(scratch, "tiny"));
const other = writeTinyCheckpoint(join(scratch, "other"), { seed: 2 });
const padded = writeTinyCheckpoint(join(scratch, "padded"), { padding: 9, contextLength: 64 });
afterAll(() => rmSync(scratch, { recursive: true, force: true }));

const prompts = ["the and the and the", "Hello, who are you?"];
const ways: readonly GenerateOptions[] = [
  {},
  { temperature: 0.8, seed: 3 },
  { temperature: 1.2, topK: 20, seed: 4, repetitionPenalty: 1.3, logitBias: { 42: 2 } },
  { format: { type: "regex", pattern: "[a-z ]{1,20}" } },
];

describe.each([
  ["the model itself", tiny],
  ["another one", other],
  ["one with more rows and a shorter context", padded],
])("with %s", (_, draftModel) => {
  test("the text is that of ar, however tokens are chosen, also in several slots and after a break", async () => {
    await using plain = await load(tiny, common);
    await using model = await load(tiny, { ...common, draftModel, slots: 2 });
    expect([plain.draftModel, typeof model.draftModel]).toEqual([null, "string"]);
    for (const way of ways) {
      const requests = prompts.flatMap((prompt) => {
        const request = { prompt, maxNewTokens: 40, ignoreEos: way.format === undefined, ...way };
        return (["draft-model", "auto"] as const).map((decoder) => ({ ...request, decoder }));
      });
      for (const { decoder: __, ...request } of requests)
        for await (const chunk of model.stream({ ...request, decoder: "draft-model" }))
          if (chunk.tokens.length > 0) break;
      const answers = await Promise.all(requests.map((request) => model.generate(request)));
      for (const [i, request] of requests.entries())
        expect([...answers[i]!.tokens]).toEqual([...(await plain.generate({ ...request, decoder: "ar" })).tokens]);
    }
  });
});

test("what the same model guesses is right, sampled by the same seed too, and its cache holds what was accepted", async () => {
  await using model = await load(tiny, { ...common, draftModel: tiny });
  for (const sampling of [{}, { temperature: 1, seed: 7 }]) {
    const request = { prompt: prompts[0]!, maxNewTokens: 41, ignoreEos: true, ...sampling };
    const { stats } = await model.generate({ ...request, decoder: { name: "draft-model", blockSize: 8 } });
    expect(stats.tokensPerForward).toBeGreaterThan(6);
  }
});

test("an abort during a draft ends the request, and the next one is answered", async () => {
  await using model = await load(tiny, { ...common, draftModel: other });
  const request = { prompt: prompts[1]!, decoder: "draft-model", maxNewTokens: 60, ignoreEos: true } as const;
  const expected = await model.generate({ ...request, decoder: "ar" });
  const abort = new AbortController();
  const aborted = model.generate({ ...request, signal: abort.signal });
  setImmediate(() => abort.abort("enough"));
  await expect(aborted).rejects.toMatchObject({ code: "aborted" });
  expect((await model.generate(request)).text).toBe(expected.text);
});

test("another vocabulary is refused by the first id that differs, and no name counts", async () => {
  const swapped = writeTinyCheckpoint(join(scratch, "swapped"));
  const file = join(swapped, "tokenizer.json");
  const tokenizer = JSON.parse(readFileSync(file, "utf8")) as { model: { vocab: Record<string, number> } };
  const [[first, low], [second, high]] = Object.entries(tokenizer.model.vocab).slice(20, 22) as [
    [string, number],
    [string, number],
  ];
  Object.assign(tokenizer.model.vocab, { [first]: high, [second]: low });
  writeFileSync(file, JSON.stringify(tokenizer));
  const refused = load(tiny, { ...common, draftModel: swapped });
  await expect(refused).rejects.toMatchObject({
    code: "bad-input",
    message: expect.stringMatching(
      new RegExp(
        `the draft model has another vocabulary: id ${Math.min(low, high)} is ".+" in tiny and ".+" in swapped`,
      ),
    ),
  });
  await expect(load(tiny, { ...common, draftModel: join(scratch, "nowhere") })).rejects.toMatchObject({
    code: "not-found",
  });
});

test("the decoder needs a model that was loaded with one", async () => {
  await using model = await load(tiny, common);
  const request = model.generate({ prompt: "a", decoder: "draft-model" });
  await expect(request).rejects.toMatchObject({ code: "usage", message: expect.stringContaining("--draft-model") });
});
