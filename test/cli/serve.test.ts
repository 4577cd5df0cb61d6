/** `cllm serve` from outside: the built command, a tiny real model, and signals. */
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterEach, describe, expect, test } from "vitest";
import { load } from "../../src/generate/load.ts";
import { writeTinyCheckpoint } from "../generate/tiny-checkpoint.ts";
import { builtCommand } from "./command.ts";

const cllm = builtCommand();
const chat = { messages: [{ role: "user", content: "hi" }], decoder: "ar" };

interface Served {
  readonly url: string;
  readonly models: readonly string[];
  readonly child: ChildProcess;
  /** Standard error so far. */
  log(): string;
  post(body: object, headers?: Record<string, string>): Promise<Response>;
}

const children: ChildProcess[] = [];
afterEach(() => {
  for (const child of children.splice(0)) child.kill("SIGKILL");
});

/** Starts a server and waits for its address. */
async function serve(args: readonly string[] = [], env: NodeJS.ProcessEnv = {}): Promise<Served> {
  const all = ["serve", "--port", "0", "--threads", "1", "--json", ...args];
  const child = spawn(process.execPath, [cllm.main, ...all], { env: { ...cllm.env, ...env }, cwd: cllm.scratch });
  children.push(child);
  let log = "";
  child.stderr!.on("data", (data: Buffer) => {
    log += data.toString();
  });
  const [line] = (await Promise.race([
    once(child.stdout!, "data"),
    once(child, "exit").then(() => {
      throw new Error(log);
    }),
  ])) as [Buffer];
  const { url, models } = JSON.parse(line.toString()) as { url: string; models: string[] };
  const post = (body: object, headers: Record<string, string> = {}): Promise<Response> =>
    fetch(`${url}/v1/chat/completions`, {
      method: "POST",
      headers: { "content-type": "application/json", ...headers },
      body: JSON.stringify({ model: models[0], ...chat, ...body }),
    });
  return { url, models, child, log: () => log, post };
}

const exitOf = async (child: ChildProcess): Promise<number | null> =>
  child.exitCode ?? ((await once(child, "exit")) as [number | null])[0];

/** The worker processes of a server. */
const workersOf = ({ pid }: ChildProcess): number[] =>
  readFileSync(`/proc/${pid}/task/${pid}/children`, "utf8")
    .trim()
    .split(/\s+/)
    .filter((child) => readFileSync(`/proc/${child}/cmdline`, "utf8").includes("worker.js"))
    .map(Number);

test("answers what the library writes, and ends when asked to", async () => {
  await using model = await load(cllm.model, { threads: 1 });
  const served = await serve(["--verbose", "--api-key", "sesame"]);
  const authorization = "Bearer sesame";
  const response = await served.post({ max_tokens: 12 }, { authorization });
  const expected = await model.generate({ messages: chat.messages as never, maxNewTokens: 12 });
  expect(await response.json()).toMatchObject({ choices: [{ message: { content: expected.text } }] });
  expect((await served.post({})).status).toBe(401);
  expect(served.models).toEqual(["tiny"]);
  served.child.kill("SIGTERM");
  expect(await exitOf(served.child)).toBe(143);
  expect(served.log()).toMatch(/POST "\/v1\/chat\/completions" 200 \d+ ms/);
  expect(served.log()).toMatch(/tiny: loaded in/);
  expect(served.log()).not.toMatch(/sesame/);
});

test("with --batch answers many at once as one by one", async () => {
  const served = await serve(["--batch", "--parallel", "3"]);
  const asked = Array.from({ length: 8 }, (_, i) => ({
    ...{ messages: [{ role: "user", content: `the ${i} and the ${i * i}` }], max_tokens: 5 + 3 * i },
    ...{ decoder: ["ar", "jacobi", "auto", "lookahead"][i % 4], temperature: i % 2, seed: i },
  }));
  const text = async (body: object): Promise<string> => {
    const { choices } = (await (await served.post(body)).json()) as { choices: { message: { content: string } }[] };
    return choices[0]!.message.content;
  };
  const together = await Promise.all(asked.map(text));
  const alone: string[] = [];
  for (const body of asked) alone.push(await text(body));
  expect(together).toEqual(alone);
});

