/**
 * The library in Chromium, on the model that ships: tokens/s of its decoders and of transformers.js in one page, in turn, on as many
 * threads; the time from opening a page to its first answer, on a second visit; and the bytes of our JavaScript. transformers.js is
 * taken from `--peers`, a folder of modules, and left out where it is not there.
 */
import { execFileSync } from "node:child_process";
import { existsSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { loadavg, tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { rolldown } from "rolldown";
import { quantile } from "../src/eval/statistics.ts";
import { bundler, root } from "../test/web/bundler.ts";
import { flags, report } from "./conditions.ts";
import { openPage, pageOf } from "./page.ts";

const settings = flags({
  precision: "fp32",
  threads: 2,
  prompts: 40,
  rounds: 3,
  "max-new-tokens": 96,
  visits: 7,
  peers: fileURLToPath(new URL("bench/peers/node_modules", root)),
});
/** Between two turns, so that the threads of the one before have stopped spinning. */
const PAUSE_MS = 30;
const DECODERS = ["ar", "jacobi", "auto"];

const model = fileURLToPath(new URL("models/text-to-sql/", root));
const prompts = readFileSync(join(model, "held-out.jsonl"), "utf8")
  .split("\n")
  .slice(0, settings.prompts)
  .map((line) => (JSON.parse(line) as { prompt: string }).prompt);

const scratch = mkdtempSync(join(tmpdir(), "cllm-browser-"));
const folders = new Map([["/model/", model]]);
const files = new Map<string, string>();

/** transformers.js as one file, and the model as it reads it. */
async function addPeer(): Promise<boolean> {
  const packed = join(resolve(settings.peers), "@huggingface/transformers");
  if (!existsSync(packed)) {
    console.error(`transformers.js is left out: it is not in ${settings.peers}; npm ci in bench/peers installs it`);
    return false;
  }
  const conditionNames = ["onnxruntime-web-use-extern-wasm", "import", "browser", "default"];
  const input = join(packed, "dist/transformers.web.js");
  const build = await rolldown({ input, platform: "browser", resolve: { conditionNames }, logLevel: "silent" });
  const { output } = await build.generate({ format: "esm", minify: true, codeSplitting: false });
  await build.close();
  files.set("/peer.js", output[0].code);
  folders.set("/peer-engine/", `${join(resolve(settings.peers), "onnxruntime-web/dist")}/`);
  const to = join(scratch, "onnx");
  const cli = fileURLToPath(new URL("dist/cli/main.js", root));
  execFileSync(process.execPath, [cli, "export", "--model", model, "--to", to, "--format", "onnx", "--dtype", "f32"]);
  folders.set("/peers/text-to-sql/onnx/", `${to}/`);
  folders.set("/peers/text-to-sql/", `${to}/`);
  return true;
}

const withPeer = settings.precision === "fp32" && (await addPeer());
files.set(
  "/visit.html",
  pageOf(`<script type=module>
    import { loadInWorker } from "./app/worker.js";
    const model = await loadInWorker("/model", { engineFiles: "/engine/", threads: ${settings.threads} });
    const loaded = performance.now();
    const answer = await model.generate({ prompt: ${JSON.stringify(prompts[0])} });
    globalThis.visited = { loaded, answered: performance.now(), text: answer.text };
  </script>`),
);

interface Turn {
  readonly contender: string;
  readonly prompt: number;
  readonly tokens: number;
  readonly ms: number;
  readonly forwards: number;
}

await using opened = await openPage({ folders, files });
const { page } = opened;
if (withPeer) {
  const content = 'import * as peer from "/peer.js"; globalThis.peer = peer;';
  await page.addScriptTag({ type: "module", content });
  await page.waitForFunction(() => globalThis.peer !== undefined);
}

/** All contenders in one page, prompt by prompt. The first round warms up and does not count. */
const race = await page.evaluate(
  async ({ prompts, rounds, decoders, precision, threads, maxNewTokens, withPeer, pauseMs }) => {
    const { load } = globalThis.cllm;
    const model = await load("/model", { precision, threads });
    const runs = new Map<
      string,
      (prompt: string) => Promise<{ text: string; tokens: number; ms: number; forwards: number }>
    >();
    for (const decoder of decoders)
      runs.set(decoder, async (prompt) => {
        const request = { prompt, decoder, maxNewTokens, cachePrompt: false };
        const { text, tokens, stats } = await model.generate(request);
        return { text, tokens: tokens.length - 1, ms: stats.decodeMs, forwards: stats.forwards };
      });
    let peerVersion: string | null = null;
    if (withPeer) {
      const { peer } = globalThis;
      peer.env.allowRemoteModels = false;
      peer.env.allowLocalModels = true;
      peer.env.useBrowserCache = false;
      peer.env.useWasmCache = false;
      peer.env.localModelPath = "/peers/";
      peer.env.backends.onnx.wasm.wasmPaths = "/peer-engine/";
      peer.env.backends.onnx.wasm.numThreads = threads;
      peerVersion = peer.env.version;
      const tokenizer = await peer.AutoTokenizer.from_pretrained("text-to-sql");
      const theirs = await peer.AutoModelForCausalLM.from_pretrained("text-to-sql", {
        dtype: "fp32",
        device: "wasm",
        use_external_data_format: true,
      });
      runs.set("transformers.js", async (prompt) => {
        const times: number[] = []; // of the prompt's echo, then of every token
        const inputs = tokenizer(prompt, { add_special_tokens: false });
        const streamer = { put: () => times.push(performance.now()), end: () => {} };
        const options = { max_new_tokens: maxNewTokens, do_sample: false, streamer };
        const sequences = await theirs.generate({ ...inputs, ...options });
        const ids = Array.from(sequences.data.slice(inputs.input_ids.dims[1]) as BigInt64Array, Number);
        const text = tokenizer.decode(ids, { skip_special_tokens: true });
        return { text, tokens: times.length - 2, ms: times.at(-1)! - times[1]!, forwards: times.length - 2 };
      });
    }
    const turns: Turn[] = [];
    const differing: string[] = [];
    for (let round = -1; round < rounds; round++) {
      for (const [index, prompt] of prompts.entries()) {
        const names = [...runs.keys()];
        const shift = (index + Math.max(round, 0)) % names.length;
        let expected: string | null = null;
        for (const contender of [...names.slice(shift), ...names.slice(0, shift)]) {
          const run = runs.get(contender)!;
          const { text, ...figures } = await run(prompt);
          expected ??= text;
          if (text !== expected) differing.push(`${contender}, prompt ${index}`);
          if (round >= 0 && figures.tokens > 0) turns.push({ contender, prompt: index, ...figures });
          await new Promise((resolve) => setTimeout(resolve, pauseMs));
        }
      }
    }
    await model.dispose();
    return { turns, differing, peerVersion };
  },
  {
    ...{
      prompts,
      rounds: settings.rounds,
      decoders: DECODERS,
      precision: settings.precision,
      threads: settings.threads,
    },
    ...{ maxNewTokens: settings["max-new-tokens"], withPeer, pauseMs: PAUSE_MS },
  },
);

const spread = (values: readonly number[]): { median: number; low: number; high: number } => ({
  median: quantile(values, 0.5),
  low: quantile(values, 0.25),
  high: quantile(values, 0.75),
});
const contenders = [...DECODERS, ...(withPeer ? ["transformers.js"] : [])];
const turnsOf = (name: string): Turn[] => race.turns.filter(({ contender }) => contender === name);
/** Tokens per second over all prompts of each round's turns. */
const pace = (turns: readonly Turn[]): number =>
  (1000 * turns.reduce((sum, { tokens }) => sum + tokens, 0)) / turns.reduce((sum, { ms }) => sum + ms, 0);
const paceBy = Object.fromEntries(contenders.map((name) => [name, pace(turnsOf(name))]));
/** Ratios of the prompts: times of all its rounds. */
const ratios = (fast: string, slow: string): number[] => {
  const rows = prompts.map((_, index) =>
    [fast, slow].map((name) => turnsOf(name).filter(({ prompt }) => prompt === index)),
  );
  return rows.filter(([a]) => a!.length > 0).map(([a, b]) => pace(a!) / pace(b!));
};
console.log(`\n${opened.browserVersion}, ${settings.precision}, ${settings.threads} threads: tokens/s of decoding`);
for (const name of contenders) {
  const tokens = turnsOf(name).reduce((sum, each) => sum + each.tokens, 0);
  const forwards = turnsOf(name).reduce((sum, each) => sum + each.forwards, 0);
  console.log(
    `  ${name.padEnd(16)} ${paceBy[name]!.toFixed(0).padStart(5)}   ${(tokens / forwards).toFixed(2)} tokens a pass`,
  );
}
const pairs = [["jacobi", "ar"], ["auto", "ar"], ["auto", "jacobi"], ...(withPeer ? [["ar", "transformers.js"]] : [])];
const speedups: Record<string, object> = {};
for (const [fast, slow] of pairs as [string, string][]) {
  const whole = paceBy[fast]! / paceBy[slow]!;
  const each = spread(ratios(fast, slow));
  speedups[`${fast} / ${slow}`] = { whole, prompts: each };
  console.log(
    `  ${`${fast} / ${slow}`.padEnd(20)} ${whole.toFixed(2)}   a prompt: ${each.median.toFixed(2)} (${each.low.toFixed(2)} to ${each.high.toFixed(2)})`,
  );
}
console.log(`  answers that differ: ${race.differing.length} ${race.differing.slice(0, 5).join("; ")}`);

const visits: { loaded: number; answered: number }[] = [];
for (let visit = -2; visit < settings.visits; visit++) {
  await opened.visit("visit.html");
  const handle = await page.waitForFunction("globalThis.visited");
  const seen = (await handle.jsonValue()) as { loaded: number; answered: number };
  if (visit >= 0) visits.push(seen);
}
const answered = spread(visits.map((each) => each.answered));
const loaded = spread(visits.map((each) => each.loaded));
console.log(
  `\npage to first answer, not the first visit: ${answered.median.toFixed(0)} ms (${answered.low.toFixed(0)} to ${answered.high.toFixed(0)}), loaded after ${loaded.median.toFixed(0)} ms`,
);

const chunks = await bundler.webChunks();
const bytes = { first: bundler.gzipped(bundler.firstChunks(chunks)), all: bundler.gzipped(chunks) };
console.log(
  `our JavaScript, minified and gzipped, without the engine: ${bytes.first} bytes, ${bytes.all} with what is loaded on demand`,
);
rmSync(scratch, { recursive: true, force: true });
const versions = { chromium: opened.browserVersion, transformersJs: race.peerVersion };
report(
  "browser",
  { ...settings, peers: withPeer },
  {
    model: "text-to-sql",
    versions,
    load: loadavg()[0],
    tokensPerSecond: paceBy,
    speedups,
    differing: race.differing.length,
    visitMs: { answered, loaded },
    bytes,
  },
);
