/**
 * Bad input at length: mutated checkpoints through the readers of safetensors, GGUF and tokenizers, by default 10,000
 * cases over tiny checkpoints and, where a real GGUF file is, a tenth as many over its header. Every case opens or is
 * refused by a `CllmError`; the first that does neither stops the run with its mutation, shrunken, and the seed.
 *
 *     bench/fuzz.ts [cases] [seed]
 */
import { execFileSync } from "node:child_process";
import { existsSync, mkdtempSync, rmSync } from "node:fs";
import { cpus, tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { smolLM2 } from "../scripts/real-data.mjs";
import type { Checkpoint } from "../src/checkpoint/open.ts";
import { createChatTemplate } from "../src/text/chat.ts";
import { createTokenizer } from "../src/text/tokenizer.ts";
import type { FuzzReport, Subject } from "../test/checkpoint/fuzz.ts";
import { fuzzCheckpoints, realGgufSubject, tinySubjects } from "../test/checkpoint/fuzz.ts";

const { positionals } = parseArgs({ allowPositionals: true });
const cases = Number(positionals[0] ?? 10_000);
const seed = Number(positionals[1] ?? 1);
const root = join(import.meta.dirname, "..");
const real = smolLM2();
const REAL_HEADER_BYTES = 1_785_664;

/** Build and use what text needs of a checkpoint that opened. */
function useText({ tokenizer, config }: Checkpoint): void {
  const { encode, decode } = createTokenizer(tokenizer, config.vocabSize);
  decode(encode("abcab ccf A"));
  if (tokenizer.chatTemplate === null) return;
  createChatTemplate(tokenizer).render([{ role: "user", content: "hi" }]);
}

async function run(subjects: readonly Subject[], count: number): Promise<FuzzReport> {
  const folder = mkdtempSync(join(tmpdir(), "cllm-fuzz-"));
  const onCase = (done: number): void => {
    if (process.stderr.isTTY && done % 100 === 0) process.stderr.write(`\r${done} of ${count} cases`);
  };
  try {
    return await fuzzCheckpoints({ cases: count, seed, subjects, folder, exercise: useText, onCase });
  } finally {
    if (process.stderr.isTTY) process.stderr.write("\n");
    rmSync(folder, { recursive: true, force: true });
  }
}

function show(name: string, { cases, sound, refused, slowestMs }: FuzzReport): void {
  const codes = Object.entries(refused).map(([code, count]) => `${code} ${count}`);
  console.log(`${name}: ${cases} cases, ${sound} opened, ${codes.join(", ")}; slowest ${slowestMs.toFixed(0)} ms`);
}

const commit = execFileSync("git", ["rev-parse", "--short", "HEAD"], { cwd: root, encoding: "utf8" }).trim();
const tiny = await run(tinySubjects(), cases);
show("tiny checkpoints", tiny);
const realReport = existsSync(real)
  ? await run([realGgufSubject(real, REAL_HEADER_BYTES)], Math.ceil(cases / 10))
  : null;
if (realReport) show("SmolLM2's header", realReport);
else console.log(`no real file: ${real} is not there`);

const machine = `${cpus()[0]?.model ?? "unknown"}, ${cpus().length} cores, node ${process.version}`;
const peakBytes = process.resourceUsage().maxRSS * 1024;
console.log(JSON.stringify({ benchmark: "fuzz", seed, commit, machine, tiny, real: realReport, peakBytes }));
