/**
 * Whether every decoder writes what autoregressive decoding writes on the same device: prompts of three data sets, or the held-out
 * questions of the model that ships, each precision, greedy and sampled. Prints each difference as it is found. Long: `--limit`,
 * `--seeds` and `--max-new-tokens` cut it down, and `--from` goes on where an earlier part ended.
 */
import { join } from "node:path";
import { SHIPPED_MODEL } from "../src/cli/model.ts";
import { CllmError } from "../src/error.ts";
import { type Device, load, PLAIN_DECODERS, type Precision } from "../src/index.ts";
import { readHeldOut } from "../src/tasks/text-to-sql/held-out.ts";
import { flags, mixedPrompts, modelPath, report } from "./conditions.ts";

const settings = flags({
  prompts: "mixed",
  device: "cpu",
  precisions: "int8,fp32,int4",
  from: 0,
  limit: 200,
  "max-new-tokens": 64,
  temperature: 0.8,
  seeds: 5,
  "sampled-limit": 200,
  "block-size": 16,
  threads: 2,
});
const others = PLAIN_DECODERS.filter((name) => name !== "ar");
const runs = [
  { name: "greedy", temperature: 0, seed: 0, limit: settings.limit },
  ...Array.from({ length: settings.seeds }, (_, seed) => ({
    name: `temperature ${settings.temperature}, seed ${seed}`,
    temperature: settings.temperature,
    seed,
    limit: settings["sampled-limit"],
  })),
];

const heldOut = settings.prompts === "held-out";
if (!heldOut && settings.prompts !== "mixed")
  throw new CllmError("usage", `--prompts ${settings.prompts} is neither mixed nor held-out`);
const path = heldOut ? SHIPPED_MODEL : modelPath();
const questions = heldOut ? await readHeldOut(join(path, "held-out.jsonl")) : [];
/** The first prompts of the source. */
const firstPrompts = (count: number) =>
  heldOut ? questions.slice(0, count).map(({ prompt }) => ({ prompt })) : mixedPrompts(count);

const figures: { precision: string; run: string; prompts: number; tokens: number; differing: number }[] = [];
for (const precision of settings.precisions.split(",") as Precision[]) {
  await using model = await load(path, { precision, device: settings.device as Device, threads: settings.threads });
  const totals = runs.map((run) => ({ ...run, prompts: 0, tokens: 0, differing: 0 }));
  // Prompt by prompt, so that its KV cache serves all runs.
  const prompts = firstPrompts(Math.max(...runs.map(({ limit }) => limit)));
  for (const [index, input] of prompts.entries()) {
    if (index < settings.from) continue;
    for (const total of totals.filter(({ limit }) => index < limit)) {
      const shared = {
        ...input,
        temperature: total.temperature,
        seed: total.seed,
        maxNewTokens: settings["max-new-tokens"],
        blockSize: settings["block-size"],
      };
      const expected = (await model.generate({ ...shared, decoder: "ar" })).tokens;
      const wrong: string[] = [];
      for (const decoder of others) {
        const { tokens: got } = await model.generate({ ...shared, decoder, memoryScope: decoder }); // drafts from its own answers
        if (got.join() !== expected.join()) wrong.push(decoder);
      }
      total.prompts++;
      total.tokens += expected.length;
      if (wrong.length === 0) continue;
      total.differing++;
      console.log(`prompt ${index}, ${precision}, ${total.name}: ${wrong.join(", ")} differ`);
    }
    if (process.stderr.isTTY) process.stderr.write(`\r${precision}: ${index + 1}/${prompts.length} `);
  }
  for (const { name, prompts: asked, tokens, differing } of totals.filter(({ prompts }) => prompts > 0)) {
    console.log(
      `${precision}, ${name}: ${differing} of ${asked} prompts differ in any decoder (${tokens} tokens each)`,
    );
    figures.push({ precision, run: name, prompts: asked, tokens, differing });
  }
}
report("exactness", settings, { decoders: others, runs: figures }, path);
process.exitCode = figures.some(({ differing }) => differing > 0) ? 1 : 0;
