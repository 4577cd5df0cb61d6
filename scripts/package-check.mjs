/**
 * The package as a stranger meets it: packed, installed into an empty project, used from TypeScript and from the command
 * line. Prints what it tries and fails at the first thing that does not work. Loads no model.
 */
import { spawnSync } from "node:child_process";
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

/** People wait for it in `npx`, so it holds the one model that shows what cllm does, and no adapters of other models. */
const MAX_PACKED_BYTES = 15e6;

const root = fileURLToPath(new URL("..", import.meta.url));
const { version } = JSON.parse(readFileSync(join(root, "package.json"), "utf8"));

function run(program, args, { cwd = root, expected = 0 } = {}) {
  const { status, stdout, stderr, error } = spawnSync(program, args, {
    cwd,
    encoding: "utf8",
    stdio: ["ignore", "pipe", "pipe"],
    env: { ...process.env, ONNXRUNTIME_NODE_INSTALL: "skip", CLLM_MODEL: "", CLLM_MODELS: "", NO_COLOR: "1" },
    shell: process.platform === "win32" && program === "npm",
  });
  if (status === expected) return stdout;
  throw new Error(`${program} ${args.join(" ")} gave ${status ?? error?.message}, not ${expected}\n${stdout}${stderr}`);
}

/** The last line that a program leaves on standard error where it fails. */
function fails(program, args, { cwd }) {
  const env = { ...process.env, CLLM_MODEL: "", CLLM_MODELS: "" };
  const { status, stderr } = spawnSync(program, args, {
    cwd,
    encoding: "utf8",
    env,
    shell: process.platform === "win32",
  });
  expect(status === 1, `${program} ${args.join(" ")} gave ${status}, not 1`);
  return stderr.trim().split("\n").at(-1);
}

function step(what, check) {
  process.stdout.write(`- ${what}\n`);
  check();
}

function expect(condition, message) {
  if (!condition) throw new Error(message);
}

/** Uses the package as a library does: the types of a whole round trip, and the parts that need no model. */
const PROGRAM = `
import {
  CllmError, DECODERS, load, openCheckpoint, toGgufTokenizer, writeGguf,
  type Decoder, type Generation, type LanguageModel, type Session,
} from "cllm";
import { consistentModel, jacobi, scriptedSession, type DraftPolicy } from "cllm/decode";
import { createApp, createModels, inThisProcess } from "cllm/serve";
import { prepareTraining, runTraining, type RunResult } from "cllm/train";

export async function ask(model: LanguageModel, question: string): Promise<Generation> {
  const messages = [{ role: "user", content: question }] as const;
  const stream = model.stream({ messages, decoder: { name: "lookahead", window: 8 }, maxNewTokens: "context" });
  for await (const chunk of stream) {
    const text: string = chunk.text;
    const tokens: Int32Array = chunk.tokens;
    void [text, tokens];
  }
  const { seed, stopReason } = await stream.result;
  void [seed, stopReason];
  return model.generate({ prompt: question, decoder: "jacobi", blockSize: 8, temperature: 0.8, seed: 1 });
}
export const lengthOf = (session: Session): number => session.length;

export const mine: Decoder = (session, prompt, options) => jacobi(session, prompt, { ...options, draft: none });
const none: DraftPolicy = () => ({ guess: () => new Int32Array(0), [Symbol.asyncDispose]: async () => {} });

/** Opens a checkpoint, writes a model, trains from JSON Lines, serves: the arguments can all be made. */
export async function roundTrip(path: string): Promise<RunResult> {
  const { name, config, weights, tokenizer } = await openCheckpoint(path);
  await writeGguf("out.gguf", { name, config, weights, tokenizer: toGgufTokenizer(tokenizer, config.vocabSize) });
  await using training = await prepareTraining({ model: path, folder: "run", source: { data: "faq.jsonl" } });
  const records = runTraining(training.run);
  for (;;) {
    const { done, value } = await records.next();
    if (done) return value;
  }
}
export const appOf = (model: LanguageModel) =>
  createApp({ models: createModels([{ name: "m", start: async () => inThisProcess(model) }], { maxRunning: 1, maxWaiting: 9 }) });

// @ts-expect-error An option that does not exist must not compile.
export const wrong = (model: LanguageModel): Promise<Generation> => model.generate({ prompt: "", blokSize: 8 });

if (!DECODERS.includes("auto")) throw new Error("no decoder auto");
const refusal: unknown = await load("./no-such-model", { offline: true }).then(
  () => null,
  (error: unknown) => error,
);
if (!(refusal instanceof CllmError) || refusal.code !== "not-found") throw refusal;
const written: number[] = [];
for await (const { accepted } of mine(scriptedSession(consistentModel(50)), Int32Array.of(1), { maxNewTokens: 5 }))
  written.push(...accepted);
if (written.length !== 5) throw new Error("cllm/decode does not decode");
const health = await createApp({ models: createModels([], { maxRunning: 1, maxWaiting: 1 }) }).request("http://localhost/health");
if (health.status !== 200) throw new Error("cllm/serve does not answer");
console.log("works");
`;

