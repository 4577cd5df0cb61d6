/** The adapters that ship: each is small, says on its card what it is for and what it saw, and drafts what it was taught. */
import { readdirSync, readFileSync, statSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { expect, test } from "vitest";
import { readAdapter } from "../../src/checkpoint/peft/read-adapter.ts";
import { PROJECT_ADAPTERS, shippedAdapters } from "../../src/checkpoint/peft/shipped.ts";
import { servedModels } from "../../src/serve/served-models.ts";

const folder = fileURLToPath(new URL("../../adapters", import.meta.url));
const MOST_BYTES = 20e6;
/** Base, layers and draft token: nearly all are for one model. */
const SMOLLM2 = { base: "HuggingFaceTB/SmolLM2-135M-Instruct", layers: 30, gap: 16, says: "Q4_1" };
const TEXT_TO_SQL = { base: "text-to-sql's target", layers: 5, gap: 0, says: "models/text-to-sql-target" };

test("have names that the package knows", () => {
  expect(PROJECT_ADAPTERS).toEqual(expect.arrayContaining(shippedAdapters()));
});

test.each(shippedAdapters())("%s", async (name) => {
  const at = join(folder, name);
  const bytes = readdirSync(at).reduce((sum, file) => sum + statSync(join(at, file)).size, 0);
  expect(bytes).toBeLessThanOrEqual(MOST_BYTES);

  const { baseModel, modules, draftTokenId, drafts } = await readAdapter(name); // by its name
  const known = name.startsWith("text-to-sql") ? TEXT_TO_SQL : SMOLLM2;
  expect(baseModel).toBe(known.base);
  expect(modules.size).toBe(7 * known.layers);
  if (!name.endsWith("-target")) expect(draftTokenId).toBe(known.gap);
  expect(drafts === true).toBe(name.endsWith("-draft"));

  const card = readFileSync(join(at, "README.md"), "utf8");
  for (const said of [`base_model: ${known.base}`, known.says, "training split"]) {
    expect(card).toContain(said);
  }
  if (drafts === true) expect(card).toContain("**Do not merge it.**");
});

test("is served under its own name", () => {
  const [first] = shippedAdapters();
  if (first === undefined) return;
  const served = servedModels(["base=owner/model"], { adapters: [first] });
  expect(served.at(-1)).toEqual({ name: `base:${first}`, model: "owner/model", adapter: first });
});
