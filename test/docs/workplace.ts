/**
 * A place where the documentation's commands and programs run as they are printed: the built package and its neighbours in
 * `node_modules`, `cllm` and `npx` on the path, a hub on this machine that has a tiny random model under the names that the pages
 * use, and the files that they name. Commands that would take long get a small configuration beside their printed flags.
 * Ports that are printed are taken for any that is free.
 */
import { type ChildProcess, spawn } from "node:child_process";
import {
  copyFileSync,
  cpSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { writeGguf } from "../../src/checkpoint/gguf/write.ts";
import { openCheckpoint } from "../../src/checkpoint/open.ts";
import { toGgufTokenizer } from "../../src/text/to-gguf.ts";
import { startHub } from "../checkpoint/hub-server.ts";
import { writeTinyCheckpoint } from "../generate/tiny-checkpoint.ts";
import { root } from "./pages.ts";

const REPOSITORY = "HuggingFaceTB/SmolLM2-135M-Instruct";
const NEIGHBOURS = ["zod", "hono", "@hono", "ai", "@ai-sdk", "openai", "@types"];

/** What a command is told beside its printed flags, which win: sizes alone. */
const SMALL: Readonly<Record<string, object>> = {
  train: { steps: 2, sequenceLength: 128, heldOut: 1, threads: 1 },
  collect: { maxNewTokens: 16, threads: 1 },
  batch: { threads: 1 },
  bench: { maxNewTokens: 4, limit: 2, threads: 1 },
  eval: { maxNewTokens: 4, sample: 2, threads: 1 },
  generate: { maxNewTokens: 16, threads: 1 },
  chat: { maxNewTokens: 16, threads: 1 },
};

/** Models and adapters that a page takes for granted: those that no command before it on the page makes. */
const MODELS: Readonly<Record<string, readonly string[]>> = {
  "docs/guide/evaluate.md": ["faq-cllm/best"],
  "docs/results/measure.md": ["faq-cllm/best"],
};
const ADAPTERS: Readonly<Record<string, readonly string[]>> = {
  "docs/guide/adapters.md": ["faq/best", "my-adapter"],
  "docs/guide/command-line.md": ["lora", "faq-lora/best"],
  "docs/guide/server.md": ["faq/best"],
};

/** Draws the ports that are printed, and finds them again. */
const PORTS = `
import { readFileSync, writeFileSync } from "node:fs";
import { Server } from "node:net";
const file = (port) => process.env.DOCS_PORTS + "/" + port;
const { listen } = Server.prototype;
Server.prototype.listen = function (...args) {
  const port = typeof args[0] === "object" && args[0] !== null ? args[0].port : args[0];
  if (port !== 3000 && port !== 8000) return listen.apply(this, args);
  this.once("listening", () => writeFileSync(file(port), String(this.address().port)));
  if (typeof args[0] === "object") args[0] = { ...args[0], port: 0 };
  else args[0] = 0;
  return listen.apply(this, args);
};
const { fetch } = globalThis;
globalThis.fetch = (input, init) => {
  const drawn = (url) => url.replace(/localhost:(3000|8000)/, (_, port) => "localhost:" + readFileSync(file(port), "utf8"));
  if (typeof input === "string" || input instanceof URL) return fetch(drawn(String(input)), init);
  return fetch(new Request(drawn(input.url), input), init);
};
`;

const CURL = `#!/bin/bash
args=()
for arg in "$@"; do
  for port in 3000 8000; do
    [[ $arg == *localhost:$port* ]] && arg="\${arg/localhost:$port/localhost:$(cat "$DOCS_PORTS/$port")}"
  done
  args+=("$arg")
done
exec /usr/bin/curl --fail --silent --show-error "\${args[@]}"
`;

export interface Ran {
  readonly status: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

export interface Workplace extends AsyncDisposable {
  readonly folder: string;
  /** A fresh folder with the files that pages name. */
  folderFor(name: string): Promise<string>;
  /** Runs a line in a shell. */
  sh(line: string, cwd: string): Promise<Ran>;
  /** Runs a program of this workplace. */
  node(file: string, cwd: string): Promise<Ran>;
  /** Starts what runs until it is ended, and comes back when it prints `until`. */
  start(what: { readonly line: string } | { readonly file: string }, cwd: string, until: RegExp): Promise<Server>;
}

export interface Server {
  /** Ends it; the exit status. */
  end(): Promise<number | null>;
}

export async function openWorkplace(): Promise<Workplace> {
  const folder = mkdtempSync(join(tmpdir(), "cllm-docs-"));
  const within = (...names: string[]): string => join(folder, ...names);
  const bin = within("bin");
  for (const name of ["bin", "ports", "home/.zfunc", "home/.config/fish/completions"])
    mkdirSync(within(name), { recursive: true });

  const installed = within("node_modules", "cllm");
  for (const part of ["dist", "models", "web", "package.json"])
    cpSync(join(root, part), join(installed, part), { recursive: true });
  symlinkSync(join(root, "node_modules"), join(installed, "node_modules"));
  for (const name of NEIGHBOURS) symlinkSync(join(root, "node_modules", name), within("node_modules", name));

  for (const [command, settings] of Object.entries(SMALL))
    writeFileSync(within(`${command}.json`), JSON.stringify(settings));
  for (const name of ["cllm", "npx"]) {
    const lines = [
      "#!/bin/sh",
      ...(name === "npx" ? ["shift"] : []),
      `[ -f "${folder}/$1.json" ] && set -- "$@" --config "${folder}/$1.json"`,
      `exec "${process.execPath}" "${join(installed, "dist/cli/main.js")}" "$@"`,
    ];
    writeFileSync(join(bin, name), `${lines.join("\n")}\n`, { mode: 0o755 });
  }
  writeFileSync(join(bin, "curl"), CURL, { mode: 0o755 });
  writeFileSync(within("ports.mjs"), PORTS);

  const tiny = writeTinyCheckpoint(within("tiny"), { contextLength: 2048 });
  const hub = await startHub(
    new Map(readdirSync(tiny).map((name) => [name, readFileSync(join(tiny, name))])),
    REPOSITORY,
  );
  writeData(within("data"));
  const { CLLM_MODEL: _, CLLM_MODELS: __, ...own } = process.env;
  const env: NodeJS.ProcessEnv = {
    ...own,
    HOME: within("home"),
    PATH: `${bin}:${process.env["PATH"]}`,
    NODE_OPTIONS: `--import=${within("ports.mjs")}`,
    DOCS_PORTS: within("ports"),
    CLLM_CACHE: within("cache"),
    CLLM_DATA: within("data"),
    HF_ENDPOINT: hub.url,
    NO_COLOR: "1",
  };
  const gguf = await asGguf(tiny, within("model.gguf"));

  const shell = (line: string): [string, string[]] => ["bash", ["-c", line]];
  const run = (program: string, args: readonly string[], cwd: string): Promise<Ran> => {
    const child = spawn(program, args, { cwd, env, stdio: ["ignore", "pipe", "pipe"] });
    return collect(child);
  };
  let made: Promise<string> | null = null;
  /** A tiny adapter, trained when it is first asked for. */
  const adapterFolder = (): Promise<string> => {
    made ??= trainAdapter();
    return made;
  };
  const trainAdapter = async (): Promise<string> => {
    writeFileSync(within("faq.jsonl"), FILES["faq.jsonl"]!);
    const flags = `--data faq.jsonl --answer-field answer --lora-rank 2 --out ${within("adapter")}`;
    const { status, stderr } = await place.sh(`cllm train --model ${tiny} ${flags}`, folder);
    if (status !== 0) throw new Error(stderr);
    return within("adapter", "best");
  };
  const place: Workplace = {
    folder,
    async folderFor(name) {
      const here = within("pages", name.replaceAll(/[^\w]/g, "-"));
      mkdirSync(here, { recursive: true });
      for (const file of ["model.gguf", "target.gguf"]) copyFileSync(gguf, join(here, file));
      for (const [file, text] of Object.entries(FILES)) writeFileSync(join(here, file), text);
      for (const model of MODELS[name] ?? []) cpSync(tiny, join(here, model), { recursive: true });
      for (const adapter of ADAPTERS[name] ?? [])
        cpSync(await adapterFolder(), join(here, adapter), { recursive: true });
      return here;
    },
    sh: (line, cwd) => run(...shell(line), cwd),
    node: (file, cwd) => run(process.execPath, [file], cwd),
    async start(what, cwd, until) {
      const [program, args] = "line" in what ? shell(`exec ${what.line}`) : [process.execPath, [what.file]];
      const child = spawn(program, args, { cwd, env, stdio: ["ignore", "pipe", "pipe"] });
      const ended = collect(child);
      await new Promise<void>((resolve, reject) => {
        let printed = "";
        child.stdout!.on("data", (piece) => {
          printed += piece;
          if (until.test(printed)) resolve();
        });
        const late = (): void => reject(new Error(`printed no ${until} in a minute, but ${JSON.stringify(printed)}`));
        setTimeout(late, 60_000).unref();
        ended.then(({ status, stderr }) => reject(new Error(`ended with ${status}: ${stderr}`)), reject);
      });
      return {
        async end() {
          child.kill();
          return (await ended).status;
        },
      };
    },
    async [Symbol.asyncDispose]() {
      await hub.close();
      rmSync(folder, { recursive: true, force: true, maxRetries: 3 });
    },
  };
  return place;
}

function collect(child: ChildProcess): Promise<Ran> {
  return new Promise((resolve, reject) => {
    let [stdout, stderr] = ["", ""];
    child.stdout!.on("data", (piece) => {
      stdout += piece;
    });
    child.stderr!.on("data", (piece) => {
      stderr += piece;
    });
    child.once("error", reject);
    child.once("close", (status) => resolve({ status, stdout, stderr }));
  });
}

async function asGguf(model: string, path: string): Promise<string> {
  const checkpoint = await openCheckpoint(model);
  const { name, config, weights, tokenizer } = checkpoint;
  await writeGguf(
    path,
    { name, config, weights, tokenizer: toGgufTokenizer(tokenizer, config.vocabSize) },
    { dtype: "F32" },
  );
  await checkpoint.close();
  return path;
}

const jsonl = (records: readonly object[]): string => records.map((record) => `${JSON.stringify(record)}\n`).join("");

const questions = ["What is the return policy?", "Do you ship abroad?", "Where are you?", "When do you open?"];

/** The files that pages name. */
const FILES: Readonly<Record<string, string>> = {
  "faq.jsonl": jsonl(questions.map((prompt) => ({ prompt, question: prompt, answer: "the and the" }))),
  "prompts.jsonl": jsonl(questions.map((prompt) => ({ prompt }))),
  "requests.jsonl": jsonl(
    questions.map((prompt, i) => ({
      ...{ custom_id: `r${i}`, method: "POST", url: "/v1/completions" },
      body: { model: "model", prompt, max_tokens: 4 },
    })),
  ),
  "questions.jsonl": jsonl([{ prompt: "1 and 1?", reference: "2", grader: "exact" }]),
  "sharegpt.json": JSON.stringify([
    {
      conversations: [
        { from: "human", value: "Hello" },
        { from: "gpt", value: "the and the" },
      ],
    },
  ]),
  "person.json": JSON.stringify({ type: "object", properties: { name: { type: "string" } }, required: ["name"] }),
  "chat.json": JSON.stringify([{ role: "user", content: "Hello" }]),
  "story.txt": "Once upon a time",
  "edit.txt": "Rename the variable one to first.",
  "server.ts": "const one = 1;\n",
  "prompt.txt": "Once upon a time",
};

function writeData(folder: string): void {
  mkdirSync(join(folder, "gsm8k"), { recursive: true });
  const records = Array.from({ length: 20 }, (_, n) => ({
    question: `What is ${n} and 1?`,
    answer: `It is ${n + 1}.\n#### ${n + 1}`,
  }));
  for (const split of ["train", "test"]) writeFileSync(join(folder, "gsm8k", `${split}.jsonl`), jsonl(records));
}
