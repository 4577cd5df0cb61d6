/** The built command as its users run it: in a process of its own, on a tiny real checkpoint. */
import { type SpawnSyncReturns, spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, describe, expect, test } from "vitest";
import * as z from "zod";
import { DECODERS, PLAIN_DECODERS } from "../../src/generate/types.ts";
import { writeTinyCheckpoint } from "../generate/tiny-checkpoint.ts";

const root = fileURLToPath(new URL("../..", import.meta.url));
const main = join(root, "dist/cli/main.js");
const scratch = mkdtempSync(join(tmpdir(), "cllm-cli-"));
const model = writeTinyCheckpoint(join(scratch, "tiny"));
const env = { ...process.env, CLLM_MODELS: model, CLLM_CACHE: join(scratch, "cache"), NO_COLOR: "", FORCE_COLOR: "" };

afterAll(() => rmSync(scratch, { recursive: true, force: true }));

function cllm(
  args: readonly string[],
  { input = "", more = {} }: { input?: string; more?: object } = {},
): SpawnSyncReturns<string> {
  return spawnSync(process.execPath, [main, ...args], {
    encoding: "utf8",
    input,
    env: { ...env, ...more },
    cwd: scratch,
  });
}

/** Runs what must succeed, quietly where nothing needs to be said, and without colour. */
function good(args: readonly string[], input = ""): string {
  const { status, stdout, stderr } = cllm(args, { input });
  expect({ status, stderr }).toMatchObject({ status: 0 });
  // biome-ignore lint/suspicious/noControlCharactersInRegex: the escape character is what must not be there
  expect(stdout + stderr).not.toMatch(/\x1b/);
  return stdout;
}

const file = (name: string, content: string): string => {
  const path = join(scratch, name);
  writeFileSync(path, content);
  return path;
};

