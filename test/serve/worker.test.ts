/** A real model in a real worker, from the build: the library's answers, aborts, and what becomes of a killed one. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, test } from "vitest";
import { load } from "../../src/generate/load.ts";
import { createApp } from "../../src/serve/app.ts";
import type { PassEvent, ServedRequest } from "../../src/serve/backend.ts";
import { type Host, startModel } from "../../src/serve/model-host.ts";
import { createModels } from "../../src/serve/models.ts";
import { writeTinyCheckpoint } from "../generate/tiny-checkpoint.ts";
import { CHAT, eventsOf, type Json, post, textOf } from "./serving.ts";

const scratch = mkdtempSync(join(tmpdir(), "cllm-worker-"));
const path = writeTinyCheckpoint(join(scratch, "tiny"));
const options = { cacheDir: join(scratch, "cache"), threads: 1 };
const workerFile = new URL("../../dist/serve/worker.js", import.meta.url);
const forever = new AbortController().signal;
const request: ServedRequest = { prompt: "once upon a time", maxNewTokens: 40, ignoreEos: true, decoder: "jacobi" };

const hosts: Host[] = [];
async function start(more: Partial<Parameters<typeof startModel>[0]> = {}): Promise<Host> {
  const host = await startModel({ model: path, options, workerFile, admit: async () => {}, onEnd: () => {}, ...more });
  hosts.push(host);
  return host;
}
afterAll(async () => {
  await Promise.all(hosts.map((host) => host.dispose()));
  rmSync(scratch, { recursive: true, force: true });
});

async function collect(host: Host, asked: ServedRequest, signal: AbortSignal = forever) {
  const events: PassEvent[] = [];
  for await (const { event, generation } of host.run(asked, signal)) {
    if (generation !== undefined) return { events, generation };
    events.push(event!);
  }
  throw new Error("the run has no end");
}

describe("a worker", async () => {
  const host = await start();

  test("writes what the library writes, several requests at once", async () => {
    await using model = await load(path, options);
    const requests: ServedRequest[] = [
      request,
      { messages: [{ role: "user", content: "hi" }], maxNewTokens: 20, decoder: "ar" },
      { ...request, temperature: 1, seed: 5, passes: true },
    ];
    const served = await Promise.all(requests.map((each) => collect(host, each)));
    for (const [i, { events, generation }] of served.entries()) {
      const { passes, ...plain } = requests[i]!;
      const expected = await model.generate(plain);
      expect(generation).toMatchObject({ text: expected.text, finishReason: expected.finishReason });
      expect(events.map(({ text }) => text).join("")).toBe(expected.text);
      if (passes) {
        const ids = events.flatMap(({ pass }) => pass?.accepted.map(({ id }) => id) ?? []);
        expect(ids).toEqual([...expected.tokens]);
      }
    }
  });

  test("tells what is wrong with a request", async () => {
    const overflow = collect(host, { ...request, maxNewTokens: 4000 });
    await expect(overflow).rejects.toMatchObject({ code: "context-overflow", message: /in the context of 256/ });
    await expect(collect(host, {})).rejects.toMatchObject({ code: "usage" });
  });

  test("stops within a pass where the request is aborted or nobody reads on, and goes on with others", async () => {
    const cancel = new AbortController();
    const long = { ...request, decoder: "ar", maxNewTokens: 200 } as const;
    let more = -1;
    const aborted = async (): Promise<void> => {
      for await (const _ of host.run(long, cancel.signal)) if (++more === 0) cancel.abort();
    };
    await expect(aborted()).rejects.toMatchObject({ code: "aborted" });
    expect(more).toBeLessThan(150); // some were posted before the abort was read
    for await (const _ of host.run(long, forever)) break;
    expect((await collect(host, request)).generation.finishReason).toBe("length");
    await expect(collect(host, request, AbortSignal.abort())).rejects.toMatchObject({ code: "aborted" });
  });
});

test("a long prompt is encoded where nobody waits for it, and gives the same", async () => {
  const wide = writeTinyCheckpoint(join(scratch, "wide"), { contextLength: 8192 });
  const host = await start({ model: wide });
  await using model = await load(wide, options);
  const long: ServedRequest = { prompt: "the winding road and the sea ".repeat(400), maxNewTokens: 4, decoder: "ar" };
  const chat: ServedRequest = { messages: [{ role: "user", content: long.prompt! }], maxNewTokens: 4, decoder: "ar" };
  const done: string[] = [];
  const ask = async (name: string, asked: ServedRequest): Promise<void> => {
    const { generation } = await collect(host, asked);
    done.push(name);
    expect(generation.text).toBe((await model.generate(asked)).text);
  };
  await Promise.all([ask("long", long), ask("chat", chat), ask("short", { ...request, maxNewTokens: 1 })]);
  expect(done).toEqual(["short", "long", "chat"]);
  const book = { ...long, prompt: "x".repeat(1_000_000) };
  await expect(collect(host, book)).rejects.toMatchObject({ code: "context-overflow", message: /at least \d+ tokens/ });
  const cancel = new AbortController();
  const left = collect(host, long, cancel.signal);
  cancel.abort();
  await expect(left).rejects.toMatchObject({ code: "aborted" });
  await ask("after", long);
});

test("a worker says what it will take, and takes nothing where that is refused", async () => {
  let ended = 0;
  const refuse = async (bytes: number): Promise<void> => {
    expect(bytes).toBeGreaterThan(50_000);
    throw new Error("no room");
  };
  await expect(start({ admit: refuse, onEnd: () => ended++ })).rejects.toThrow("no room");
  expect(ended).toBe(1);
});

describe("a worker that hangs is ended, and its requests are told so", () => {
  const long: ServedRequest = { ...request, decoder: "ar", maxNewTokens: 200 };

  test("where it has no pulse", async () => {
    let ended = 0;
    const host = await start({ patience: { lookMs: 100, running: 20 }, onEnd: () => ended++ });
    await collect(host, request); // so that there was one
    process.kill(host.pid, "SIGSTOP");
    await expect(collect(host, long)).rejects.toMatchObject({ code: "unavailable", message: /did not answer/ });
    expect(ended).toBe(1);
  });

  test("where it goes on with what nobody wants", async () => {
    const host = await start({ patience: { abortMs: 100 } });
    process.kill(host.pid, "SIGSTOP");
    const cancel = new AbortController();
    const asked = collect(host, long, cancel.signal);
    const other = collect(host, long);
    cancel.abort();
    for (const each of [asked, other])
      await expect(each).rejects.toMatchObject({ code: "unavailable", message: /did not stop/ });
  });

  test("and not where a pass takes long", async () => {
    const host = await start({ patience: { lookMs: 100, running: 20 } });
    await new Promise((resolve) => setTimeout(resolve, 4000)); // in which its main thread says nothing
    expect((await collect(host, request)).generation.finishReason).toBe("length");
  });
});

test("a model that is none is an error of loading", async () => {
  let ended = 0;
  const missing = start({ model: join(scratch, "none.gguf"), onEnd: () => ended++ });
  await expect(missing).rejects.toMatchObject({ code: "not-found", message: /none\.gguf/ });
  expect(ended).toBe(1);
});

test("killed under load: its requests are told so, others are answered, the next request starts it again", async () => {
  const running: Host[] = [];
  const started = (name: string) => ({
    name,
    start: async (admit: (bytes: number) => Promise<void>, onEnd: () => void) => {
      const host = await start({ admit, onEnd });
      if (name === "doomed") running.push(host);
      return host;
    },
  });
  const models = createModels([started("doomed"), started("other")], { maxRunning: 4, maxWaiting: 16 });
  const app = createApp({ models });
  const body = (model: string): object => ({
    ...{ model, decoder: "ar", max_tokens: 180, stream: true },
    messages: [{ role: "user", content: "hi" }],
    stop: "\u0000never",
  });
  await Promise.all(["doomed", "other"].map((name) => post(app, CHAT, body(name)).then(eventsOf)));
  const streams = await Promise.all(Array.from({ length: 4 }, () => post(app, CHAT, body("doomed"))));
  const waiting = Array.from({ length: 3 }, () => post(app, CHAT, { ...body("doomed"), stream: false }));
  const others = Array.from({ length: 3 }, () => post(app, CHAT, body("other")));
  process.kill(running[0]!.pid, "SIGKILL");
  for (const stream of streams) {
    const last = (await stream.text()).trimEnd().split("\n\n").at(-1)!;
    if (last === "data: [DONE]") continue; // it was done before
    expect(JSON.parse(last.slice("data: ".length))).toMatchObject({
      error: { code: "unavailable", message: /worker ended \(SIGKILL\)/ },
    });
  }
  const texts = [];
  for (const other of others) texts.push(textOf(await eventsOf(await other)));
  expect(new Set(texts).size).toBe(1);
  for (const answer of await Promise.all(waiting)) {
    // Those that waited for a turn find the worker started again; one that was let in too early is told.
    expect([200, 503]).toContain(answer.status);
    if (answer.status === 503) expect(await answer.json()).toMatchObject({ error: { code: "unavailable" } });
  }
  const again = await eventsOf(await post(app, CHAT, body("doomed")));
  expect(textOf(again)).toBe(texts[0]);
  expect(running).toHaveLength(2);
  expect((await app.request("/health")).status).toBe(200);
  expect(((await (await app.request("/v1/models")).json()) as Json).data).toHaveLength(2);
});