const folder = mkdtempSync(join(tmpdir(), "cllm-package-"));
try {
  let tarball = "";
  step("npm pack", () => {
    const [packed] = JSON.parse(run("npm", ["pack", "--ignore-scripts", "--json", "--pack-destination", folder]));
    tarball = join(folder, packed.filename);
    const stray = packed.files
      .map(({ path }) => path)
      .filter((path) => !/^(dist\/|models\/|web\/|README|LICENSE|package\.json)/.test(path));
    expect(stray.length === 0, `the package holds files that it should not: ${stray.join(", ")}`);
    expect(
      packed.size <= MAX_PACKED_BYTES,
      `the package is ${packed.size} bytes, over ${MAX_PACKED_BYTES}: leave weights out`,
    );
    process.stdout.write(`  ${packed.files.length} files, ${Math.round(packed.size / 1000)} kB\n`);
  });
  step("publint", () => {
    const publint = join(root, "node_modules/publint/src/cli.js");
    run(process.execPath, [publint, "run", tarball, "--strict"]);
  });
  const project = join(folder, "project");
  mkdirSync(project);
  writeFileSync(join(project, "package.json"), JSON.stringify({ name: "stranger", private: true, type: "module" }));
  writeFileSync(join(project, "main.ts"), PROGRAM);
  step("install into an empty project", () => {
    run("npm", ["install", "--prefer-offline", "--no-audit", "--no-fund", tarball], { cwd: project });
  });
  step("a TypeScript program that uses it compiles", () => {
    const tsc = join(root, "node_modules/typescript/bin/tsc");
    const types = join(root, "node_modules/@types");
    const flags = ["--strict", "--target", "es2023", "--lib", "es2023,esnext.disposable", "--types", "node"];
    for (const module of ["nodenext", "bundler"]) {
      const resolution =
        module === "bundler" ? ["--module", "esnext", "--moduleResolution", module] : ["--module", module];
      run(process.execPath, [tsc, ...flags, ...resolution, "--typeRoots", types, "main.ts"], { cwd: project });
    }
  });
  step("and runs", () => {
    expect(run(process.execPath, ["main.js"], { cwd: project }) === "works\n", "the program printed something else");
  });
  step("the provider for the AI SDK can be made where the AI SDK's types are absent", () => {
    const program = 'import { createCllm } from "cllm/ai-sdk"; console.log(createCllm()("none").specificationVersion)';
    const printed = run(process.execPath, ["--input-type=module", "-e", program], { cwd: project });
    expect(printed === "v4\n", `cllm/ai-sdk printed ${printed}`);
  });
  step("the command runs", () => {
    const cllm = join(project, "node_modules/.bin", process.platform === "win32" ? "cllm.cmd" : "cllm");
    expect(run(cllm, ["--version"], { cwd: project }).trim() === version, "cllm --version printed another version");
    expect(run(cllm, ["--help"], { cwd: project }).includes("generate"), "cllm --help does not name its commands");
    run(cllm, ["info", "--model", "no-such-model.gguf", "--offline"], { cwd: project, expected: 1 });
    run(cllm, ["info", "--modle", "x"], { cwd: project, expected: 2 });
    run(cllm, ["generate", "Which bands have no concerts? Show the name."], { cwd: project }); // with no model named
    const { error } = JSON.parse(fails(cllm, ["generate", "hi", "--adapter", "spider", "--json"], { cwd: project }));
    expect(/in a clone of it$/.test(error.message), `an adapter that does not ship has no next move: ${error.message}`);
    const shown = JSON.parse(run(cllm, ["demo", "--question", "How many gigs are there?", "--json"], { cwd: project }));
    expect(shown.decoders.length === 3, "cllm demo does not answer with the model that comes with it");
  });
} catch (error) {
  process.stdout.write(`${error.message}\n`);
  process.exitCode = 1;
} finally {
  rmSync(folder, { recursive: true, force: true });
}
