/** Names of models and adapters, from what stands on the command line. */
import { tmpdir } from "node:os";
import { expect, test } from "vitest";
import { servedModels } from "../../src/serve/served-models.ts";

const folder = tmpdir(); // that exists

test.each<[given: string, name: string, model: string]>([
  ["model.gguf", "model", "model.gguf"],
  ["some/where/faq-cllm/", "faq-cllm", "some/where/faq-cllm/"],
  ["./best", "best", "./best"],
  ["HuggingFaceTB/SmolLM2-135M-Instruct", "HuggingFaceTB/SmolLM2-135M-Instruct", "HuggingFaceTB/SmolLM2-135M-Instruct"],
  ["hf:owner/name/file.gguf", "owner/name/file.gguf", "hf:owner/name/file.gguf"],
  ["small=owner/name", "small", "owner/name"],
  ["./a=b/model.gguf", "model", "./a=b/model.gguf"],
  ["/x/a=b", "a=b", "/x/a=b"],
  ["a=/x/b=c", "a", "/x/b=c"],
])("%s is called %s", (given, name, model) => {
  expect(servedModels([given], [])).toEqual([{ name, model }]);
});

test("an adapter is for the only model, or for the one it names", () => {
  const one = servedModels(["a=x"], [`b=${folder}`, `a:c=${folder}`]);
  expect(one.slice(1)).toEqual([
    { name: "a:b", model: "x", adapter: folder },
    { name: "a:c", model: "x", adapter: folder },
  ]);
  const [, , adapted] = servedModels(["a=x", "b=y"], [`b:c=${folder}`]);
  expect(adapted).toEqual({ name: "b:c", model: "y", adapter: folder });
});

test.each<[models: string[], adapter: string, message: RegExp]>([
  [["a=x"], "no-such-folder", /give it a name, as in name=no-such-folder/],
  [["a=x"], "b=no-such-folder", /no-such-folder does not exist/],
  [["a=x", "b=y"], `c=${folder}`, /say for which model, as in a:c=/],
  [["a="], `c=${folder}`, /give it as name=path/],
])("%j with %s is refused", (models, adapter, message) => {
  expect(() => servedModels(models, [adapter])).toThrow(message);
});
