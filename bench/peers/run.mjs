/**
 * The benchmark: every contender writes the same prompts' answers, one prompt at a time, in turn, on as many threads
 * each, in one run. Prints a table and, last, one JSON line. README.md says how to repeat it.
 */
import { execFileSync, fork } from "node:child_process";
import { existsSync, readFileSync } from "node:fs";
import { availableParallelism, cpus, loadavg } from "node:os";
import { join, resolve } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { parseArgs } from "node:util";
import { AutoTokenizer } from "@huggingface/transformers";
import { dataSets, goldensFile } from "../../scripts/real-data.mjs";
import { useLocalFiles } from "./adapters/transformers.mjs";
import { CONTENDERS, RATIOS } from "./contenders.mjs";
import { random, shuffle, spread } from "./statistics.mjs";

const ROOT = resolve(import.meta.dirname, "../..");
/** Between two turns, so that the threads of the one before have stopped spinning. */
const PAUSE_MS = 200;
const WARM_UP = "Write three sentences about the sea.";
/** A token that PyTorch preferred by less than this is rounding, not a difference. */
const NEAR_TIE = 1e-3;
/** With a load average over this the contenders share the cores with others, and not all suffer alike. */
const BUSY = 0.5;

const USAGE = `node run.mjs --data DIR [options]
  --data DIR             folder that prepare.py wrote
  --peers NAMES          default: transformers-fp32,transformers-q4,llama-q8
  --ours PRECISIONS      default: fp32,int8; "" for none; stored against the peer llama-source
  --prompts FILE         JSON Lines with "question"; default: GSM8K's test split in the folder of CLLM_DATA
  --limit N              prompts; default: 32
  --max-new-tokens N     default: 128
  --threads N            of each contender; default: the machine's cores, at most 8
  --seed N               of the order in which the contenders take their turns; default: 0
  --goldens FILE         PyTorch's greedy tokens; default: those of CLLM_GOLDENS, where they are there`;

function usageError(message) {
  console.error(`${message}\n\n${USAGE}`);
  process.exit(2);
}

function readOptions() {
  let values;
  try {
    const text = { type: "string" };
    const names = ["data", "peers", "ours", "prompts", "limit", "max-new-tokens", "threads", "seed", "goldens"];
    const help = { type: "boolean", short: "h" };
    values = parseArgs({ options: { ...Object.fromEntries(names.map((name) => [name, text])), help } }).values;
  } catch (error) {
    usageError(error.message);
  }
  if (values.help) {
    console.log(USAGE);
    process.exit(0);
  }
  const count = (name, otherwise, least = 1) => {
    const value = Number(values[name] ?? otherwise);
    if (!Number.isSafeInteger(value) || value < least)
      usageError(`--${name} ${values[name]}: give a whole number from ${least} up.`);
    return value;
  };
  if (values.data === undefined) usageError("--data is missing: name the folder that prepare.py wrote.");
  const list = (value) => value.split(",").filter(Boolean);
  const contenders = [
    ...list(values.ours ?? "fp32,int8").map((precision) => `cllm-${precision}`),
    ...list(values.peers ?? "transformers-fp32,transformers-q4,llama-q8"),
  ];
  for (const name of contenders)
    if (!Object.hasOwn(CONTENDERS, name))
      usageError(`There is no contender ${name}: choose among ${Object.keys(CONTENDERS).join(", ")}.`);
  return {
    data: resolve(values.data),
    contenders,
    prompts: values.prompts ?? join(dataSets(), "gsm8k/test.jsonl"),
    limit: count("limit", 32),
    maxNewTokens: count("max-new-tokens", 128, 2),
    threads: count("threads", Math.min(8, availableParallelism())),
    seed: count("seed", 0, 0),
    goldens: values.goldens ?? goldensFile(),
  };
}

/** The prompts, chat-formatted once for all: `[{ text, messages, tokens, golden }]`, `tokens` the prompt's count. */
async function readPrompts({ data, prompts, limit, goldens }) {
  const tokenizer = await AutoTokenizer.from_pretrained(useLocalFiles(data));
  const known = existsSync(goldens) ? JSON.parse(readFileSync(goldens, "utf8")).greedy : [];
  const goldenOf = new Map(known.map((golden) => [golden.prompt_text, golden]));
  const lines = readFileSync(prompts, "utf8").split("\n").filter(Boolean).slice(0, limit);
  return lines.map((line) => {
    const messages = [{ role: "user", content: JSON.parse(line).question }];
    const text = tokenizer.apply_chat_template(messages, { tokenize: false, add_generation_prompt: true });
    const tokens = tokenizer.encode(text, { add_special_tokens: false }).length;
    return { text, messages, tokens, golden: goldenOf.get(text) };
  });
}

