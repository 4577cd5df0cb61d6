/**
 * Whether every decoder in Chromium writes what `ar` writes there, greedy and sampled, in each precision; and in fp32 what Node
 * writes. Prints each difference as it is found; the exit code is 1 if there is one. `--gpu` is `none`, `swiftshader` or `real`.
 */
import { existsSync, readFileSync } from "node:fs";
import { basename, dirname, join, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { load, PLAIN_DECODERS, type PromptInput } from "../src/index.ts";
import { root } from "../test/web/bundler.ts";
import { flags, mixedPrompts, report } from "./conditions.ts";
import { openPage } from "./page.ts";

const shipped = fileURLToPath(new URL("models/text-to-sql", root));
const settings = flags({
  model: shipped,
  gpu: "none",
  precisions: "fp32,int8,int4",
  from: 0,
  limit: 200,
  "max-new-tokens": 64,
  temperature: 0.8,
  seeds: 1,
  threads: 2,
});
const device = settings.gpu === "none" ? "cpu" : "webgpu";
const path = resolve(settings.model);
const isFile = path.endsWith(".gguf");
const directory = isFile ? dirname(path) : path;
const address = isFile ? `/model/${basename(path)}` : "/model";
const heldOut = join(directory, "held-out.jsonl");
const last = settings.from + settings.limit;
const all: PromptInput[] = existsSync(heldOut)
  ? readFileSync(heldOut, "utf8")
      .trim()
      .split("\n")
      .map((line) => ({ prompt: (JSON.parse(line) as { prompt: string }).prompt }))
  : mixedPrompts(last);
const prompts = all.slice(settings.from, last);
const runs = [
  { temperature: 0, seed: 0 },
  ...Array.from({ length: settings.seeds }, (_, seed) => ({ temperature: settings.temperature, seed })),
];

await using opened = await openPage({ folders: new Map([["/model/", `${directory}/`]]), gpu: settings.gpu });
const differing: string[] = [];
const figures: object[] = [];
for (const precision of settings.precisions.split(",")) {
  const options = { precision, device, ...(device === "cpu" && { threads: settings.threads }) };
  await opened.page.evaluate(
    async ({ address, options }) => {
      globalThis.cllm.model = await globalThis.cllm.load(address, options);
    },
    { address, options },
  );
  const node = precision === "fp32" ? await load(path, { precision: "fp32", threads: settings.threads }) : null;
  const before = differing.length;
  let tokens = 0;
  for (const [index, input] of prompts.entries()) {
    for (const run of runs) {
      const request = { ...input, ...run, maxNewTokens: settings["max-new-tokens"] };
      const found = await opened.page.evaluate(
        async ({ request, decoders }) => {
          const texts: string[] = [];
          for (const decoder of decoders)
            texts.push((await globalThis.cllm.model.generate({ ...request, decoder })).tokens.join());
          return texts;
        },
        { request, decoders: PLAIN_DECODERS },
      );
      const expected = found[PLAIN_DECODERS.indexOf("ar")]!;
      tokens += expected.split(",").length;
      const wrong: string[] = PLAIN_DECODERS.filter((_, i) => found[i] !== expected);
      if (node !== null) {
        const there = await node.generate({ ...request, decoder: "ar" });
        if (there.tokens.join() !== expected) wrong.push("Node");
      }
      if (wrong.length === 0) continue;
      const what = `prompt ${settings.from + index}, ${precision}, temperature ${run.temperature}, seed ${run.seed}: ${wrong.join(", ")} differ`;
      differing.push(what);
      console.log(what);
    }
    if (process.stderr.isTTY) process.stderr.write(`\r${precision}: ${index + 1}/${prompts.length} `);
  }
  await node?.dispose();
  await opened.page.evaluate(() => globalThis.cllm.model.dispose());
  const count = differing.length - before;
  figures.push({ precision, prompts: prompts.length, runs: runs.length, tokens, differing: count });
  console.log(
    `${device} in Chromium, ${precision}: ${count} of ${prompts.length * runs.length} texts differ (${tokens} tokens, ${PLAIN_DECODERS.length} decoders${node === null ? "" : ", and Node"})`,
  );
}
process.exitCode = differing.length > 0 ? 1 : 0;
report(
  "browser-exactness",
  { ...settings, device },
  { model: basename(settings.model), chromium: opened.browserVersion, figures },
);
