/** Adapters by name: which folder a name means, and what is said of one that is not there. */
import { mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, expect, test } from "vitest";
import { readAdapter } from "../../src/checkpoint/peft/read-adapter.ts";
import { adapterFolder, adapterHint, PROJECT_ADAPTERS, shippedAdapters } from "../../src/checkpoint/peft/shipped.ts";

const folder = mkdtempSync(join(tmpdir(), "cllm-adapters-"));
afterAll(() => rmSync(folder, { recursive: true }));
for (const name of ["spider", "gsm8k"]) mkdirSync(join(folder, name));

test("a name means the folder that comes with the package, a path itself", () => {
  expect(shippedAdapters(folder)).toEqual(["gsm8k", "spider"]);
  expect(adapterFolder("spider", folder)).toBe(join(folder, "spider"));
  expect(adapterFolder("spidr", folder)).toBe("spidr");
  expect(adapterFolder("./spider", folder)).toBe("./spider");
  expect(adapterFolder(folder, folder)).toBe(folder);
  expect(shippedAdapters(join(folder, "nowhere"))).toEqual([]);
});

test("what is said to be in the repository is there", () => {
  const here = shippedAdapters();
  if (here.length > 0) expect(here).toEqual(PROJECT_ADAPTERS);
});

test("one of the project that this package does not have is told where it is", () => {
  expect(adapterHint("spider")).toMatch(
    /^spider is in cllm's repository .*; give the path of adapters\/spider in a clone/,
  );
  expect(adapterHint("spidr")).toMatch(/^give a directory with adapter_config\.json/);
});

test("a name that nothing has is told of the names that there are", async () => {
  await expect(readAdapter("no-such-adapter")).rejects.toThrow(/no-such-adapter is no adapter.*as PEFT saves them/);
});