describe("wrong usage", () => {
  test.each<[args: string[], message: RegExp]>([
    [["genrate"], /cllm has no command genrate; did you mean generate\?/],
    [["talk"], /cllm has no command talk; there are generate, chat, bench/],
    [["What is a prime number?"], /needs a command before "What is a prime number\?"; to answer it: cllm generate/],
    [["help", "genrate"], /cllm has no command genrate; did you mean generate\?/],
    [["generate", "--blok-size", "3", "hi"], /cllm generate has no --blok-size; did you mean --block-size\?/],
    [["generate", "--max-tokens", "3", "hi"], /cllm generate has no --max-tokens; did you mean --max-new-tokens\?/],
    [["generate", "--temp", "1", "hi"], /cllm generate has no --temp; did you mean --temperature\?/],
    [["generate", "--gpu-layers", "1", "hi"], /cllm generate has no --gpu-layers; see cllm generate --help/],
    [["--jsn", "info"], /cllm info has no --jsn; did you mean --json\?/],
    [["generate", "--block-size", "x", "hi"], /--block-size must be a number, not "x"/],
    [["generate", "--block-size", "0", "hi"], /--block-size must be at least 1, not 0/],
    [["generate", "--stop-ids", "1,b", "hi"], /--stop-ids\[1\] must be a number, not "b"/],
    [["generate", "--decoder", "autoo", "hi"], /--decoder must be one of auto, ar, .*, not "autoo"/],
    [["generate", "--max-new-tokens"], /--max-new-tokens needs a value; give -n, --max-new-tokens <tokens>/],
    [["generate", "one", "two"], /takes one argument, prompt; put it in quotes/],
    [["info", "extra"], /cllm info takes no argument; see cllm info --help/],
    [["generate", "hi", "--prompt", "ho"], /--prompt and the argument prompt are both given/],
    [["generate", "hi", "--file", "x"], /--prompt and --file are both given/],
    [["generate", "hi", "--chat", "--raw"], /--chat and --raw exclude each other/],
    [
      ["generate", "--template-option", "messages=[]", "hi"],
      /templateOptions cannot set messages; use messages instead/,
    ],
    [["generate", "--template-option", "thinking", "hi"], /--template-option must be name=value, .* not thinking/],
    [["generate", "--template", "tools", "hi"], /template: the model has one chat template, which has no name/],
    [
      ["generate", "hi", "--dtype", "bf16"],
      /--dtype must be one of fp32, .* not "bf16": .* give fp16 on a GPU, or int8/,
    ],
    [["generate", "hi", "--dtype", "fp16"], /precision f16 is not built for cpu; give int8 or fp32/],
    [
      ["generate", "hi", "--device", "cuda"],
      /--device must be one of cpu, webgpu, gpu, auto, not "cuda": .* give webgpu/,
    ],
    [["generate", "hi", "--dtype", "q8", "--precision", "fp32"], /--precision is fp32 and --dtype is q8/],
    [["generate"], /no prompt: standard input is empty; give one as an argument/],
    [["bench"], /--prompts is missing; give --prompts <file> \(JSON Lines file of prompts/],
    [["bench", "--prompts", "x", "--decoders", "ar,jacobean"], /--decoders\[1\] must be one of/],
    [
      ["generate", "hi", "--max-new-tokens", "all"],
      /--max-new-tokens must be a whole number .*, or context, not "all"/,
    ],
    [["completion", "tcsh"], /must be one of bash, zsh, fish/],
    [["completion"], /shell is missing; give one of bash, zsh, fish/],
    [["--quiet"], /no command given; there are generate, chat, bench/],
  ])("%j exits with 2 and one line", (args, message) => {
    const { status, stdout, stderr } = cllm(args);
    expect(stderr).toMatch(message);
    expect(stderr).toMatch(/^cllm: error\[usage\]: [^\n]+\n$/);
    expect({ status, stdout }).toEqual({ status: 2, stdout: "" });
  });

  test("a configuration file's unknown key is an error with its near miss", () => {
    const config = file("config-unknown.json", '{"blokSize": 8}');
    const { status, stderr } = cllm(["generate", "hi", "--config", config]);
    expect(stderr).toMatch(/has no blokSize; did you mean blockSize\?/);
    expect(status).toBe(2);
  });

  test("with --json the error is an object", () => {
    const { status, stdout, stderr } = cllm(["generate", "--seed", "-1", "hi", "--json"]);
    expect(JSON.parse(stderr)).toEqual({ error: { code: "usage", message: "--seed must be at least 0, not -1" } });
    expect({ status, stdout }).toEqual({ status: 2, stdout: "" });
  });
});

describe("a failure", () => {
  test.each<[args: string[], code: string, message: RegExp]>([
    [["info", "--model", "no-such-model.gguf"], "not-found", /no-such-model.gguf/],
    [["generate", "--file", "no-such-file.txt"], "not-found", /no-such-file.txt/],
    [["generate", "hi", "--max-new-tokens", "5000"], "context-overflow", /too many/],
    [["generate", "--messages", "-"], "bad-input", /is not JSON/],
    [["bench", "--prompts", "no-such-prompts.jsonl"], "not-found", /no-such-prompts/],
  ])("%j exits with 1 and one line", (args, code, message) => {
    const { status, stdout, stderr } = cllm([...args, "--offline"]);
    expect(stderr).toMatch(message);
    expect(stderr).toMatch(/^cllm: error\[[a-z-]+\]: [^\n]+\n$/);
    expect(stderr).toContain(`error[${code}]`);
    expect({ status, stdout }).toEqual({ status: 1, stdout: "" });
  });

  test("names the message that is none", () => {
    const messages = file("half.json", '[{"role": "user", "content": "a"}, {"role": "user"}]');
    const { status, stderr } = cllm(["generate", "--messages", messages]);
    expect(stderr).toMatch(/error\[bad-input\]: --messages .*half\.json\[1\]\.content is missing; give a text/);
    expect(status).toBe(1);
  });

  test("shows its stack only where it is asked for", () => {
    const args = ["info", "--model", "no-such-model.gguf", "--offline"];
    expect(cllm(args).stderr).not.toContain("    at ");
    expect(cllm(args, { more: { CLLM_DEBUG: "1" } }).stderr).toContain("    at ");
  });

  test("names where CLLM_MODELS points to nothing", () => {
    const { status, stderr } = cllm(["info"], { more: { CLLM_MODELS: join(scratch, "nothing") } });
    expect(stderr).toMatch(/CLLM_MODELS names .*nothing, which does not exist/);
    expect(status).toBe(1);
  });
});

describe("help", () => {
  test("lists the commands, and each command's help its flags and examples", () => {
    const help = good(["--help"]);
    for (const name of [
      "generate",
      "bench",
      "info",
      "trajectory",
      "collect",
      "train",
      "export",
      "demo",
      "completion",
    ]) {
      expect(help).toContain(`  ${name}`);
      const own = good([name, "--help"]);
      expect(own).toContain("Examples:");
      expect(own).toContain(`cllm ${name}`);
      expect(own).toContain(name === "completion" ? "--json" : "--model");
    }
    expect(good([])).toBe(help);
    expect(good(["help"])).toBe(help);
    expect(good(["help", "bench"])).toBe(good(["bench", "--help"]));
  });

  test("the version is the package's", () => {
    const { version } = JSON.parse(readFileSync(join(root, "package.json"), "utf8"));
    expect(good(["--version"])).toBe(`${version}\n`);
  });
});

describe("completion", () => {
  const complete = (...words: string[]): string[] => {
    const script = `${good(["completion", "bash"])}
      COMP_WORDS=(${words.map((word) => `'${word}'`).join(" ")}); COMP_CWORD=${words.length - 1}; _cllm; printf '%s\\n' "\${COMPREPLY[@]}"`;
    const { stdout, status } = spawnSync("bash", ["-c", script], { encoding: "utf8" });
    expect(status).toBe(0);
    return stdout.split("\n").filter((word) => word !== "");
  };

  test.skipIf(process.platform === "win32")("knows commands, flags and values in bash", () => {
    expect(complete("cllm", "ge")).toEqual(["generate"]);
    expect(complete("cllm", "generate", "--block")).toEqual(["--block-size"]);
    expect(complete("cllm", "generate", "--decoder", "")).toEqual([...DECODERS]);
    expect(complete("cllm", "generate", "--dtype", "")).toEqual(["fp32", "fp16", "f16", "q8", "int8", "q4", "int4"]);
    expect(complete("cllm", "serve", "--device", "")).toEqual(["cpu", "webgpu", "gpu", "auto"]);
    expect(complete("cllm", "completion", "z")).toEqual(["zsh"]);
    expect(complete("cllm", "bench", "--no-col")).toEqual(["--no-color"]);
  });

  test("has every flag in zsh and fish", () => {
    const [zsh, fish] = [good(["completion", "zsh"]), good(["completion", "fish"])];
    for (const name of ["max-new-tokens", "color-passes", "svg", "prompts", "no-color", "config"]) {
      expect(zsh).toContain(`--${name}[`);
      expect(fish).toContain(`-l ${name} `);
    }
  });
});

describe("info", () => {
  const memory = z.strictObject({ weights: z.int().positive(), keyValuePer1000Tokens: z.int().positive() });
  const shape = z.strictObject({
    name: z.string(),
    format: z.enum(["safetensors", "gguf"]),
    path: z.string(),
    parameters: z.int().positive(),
    byteLength: z.int().positive(),
    dtypes: z.array(z.strictObject({ dtype: z.string(), tensors: z.int(), parameters: z.int() })).min(1),
    config: z.looseObject({ family: z.string(), contextLength: z.int() }),
    tokenizer: z.strictObject({ kind: z.string(), vocabSize: z.int() }),
    chatTemplate: z.boolean(),
    namedTemplates: z.array(z.string()),
    demonstration: z.string().nullable(),
    memory: z.strictObject({ fp32: memory, int8: memory, int4: memory }),
  });

  test("says what the checkpoint is, as JSON and as text", () => {
    const found = shape.parse(JSON.parse(good(["info", "--json"])));
    expect(found).toMatchObject({
      format: "safetensors",
      config: { family: "llama", layers: 2, tiedHead: true },
      chatTemplate: true,
    });
    expect(found.parameters * 4).toBe(found.byteLength);
    expect(found.memory.fp32.weights).toBeGreaterThanOrEqual(found.byteLength);
    expect(found.memory.int8.weights).toBeLessThan(found.memory.fp32.weights);
    expect(good(["info"])).toMatch(/family +llama\n/);
  });

  test("colours only where it is wanted", () => {
    const bold = "\x1b[1m";
    expect(cllm(["info"], { more: { FORCE_COLOR: "1" } }).stdout).toContain(bold);
    expect(cllm(["info"], { more: { FORCE_COLOR: "1", NO_COLOR: "1" } }).stdout).not.toContain(bold);
    expect(cllm(["info", "--no-color"], { more: { FORCE_COLOR: "1" } }).stdout).not.toContain(bold);
  });
});

const generation = z.strictObject({
  model: z.string(),
  device: z.literal("cpu"),
  deviceWhy: z.string().optional(),
  precision: z.string(),
  text: z.string(),
  reasoning: z.string().nullable(),
  toolCalls: z.array(z.unknown()).max(0),
  brokenCalls: z.array(z.unknown()).max(0),
  tokens: z.array(z.int()).min(1),
  finishReason: z.enum(["stop", "length"]),
  stopReason: z.union([z.string(), z.number()]).nullable(),
  seed: z.number().nullable(),
  stats: z.strictObject({
    promptTokens: z.int().positive(),
    cachedTokens: z.int(),
    newTokens: z.int().positive(),
    prefillTokens: z.int().positive(),
    forwards: z.int(),
    tokensPerForward: z.number(),
    acceptedPredictionTokens: z.int(),
    rejectedPredictionTokens: z.int(),
    prefillMs: z.number().positive(),
    decodeMs: z.number(),
    tokensPerSecond: z.number(),
    accepted: z.array(z.int().positive()),
  }),
  settings: z.looseObject({ precision: z.string(), decoder: z.string(), seed: z.int().optional() }),
});
const generate = (...args: string[]): z.output<typeof generation> =>
  generation.parse(JSON.parse(good(["generate", "--json", "--max-new-tokens", "24", "--ignore-eos", ...args])));

describe("generate", () => {
  test("writes the text of its JSON, wherever the prompt comes from", () => {
    const { text } = generate("the prompt");
    const common = ["generate", "--max-new-tokens", "24", "--ignore-eos"];
    const written = text.endsWith("\n") ? text : `${text}\n`;
    const prompt = file("prompt.txt", "the prompt\n");
    const messages = '[{"role":"user","content":"the prompt"}]';
    expect(good([...common, "the prompt"])).toBe(written);
    expect(good([...common, "--prompt", "the prompt", "--color-passes"])).toBe(written);
    expect(good(common, "the prompt\n")).toBe(written);
    expect(good([...common, "--file", prompt])).toBe(written);
    expect(good([...common, "--messages", file("messages.json", messages)])).toBe(written);
    expect(good([...common, "--messages", "-"], messages)).toBe(written);
    expect(generate("the prompt", "--raw").stats.promptTokens).toBeLessThan(
      generate("the prompt", "--chat").stats.promptTokens,
    );
  });

  test("ends at a stop string", () => {
    const { text } = generate("the prompt");
    const stop = [...text].slice(2, 4).join("");
    const stopped = generate("the prompt", "--stop", stop);
    expect(stopped).toMatchObject({ finishReason: "stop", stopReason: stop, text: text.slice(0, text.indexOf(stop)) });
  });

  test("takes its configuration from a file, flags first, and prints it where asked", () => {
    const config = file("config.json", '{"decoder": "jacobi", "blockSize": 4, "seed": 5}');
    const { settings } = generate("hi", "--config", config, "--seed", "6");
    expect(settings).toMatchObject({ decoder: "jacobi", blockSize: 4, seed: 6, maxNewTokens: 24 });
    const { stderr } = cllm(["generate", "hi", "--config", config, "--verbose", "--max-new-tokens", "2"]);
    expect(stderr).toMatch(/^configuration: \{"command":"generate",.*"blockSize":4/);
  });

  test("dtype is another name of precision, on the command line and in the file; the command line wins", () => {
    const config = file("dtype.json", '{"precision": "int4"}');
    expect(generate("hi", "--dtype", "fp32", "--config", config, "--device", "auto").settings).toMatchObject({
      precision: "fp32",
    });
    expect(generate("hi", "--config", file("q4.json", '{"dtype": "q4"}')).settings).toMatchObject({
      precision: "int4",
    });
  });

  test("says how fast it was on standard error, unless it is quiet", () => {
    const args = ["generate", "hi", "--max-new-tokens", "4", "--stats"];
    expect(cllm(args).stderr).toMatch(/^4 tokens in .* tokens\/s, .* tokens per pass/);
    expect(cllm([...args, "--quiet"]).stderr).toBe("");
  });

  test.skipIf(process.platform === "win32")("ends well when its reader has seen enough", () => {
    const line = `"${process.execPath}" "${main}" generate hi --ignore-eos --max-new-tokens 200 | head -c 3; exit "\${PIPESTATUS[0]}"`;
    const { status, stderr, stdout } = spawnSync("bash", ["-c", line], { encoding: "utf8", env, input: "" });
    expect({ status, stderr }).toEqual({ status: 0, stderr: "" });
    expect(stdout.length).toBeGreaterThan(0);
  });

  test.skipIf(!existsSync("/dev/full"))("says that its output cannot be written", () => {
    const { status, stderr } = spawnSync("bash", ["-c", `"${process.execPath}" "${main}" info > /dev/full`], {
      encoding: "utf8",
      env,
    });
    expect(stderr).toMatch(/^cllm: error\[disk\]: cannot write the output \(.*ENOSPC.*\)\n$/);
    expect(status).toBe(1);
  });

  test.skipIf(process.platform === "win32")("ends with 130 on Ctrl-C, without an error", async () => {
    const child = spawn(process.execPath, [main, "generate", "--verbose"], { env, stdio: ["pipe", "pipe", "pipe"] });
    let stderr = "";
    child.stderr.on("data", (data) => {
      stderr += data;
      child.kill("SIGINT"); // it runs, and waits for a prompt on standard input
    });
    const [code] = await once(child, "close");
    expect(code).toBe(130);
    expect(stderr).toMatch(/^configuration: [^\n]*\n$/);
  });
});

describe("bench", () => {
  const decoder = z.strictObject({
    name: z.enum(PLAIN_DECODERS),
    tokensPerSecond: z.number().positive(),
    tokensPerSecondQuartiles: z.tuple([z.number(), z.number()]),
    tokensPerForward: z.number().min(1),
    speedup: z.number().positive(),
    speedupQuartiles: z.tuple([z.number(), z.number()]),
    mismatches: z.literal(0),
  });
  const shape = z.strictObject({
    model: z.string(),
    precision: z.literal("int8"),
    machine: z.string(),
    prompts: z.literal(2),
    maxNewTokens: z.literal(12),
    cost: z.record(z.enum(["2", "4", "8", "16", "32"]), z.number().positive()),
    decoders: z.array(decoder),
    refused: z.literal(1),
    commit: z.string().nullable(),
    sampling: z.strictObject({
      ...{ temperature: z.number(), topK: z.int(), topP: z.number(), minP: z.number(), seed: z.int().nullable() },
    }),
    settings: z.looseObject({ seed: z.int().optional() }),
  });
  const prompts = [
    '{"prompt": "the first", "id": 7}',
    '{"messages": [{"role": "user", "content": "the second"}]}',
    "",
    `{"prompt": "${"too long ".repeat(60)}"}`,
  ].join("\n");

  test("ends with one JSON object, ar among its decoders", () => {
    const path = file("prompts.jsonl", prompts);
    const args = [
      "bench",
      "--prompts",
      path,
      "--max-new-tokens",
      "12",
      "--decoders",
      "auto,jacobi",
      "--json",
      "--ignore-eos",
    ];
    const found = shape.parse(JSON.parse(good(args).trim().split("\n").at(-1)!));
    expect(found.decoders.map(({ name }) => name)).toEqual(["ar", "auto", "jacobi"]);
    expect(found.decoders[0]).toMatchObject({ speedup: 1, tokensPerForward: 1 });
  });

  test("finds the same tokens with every decoder, greedy and sampled", () => {
    const path = file("prompts.jsonl", prompts);
    for (const temperature of ["0", "0.8"]) {
      const args = ["bench", "--prompts", path, "--max-new-tokens", "12", "--temperature", temperature, "--json"];
      const { decoders } = shape.parse(JSON.parse(good(args)));
      expect(decoders.map(({ name }) => name).sort()).toEqual([...PLAIN_DECODERS].sort());
    }
  });

  test("prints a table for people", () => {
    const path = file("prompts.jsonl", prompts);
    const table = good(["bench", "--prompts", path, "--limit", "1", "--max-new-tokens", "8", "--runs", "2"]);
    for (const name of PLAIN_DECODERS) expect(table).toMatch(new RegExp(`^${name} .*x +\\d\\.\\d\\d +0$`, "m"));
    expect(table).toMatch(/^tokens in a pass +2 +4 +8 +16 +32$/m);
  });

  test.each([
    ['{"prompt": "good"}\n{"promt": "bad"}', /:2 must be a JSON object with either prompt or messages/],
    ['{"prompt": "good"}\n\n{"prompt": 7}', /:3: prompt must be a text, not 7/],
    ["{", /:1 is not JSON/],
    ["\n", /holds no prompts/],
  ])("names the line of a row that is none: %j", (content, message) => {
    const { status, stderr } = cllm(["bench", "--prompts", file("bad.jsonl", content)]);
    expect(stderr).toMatch(message);
    expect(status).toBe(1);
  });
});

describe("trajectory", () => {
  test("ends with what greedy decoding writes", () => {
    const block = ["trajectory", "the prompt", "--block-size", "8", "--blocks", "2"];
    const { blocks } = JSON.parse(good([...block, "--json"]));
    const fixedPoints = blocks.flatMap(({ points }: { points: number[][] }) => points.at(-1));
    expect(fixedPoints).toEqual(generate("the prompt", "--decoder", "ar").tokens.slice(0, fixedPoints.length));
    const text = good(block);
    expect(text).toMatch(/^the first of 8 tokens comes with the prompt, the others in \d pass(es)?/);
    expect(text).toMatch(/^ 0 {2}\d\/8 {2}.*│/m);
    expect(text).toMatch(/^ +\d {2}8\/8 {2}[^│]*$/m);
  });

  test("draws a picture that needs nothing else", () => {
    const path = join(scratch, "picture.svg");
    good(["trajectory", "a <b> & c", "--raw", "--block-size", "4", "--svg", path]);
    const svg = readFileSync(path, "utf8");
    expect(svg).toMatch(/^<svg xmlns="http:\/\/www\.w3\.org\/2000\/svg"/);
    expect(svg).toContain("prefers-color-scheme: dark");
    expect(svg.replaceAll('xmlns="http://www.w3.org/2000/svg"', "")).not.toMatch(/https?:|<script|<image/);
    expect(svg.replaceAll(/<\/?[a-z][^<>]*>/g, "")).not.toMatch(/[<>]|&(?!amp;|lt;|gt;|quot;)/);
  });

  test("makes the picture's folder, and says which file it cannot write", () => {
    good(["trajectory", "hi", "--quiet", "--svg", join(scratch, "new", "folder.svg")]);
    expect(readFileSync(join(scratch, "new", "folder.svg"), "utf8")).toMatch(/^<svg/);
    const below = join(file("no-folder", ""), "picture.svg");
    const { status, stderr } = cllm(["trajectory", "hi", "--svg", below]);
    expect(stderr).toMatch(/^cllm: error\[[a-z-]+\]: .*no-folder/);
    expect(status).toBe(1);
  });
});

describe("demo", () => {
  test("shows three prompts and closes with the table", () => {
    const shown = good(["demo", "--model", model, "--max-new-tokens", "8"]);
    expect(shown.match(/^> /gm)).toHaveLength(3);
    expect(shown.match(/same tokens$/gm)).toHaveLength(3 * (PLAIN_DECODERS.length - 2)); // suffix needs earlier answers
    expect(shown).toMatch(/^decoder +tokens\/s/m);
    expect(shown.trim().split("\n").at(-1)).toMatch(/^multiblock .* 0$/);
  });
});