/** Start a contender's process. `ask` sends one request and gives the answer. */
async function start(name, { data, threads }) {
  const { adapter, options, precision } = CONTENDERS[name];
  const child = fork(join(import.meta.dirname, "child.mjs"), { stdio: ["ignore", 2, 2, "ipc"] });
  const ask = (request, values) =>
    new Promise((done, fail) => {
      const settle = (settler) => (value) => {
        child.removeAllListeners();
        settler(value);
      };
      child.once("exit", (code, signal) => settle(fail)(new Error(`${name} ended with ${signal ?? `code ${code}`}.`)));
      child.once("error", settle(fail));
      child.once("message", ({ value, error }) =>
        error === undefined ? settle(done)(value) : settle(fail)(new Error(`${name}: ${error}`)),
      );
      child.send({ request, ...values });
    });
  try {
    const { version } = await ask("open", { adapter, options: { data, threads, ...options } });
    return { name, precision, version, ask, kill: () => child.kill(), results: [] };
  } catch (error) {
    child.kill();
    throw error;
  }
}

/** How many tokens are PyTorch's before the first that is not, a near-tie apart; undefined where PyTorch has none. */
function asPyTorch(tokens, golden) {
  if (golden === undefined) return undefined;
  const length = Math.min(tokens.length, golden.greedy_ids.length);
  for (let i = 0; i < length; i++)
    if (tokens[i] !== golden.greedy_ids[i]) return { same: i, all: golden.top2_margin[i] < NEAR_TIE };
  return { same: length, all: true };
}

/** All turns: prompt by prompt, the contenders in an order drawn for each prompt. */
async function compete(running, prompts, { maxNewTokens, seed }) {
  const warmUp = { text: WARM_UP, messages: [{ role: "user", content: WARM_UP }] };
  for (const contender of running) await contender.ask("generate", { prompt: warmUp, maxNewTokens: 32 });
  const numbers = random(seed);
  for (const [index, { tokens: promptTokens, golden, ...prompt }] of prompts.entries()) {
    for (const contender of shuffle(running, numbers)) {
      await sleep(PAUSE_MS);
      const result = await contender.ask("generate", { prompt, maxNewTokens });
      if (result.promptTokens !== promptTokens || result.tokens.length !== maxNewTokens)
        throw new Error(
          `${contender.name}, prompt ${index}: ${result.promptTokens} prompt tokens and ${result.tokens.length} new ` +
            `ones, where ${promptTokens} and ${maxNewTokens} are due; the contenders would not do the same work.`,
        );
      contender.results.push({ ...result, asPyTorch: asPyTorch(result.tokens, golden) });
    }
    if (process.stderr.isTTY) process.stderr.write(`\r${index + 1}/${prompts.length} prompts`);
  }
  if (process.stderr.isTTY) process.stderr.write("\r\u001b[K");
}

const decodeRate = ({ tokens, decodeMs }) => ((tokens.length - 1) / decodeMs) * 1000; // the first comes with the prefill
const endToEndRate = ({ tokens, totalMs }) => (tokens.length / totalMs) * 1000;

/** One line of the report for each contender. */
function summarize({ name, version, precision, results }) {
  const judged = results.map(({ asPyTorch }) => asPyTorch).filter((golden) => golden !== undefined);
  return {
    name,
    version,
    precision,
    tokensPerSecond: spread(results.map(decodeRate)),
    endToEndTokensPerSecond: spread(results.map(endToEndRate)),
    prefillMs: spread(results.map(({ prefillMs }) => prefillMs)),
    cachedPromptTokens: results.reduce((sum, { cachedTokens }) => sum + cachedTokens, 0),
    asPyTorch:
      judged.length === 0
        ? null
        : {
            prompts: judged.length,
            whole: judged.filter(({ all }) => all).length,
            tokensBefore: spread(judged.map(({ same }) => same)).median,
          },
  };
}

/** Ratios of the pairs that ran, prompt by prompt. */
function ratios(running) {
  const resultsOf = new Map(running.map(({ name, results }) => [name, results]));
  return RATIOS.filter(({ ours, peer }) => resultsOf.has(ours) && resultsOf.has(peer)).map((pair) => {
    const [ours, peer] = [resultsOf.get(pair.ours), resultsOf.get(pair.peer)];
    const over = (rate) =>
      spread(
        ours.map((result, i) => rate(result) / rate(peer[i])),
        3,
      );
    return { ...pair, tokensPerSecond: over(decodeRate), endToEndTokensPerSecond: over(endToEndRate) };
  });
}

