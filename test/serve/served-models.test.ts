/** Names of models and adapters, from what stands on the command line. */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, expect, test } from "vitest";
import { servedModels } from "../../src/serve/served-models.ts";

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
  expect(servedModels([given], [])).toEqual([{ name, model }]);
});

test("an adapter is for the only model, or for the one it names", () => {
  const [, ...one] = servedModels([`a=${SMOL}`], [`b=${here}`, `a:c=${here}`]);
  expect(one).toEqual([
    { name: "a:b", model: SMOL, adapter: here },
    { name: "a:c", model: SMOL, adapter: here },
  ]);
  const [, , adapted] = servedModels([`a=${SMOL}`, "b=o/other"], [`b:c=${here}`]);
  expect(adapted).toEqual({ name: "b:c", model: "o/other", adapter: here });
});

test.each<[models: string[], adapters: string[], message: RegExp]>([
  [["a=o/x"], ["no-such-folder"], /give it a name, as in name=no-such-folder/],
  [["a=o/x"], ["b=no-such-folder"], /no-such-folder does not exist/],
  [["a=o/x", "b=o/y"], [`c=${here}`], /say for which model, as in a:c=/],
  [["a="], [], /give it as name=path/],
  [["no-such.gguf"], [], /no-such\.gguf does not exist; give a GGUF file/],
])("%j with adapters %j is refused", (models, adapters, message) => {
  expect(() => servedModels(models, adapters)).toThrow(message);
});
