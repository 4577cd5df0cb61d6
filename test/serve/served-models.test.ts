/** Names of models and adapters, from what stands on the command line. */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { basename, join } from "node:path";
import { afterAll, expect, test } from "vitest";
import { readOwnFacts } from "../../src/checkpoint/own-facts.ts";
import { diskFolder } from "../../src/files/disk-folder.ts";
import { modelEntries, servedModels } from "../../src/serve/served-models.ts";

const here = mkdtempSync(join(tmpdir(), "cllm-names-"));
mkdirSync(join(here, "a=b", "best"), { recursive: true });
writeFileSync(join(here, "model.gguf"), "");
afterAll(() => rmSync(here, { recursive: true }));

const SMOL = "HuggingFaceTB/SmolLM2-135M-Instruct";
test.each<[given: string, name: string, model: string]>([
  [`${here}/model.gguf`, "model", `${here}/model.gguf`],
  [`${here}/a=b/best/`, "best", `${here}/a=b/best/`],
  [`${here}/a=b`, "a=b", `${here}/a=b`],
  [`a=${here}/a=b`, "a", `${here}/a=b`],
  [SMOL, SMOL, SMOL],
  [`small=${SMOL}`, "small", SMOL],
  ["hf:owner/name/file.gguf", "owner/name/file.gguf", "hf:owner/name/file.gguf"],
])("%s is called %s", (given, name, model) => {
  expect(servedModels([given])).toEqual([{ name, model }]);
});

test("an adapter is for the only model, or for the one it names", () => {
  const [, ...one] = servedModels([`a=${SMOL}`], { adapters: [`b=${here}`, `a:c=${here}`] });
  expect(one).toEqual([
    { name: "a:b", model: SMOL, adapter: here },
    { name: "a:c", model: SMOL, adapter: here },
  ]);
  const [, , adapted] = servedModels([`a=${SMOL}`, "b=o/other"], { adapters: [`b:c=${here}`] });
  expect(adapted).toEqual({ name: "b:c", model: "o/other", adapter: here });
});

test("a draft adapter belongs to the model that it names, or to the only one, and adds none", () => {
  const models = [`a=${SMOL}`, "b=o/other"];
  expect(servedModels([`a=${SMOL}`], { draftAdapters: [here] })).toEqual([
    { name: "a", model: SMOL, draftAdapter: here },
  ]);
  expect(servedModels(models, { adapters: [`a:c=${here}`], draftAdapters: [`c=${here}`, `b=${here}`] })).toEqual([
    { name: "a", model: SMOL },
    { name: "b", model: "o/other", draftAdapter: here },
    { name: "a:c", model: SMOL, adapter: here, draftAdapter: here },
  ]);
  expect(() => servedModels(models, { draftAdapters: [here] })).toThrow(
    /say for which model, as in a=.*there are a, b/,
  );
  expect(() => servedModels(models, { draftAdapters: [`d=${here}`] })).toThrow(/say for which model/);
  expect(() => servedModels(models, { draftAdapters: [`a=${here}`, `a=${here}`] })).toThrow(/a has one already/);
  expect(() => servedModels(models, { draftAdapters: ["a=no-such-folder"] })).toThrow(/no-such-folder does not exist/);
});

test("a draft model too, by its path or hub id", () => {
  const models = [`a=${SMOL}`, "b=o/other"];
  expect(servedModels(models, { draftAdapters: [`b=${here}`], draftModels: [`b=${here}`, "a=o/small"] })).toEqual([
    { name: "a", model: SMOL, draftModel: "o/small" },
    { name: "b", model: "o/other", draftAdapter: here, draftModel: here },
  ]);
  expect(() => servedModels(models, { draftModels: ["o/small"] })).toThrow(
    /--draft-model o\/small: say for which model/,
  );
  expect(() => servedModels(models, { draftModels: ["a=no-such.gguf"] })).toThrow(
    /--draft-model .*no-such\.gguf does not exist/,
  );
});

test("n-grams too, by their folder or the name of an adapter of the project", async () => {
  const models = [`a=${SMOL}`, "b=o/other"];
  const served = servedModels(models, { ngrams: [`b=${here}`, "a=gsm8k-draft"] });
  expect(served).toEqual([
    { name: "a", model: SMOL, ngrams: "gsm8k-draft" },
    { name: "b", model: "o/other", ngrams: here },
  ]);
  expect((await modelEntries(served, {})).map(({ ngrams }) => ngrams)).toEqual(["gsm8k-draft", basename(here)]);
  expect(() => servedModels(models, { ngrams: [here] })).toThrow(/--ngrams .*: say for which model/);
  expect(() => servedModels(models, { ngrams: ["a=no-such-folder"] })).toThrow(/no-such-folder does not exist/);
});

test.each<[models: string[], adapters: string[], message: RegExp]>([
  [["a=o/x"], ["no-such-folder"], /give it a name, as in name=no-such-folder/],
  [["a=o/x"], ["b=no-such-folder"], /no-such-folder does not exist/],
  [["a=o/x", "b=o/y"], [`c=${here}`], /say for which model, as in a:c=/],
  [["a="], [], /give it as name=path/],
  [["no-such.gguf"], [], /no-such\.gguf does not exist; give a GGUF file/],
])("%j with adapters %j is refused", (models, adapters, message) => {
  expect(() => servedModels(models, { adapters })).toThrow(message);
});

test("what a model is for stands in its folder, whatever it is called; adapters are for the same", async () => {
  const folder = join(here, "for-something");
  mkdirSync(folder);
  writeFileSync(join(folder, "cllm.json"), '{"demonstration": "text-to-sql"}');
  const served = servedModels([`a=${folder}`, `text-to-sql=${here}/a=b`, "o/x", `${here}/model.gguf`], {
    adapters: [`a:b=${here}`],
  });
  const entries = await modelEntries(served, {});
  expect(entries.map(({ name, demonstration }) => [name, demonstration])).toEqual([
    ["a", "text-to-sql"],
    ["text-to-sql", null],
    ["o/x", null],
    ["model", null],
    ["a:b", "text-to-sql"],
  ]);
  for (const text of ["{", "[]", '{"demonstration": "other"}', '{"demonstrates": 1}']) {
    writeFileSync(join(folder, "cllm.json"), text);
    await expect(modelEntries(served, {})).rejects.toMatchObject({ code: "bad-file", message: /cllm\.json/ });
  }
});

test("the model that ships is the demonstration", async () => {
  const shipped = new URL("../../models/text-to-sql", import.meta.url).pathname;
  expect(await readOwnFacts(diskFolder(shipped))).toEqual({ demonstration: "text-to-sql" });
});