/** The commit that is checked out, with a mark where files differ from it. */
function commit() {
  const git = (...args) => execFileSync("git", ["-C", ROOT, ...args], { encoding: "utf8", stdio: "pipe" }).trim();
  try {
    return git("rev-parse", "--short=12", "HEAD") + (git("status", "--porcelain", "-uno") === "" ? "" : "+changes");
  } catch {
    return "unknown";
  }
}

function printTable(head, rows) {
  const widths = head.map((title, column) => Math.max(title.length, ...rows.map((row) => row[column].length)));
  const line = (cells) =>
    cells
      .map((cell, column) => cell.padEnd(widths[column]))
      .join("  ")
      .trimEnd();
  console.log(`${[line(head), line(widths.map((width) => "-".repeat(width))), ...rows.map(line)].join("\n")}\n`);
}

function print(report) {
  const range = ({ median, p25, p75 }, digits) =>
    `${median.toFixed(digits)} (${p25.toFixed(digits)} to ${p75.toFixed(digits)})`;
  const { machine } = report;
  console.log(
    `${report.model}, ${report.prompts} prompts, ${report.maxNewTokens} new tokens, greedy, one token per pass; ` +
      `${machine.cpu}, ${machine.cores} cores, ${report.threads} threads each; Node ${machine.node}; ` +
      `seed ${report.seed}, commit ${report.commit}. Median over the prompts, with quartiles.\n`,
  );
  printTable(
    ["", "version", "precision", "decode, tokens/s", "end to end, tokens/s", "prefill, ms", "as PyTorch fp32"],
    report.contenders.map((row) => [
      row.name,
      row.version,
      row.precision,
      range(row.tokensPerSecond, 1),
      range(row.endToEndTokensPerSecond, 1),
      range(row.prefillMs, 0),
      row.asPyTorch === null
        ? "not known"
        : `${row.asPyTorch.whole} of ${row.asPyTorch.prompts}; median ${row.asPyTorch.tokensBefore} tokens`,
    ]),
  );
  if (report.ratios.length > 0)
    printTable(
      ["", "decode", "end to end", "must", "aim"],
      report.ratios.map(({ ours, peer, must, aim, ...rates }) => [
        `${ours} / ${peer}`,
        range(rates.tokensPerSecond, 2),
        range(rates.endToEndTokensPerSecond, 2),
        must.toFixed(1),
        aim.toFixed(1),
      ]),
    );
  for (const { name, cachedPromptTokens } of report.contenders)
    if (cachedPromptTokens > 0)
      console.log(
        `${name} found ${cachedPromptTokens} prompt tokens in its KV cache: its prefill and its end to end gain.`,
      );
  console.log(JSON.stringify(report));
}

async function main() {
  const options = readOptions();
  const manifest = join(options.data, "prepared.json");
  if (!existsSync(manifest)) throw new Error(`${manifest} is missing: run prepare.py first, see README.md.`);
  if (!existsSync(options.prompts)) throw new Error(`${options.prompts} is missing: name the prompts with --prompts.`);
  const loadAverage = Number(loadavg()[0].toFixed(2));
  if (loadAverage > BUSY)
    console.error(
      `The machine is busy (load average ${loadAverage}): the figures will not hold. Run it on an idle one.`,
    );
  const prompts = await readPrompts(options);
  const running = [];
  try {
    for (const name of options.contenders) running.push(await start(name, options));
    await compete(running, prompts, options);
    for (const { ask } of running) await ask("close");
  } finally {
    for (const { kill } of running) kill();
  }
  const { model, versions } = JSON.parse(readFileSync(manifest, "utf8"));
  print({
    benchmark: "peers",
    model,
    preparedWith: versions,
    machine: {
      cpu: cpus()[0]?.model ?? "unknown",
      cores: cpus().length,
      node: process.versions.node,
      loadAverage,
    },
    threads: options.threads,
    prompts: prompts.length,
    maxNewTokens: options.maxNewTokens,
    seed: options.seed,
    commit: commit(),
    contenders: running.map(summarize),
    ratios: ratios(running),
  });
}

main().catch((error) => {
  console.error(error.message);
  process.exitCode = 1;
});
