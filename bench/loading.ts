/**
 * How long a command takes from its start to its first token, in turn with llama.cpp on the same weights in Q8_0: the first time,
 * when the model is prepared, the second, and both with an adapter. Each start is a process of its own.
 */
import { spawn } from "node:child_process";
import { existsSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { CllmError } from "../src/error.ts";
import { flags, median, modelPath, report } from "./conditions.ts";

const settings = flags({ rounds: 7, "first-rounds": 3, threads: 2, precision: "int8", q8: "", adapter: "gsm8k" });
const root = join(import.meta.dirname, "..");
const command = join(root, "dist/cli/main.js");
const peer = join(root, "bench/peers/first-token.mjs");
if (settings.q8 !== "" && !existsSync(join(root, "bench/peers/node_modules")))
  throw new CllmError(
    "usage",
    "--q8 asks for llama.cpp, which is not installed; run npm ci in bench/peers, or leave --q8 out",
  );
const PROMPT = "Natalia sold clips to 48 of her friends in April.";
if (!existsSync(command)) throw new CllmError("usage", "dist/cli/main.js is missing: run npm run build");

/** Milliseconds from the start of a process to its first output, which is a token. */
function firstToken(file: string, args: readonly string[]): Promise<number> {
  return new Promise((resolve, reject) => {
    const start = performance.now();
    const child = spawn(process.execPath, [file, ...args], { stdio: ["ignore", "pipe", "inherit"] });
    let first: number | null = null;
    child.stdout.on("data", () => {
      first ??= performance.now() - start;
    });
    child.once("error", reject);
    child.once("close", (code) => {
      if (code === 0 && first !== null) resolve(first);
      else reject(new Error(`${file} ${args.join(" ")} ended with ${code} before its first token`));
    });
  });
}

const scratch = mkdtempSync(join(tmpdir(), "cllm-loading-"));
const cllm = (cache: string, ...more: string[]): Promise<number> => {
  const model = ["generate", "--model", modelPath(), "--precision", settings.precision, "--cache-dir", cache];
  const request = ["--prompt", PROMPT, "--decoder", "ar", "--max-new-tokens", "2", "--ignore-eos", "--quiet"];
  return firstToken(command, [...model, "--threads", String(settings.threads), ...request, ...more]);
};

try {
  const adapter = settings.adapter === "" ? null : ["--adapter", join(root, "adapters", settings.adapter)];
  const times: Record<string, number[]> = {};
  const take = async (name: string, run: () => Promise<number>): Promise<void> => {
    times[name] = [...(times[name] ?? []), await run()];
  };
  for (let round = 0; round < settings["first-rounds"]; round++) {
    await take("first", () => cllm(join(scratch, `first-${round}`)));
    if (adapter) await take("first, with an adapter", () => cllm(join(scratch, `adapter-${round}`), ...adapter));
    for (const name of ["first", "adapter"])
      if (round > 0) rmSync(join(scratch, `${name}-${round}`), { recursive: true, force: true });
  }
  for (let round = 0; round < settings.rounds; round++) {
    await take("second", () => cllm(join(scratch, "first-0")));
    if (adapter) await take("second, with an adapter", () => cllm(join(scratch, "adapter-0"), ...adapter));
    if (settings.q8 !== "")
      await take("llama.cpp", () => firstToken(peer, [settings.q8, PROMPT, String(settings.threads)]));
  }
  const medians = Object.fromEntries(Object.entries(times).map(([name, ms]) => [name, median(ms)]));
  console.log("seconds from the start of the process to the first token, median (shortest to longest)");
  for (const [name, ms] of Object.entries(times)) {
    const [middle, least, most] = [median(ms), Math.min(...ms), Math.max(...ms)].map((value) =>
      (value / 1000).toFixed(2),
    );
    console.log(`  ${name.padEnd(24)} ${middle} (${least} to ${most})`);
  }
  const peerMs = medians["llama.cpp"];
  const ratio = peerMs === undefined ? null : medians["second"]! / peerMs;
  if (ratio !== null) console.log(`  second / llama.cpp: ${ratio.toFixed(2)}`);
  else console.log("  llama.cpp did not run: name a file in Q8_0 with --q8, and run npm ci in bench/peers");
  report("loading", settings, { times, medians, secondToLlama: ratio });
} finally {
  rmSync(scratch, { recursive: true, force: true });
}