test("models by other names, and adapters as model:name", async () => {
  const other = writeTinyCheckpoint(join(cllm.scratch, "other"), { seed: 2 });
  const args = ["--model", `a=${cllm.model}`, "-m", other, "--adapter", `a:b=${other}`];
  const served = await serve(args);
  expect(served.models).toEqual(["a", "other", "a:b"]);
  const lost = await served.post({ model: "a:b", max_tokens: 1 }); // its folder holds no adapter
  expect(lost.status).toBe(503);
  expect(await lost.text()).not.toMatch(/other/);
  expect(served.log()).toMatch(/a:b: not loaded: .*adapter/i);
});

describe.skipIf(!existsSync("/proc/self/task"))("a signal (skipped where /proc lists no processes)", () => {
  test.each(["SIGTERM", "SIGINT"] as const)(
    "%s lets running requests finish, and nothing new begin",
    async (signal) => {
      const served = await serve();
      await served.post({ max_tokens: 1 });
      const whole = (await (await served.post({ max_tokens: 200 })).json()) as { usage: unknown; choices: object[] };
      const response = await served.post({ max_tokens: 200, stream: true });
      const reader = response.body!.pipeThrough(new TextDecoderStream()).getReader();
      let text = (await reader.read()).value ?? "";
      for (const worker of workersOf(served.child)) process.kill(worker, signal); // as a terminal does to all of them
      served.child.kill(signal);
      for (let part = await reader.read(); !part.done; part = await reader.read()) text += part.value;
      expect(text.endsWith("data: [DONE]\n\n")).toBe(true);
      const deltas = [...text.matchAll(/"delta":\{"content":"((?:[^"\\]|\\.)*)"/g)].map(([, part]) =>
        JSON.parse(`"${part}"`),
      );
      expect(whole.choices).toMatchObject([{ message: { content: deltas.join("") } }]);
      await expect(served.post({})).rejects.toThrow();
      expect(await exitOf(served.child)).toBe(signal === "SIGTERM" ? 143 : 130);
    },
  );

  test("and a second one ends it at once, its workers too", async () => {
    const slow = writeTinyCheckpoint(join(cllm.scratch, "slow"), { contextLength: 8192 });
    const served = await serve(["--model", slow]);
    const response = await served.post({ max_tokens: 8000, stream: true, stop: "\u0000" });
    expect(response.status).toBe(200);
    const text = response.text().catch(() => "");
    const workers = workersOf(served.child);
    expect(workers).toHaveLength(1);
    served.child.kill("SIGTERM");
    while (!served.log().includes("finishing 1 requests")) await new Promise((resolve) => setTimeout(resolve, 10));
    served.child.kill("SIGTERM");
    expect(await exitOf(served.child)).toBe(143);
    await text;
    const alive = (pid: number): boolean => {
      try {
        return process.kill(pid, 0);
      } catch {
        return false;
      }
    };
    while (workers.some(alive)) await new Promise((resolve) => setTimeout(resolve, 10));
  });
});

test("takes its key from a file, and tells of ignored fields once, or refuses them", async () => {
  const file = join(cllm.scratch, "key");
  writeFileSync(file, "sesame\n");
  const served = await serve(["--api-key-file", file]);
  const headers = { authorization: "Bearer sesame" };
  expect((await served.post({ max_tokens: 1 })).status).toBe(401);
  for (let i = 0; i < 2; i++) expect((await served.post({ max_tokens: 1, metadata: {} }, headers)).status).toBe(200);
  expect(served.log().match(/ignored in a request: "metadata"/g)).toHaveLength(1);
  const strict = await serve(["--strict"]);
  expect((await strict.post({ max_tokens: 1, metadata: {} })).status).toBe(400);
});

describe("wrong usage", () => {
  test.each<[args: string[], message: RegExp]>([
    [
      ["--host", "0.0.0.0"],
      /--host 0\.0\.0\.0 can be reached from other machines, which needs a key; set CLLM_API_KEY/,
    ],
    [["--api-key", "a", "--api-key-file", "b"], /--api-key and --api-key-file are both given/],
    [["--model", "a=o/x", "--model", "a=o/y"], /two models have the name a/],
  ])("%j", (args, message) => {
    const { status, stderr } = cllm.run("serve", ...args);
    expect([status, stderr]).toEqual([2, expect.stringMatching(message)]);
  });

  test("an address that is taken", async () => {
    const { url } = await serve();
    const { stderr, status } = cllm.run("serve", "--port", new URL(url).port);
    expect([status, stderr]).toEqual([
      2,
      expect.stringMatching(/cannot listen on 127\.0\.0\.1, port \d+ .*give another/),
    ]);
  });
});
