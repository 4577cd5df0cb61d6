/** The examples do what they say. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, expect, test } from "vitest";
import { main as library } from "../../examples/library.ts";
import { main as ownModel } from "../../examples/own-model.ts";
import { writeTinyCheckpoint } from "./tiny-checkpoint.ts";

const scratch = mkdtempSync(join(tmpdir(), "cllm-example-"));
process.env["CLLM_CACHE"] = join(scratch, "cache"); // the example takes the default, which is the user's
afterAll(() => rmSync(scratch, { recursive: true, force: true }));

test("the library's example runs on a checkpoint", async () => {
  let printed = "";
  await library(writeTinyCheckpoint(join(scratch, "tiny"), { contextLength: 512 }), (text) => {
    printed += text;
  });
  expect(printed).toMatch(/\(([1-9]\d*) of \d+ prompt tokens were cached\)/);
  expect(printed).toMatch(/tokens per pass, the same text/);
  expect(printed).toMatch(/too many; shorten the prompt or lower maxNewTokens/);
});

test("the example with a model of one's own decodes the same in fewer passes", async () => {
  const { same, arPasses, jacobiPasses } = await ownModel();
  expect(same).toBe(true);
  expect(jacobiPasses).toBeLessThan(arPasses);
});
