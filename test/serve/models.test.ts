/** Models of a server: loaded when asked for, unloaded where memory is limited, started again after they ended. */
import { describe, expect, test } from "vitest";
import { CllmError } from "../../src/error.ts";
import { type Backend, inThisProcess } from "../../src/serve/backend.ts";
import { createModels, type ModelEntry, type Models, type ModelsOptions } from "../../src/serve/models.ts";
import { scriptedLanguageModel } from "../generate/scripted-language-model.ts";

const forever = new AbortController().signal;
const somebody = { address: "", name: "" };
const request = { prompt: "once", maxNewTokens: 3 };

/** Models of given sizes, and what happened to them. */
function sized(sizes: Readonly<Record<string, number>>, options: Partial<ModelsOptions> = {}) {
  const events: string[] = [];
  const end = new Map<string, () => void>();
  const entries = Object.entries(sizes).map(
    ([name, bytes]): ModelEntry => ({
      name,
      async start(admit, onEnd) {
        await admit(bytes);
        events.push(`+${name}`);
        end.set(name, onEnd);
        const backend = inThisProcess(scriptedLanguageModel());
        const dispose = async (): Promise<void> => {
          events.push(`-${name}`);
          await backend.dispose();
        };
        return { ...backend, dispose } satisfies Backend;
      },
    }),
  );
  return { models: createModels(entries, { maxRunning: 2, maxWaiting: 8, ...options }), events, end };
}

async function use(models: Models, name: string): Promise<void> {
  const lease = await models.lease(name, somebody, forever);
  try {
    for await (const _ of lease.run(request, forever));
  } finally {
    lease.release();
  }
}

test("a model is loaded once, when it is first asked for, however many ask", async () => {
  const { models, events } = sized({ a: 1, b: 1 });
  expect(models.status().map(({ loaded }) => loaded)).toEqual([false, false]);
  await Promise.all([use(models, "a"), use(models, "a"), use(models, "a")]);
  await use(models, "a");
  expect(events).toEqual(["+a"]);
  expect(models.status()).toMatchObject([
    { name: "a", loaded: true, loads: 1 },
    { name: "b", loaded: false },
  ]);
});

test("the least recently used idle models make room", async () => {
  const { models, events } = sized({ a: 40, b: 40, c: 50 }, { memoryLimit: 100 });
  for (const name of ["a", "b", "a", "c"]) await use(models, name); // a and b fit, c needs room
  expect(events).toEqual(["+a", "+b", "-b", "+c"]);
  await use(models, "b");
  expect(events.slice(4)).toEqual(["-a", "+b"]);
});

test("a model in use stays, and one that finds no room says so", async () => {
  const { models, events } = sized({ a: 60, b: 60 }, { memoryLimit: 100 });
  const lease = await models.lease("a", somebody, forever);
  await expect(use(models, "b")).rejects.toMatchObject({ code: "unavailable", message: /leave no room for b/ });
  lease.release();
  await use(models, "b");
  expect(events).toEqual(["+a", "-a", "+b"]);
});

test("a model larger than the limit is never loaded", async () => {
  const { models, events } = sized({ a: 101, b: 60 }, { memoryLimit: 100 });
  await use(models, "b");
  await expect(use(models, "a")).rejects.toMatchObject({ code: "unavailable", message: /a needs about .* limit is/ });
  expect(events).toEqual(["+b"]);
});

test("a model that ended is started again by the next request", async () => {
  const lines: string[] = [];
  const { models, events, end } = sized({ a: 1 }, { log: (line) => void lines.push(line) });
  await use(models, "a");
  end.get("a")!();
  expect(models.status()[0]).toMatchObject({ loaded: false });
  expect(lines.at(-1)).toMatch(/a: its worker ended/);
  await use(models, "a");
  expect(events).toEqual(["+a", "+a"]);
});

test("one that cannot be loaded tells its path to the log and not to the client, and is tried again", async () => {
  const lines: string[] = [];
  let tries = 0;
  const start = async (): Promise<Backend> => {
    if (tries++ === 0) throw new CllmError("bad-file", "/somewhere/model.gguf is damaged");
    return inThisProcess(scriptedLanguageModel());
  };
  const log = (line: string): void => void lines.push(line);
  const models = createModels([{ name: "a", start }], { maxRunning: 1, maxWaiting: 1, log });
  const failure = await use(models, "a").catch((error: unknown) => error as CllmError);
  expect(failure).toMatchObject({ code: "unavailable" });
  expect((failure as CllmError).message).not.toMatch(/somewhere/);
  expect(lines.join("\n")).toMatch(/\/somewhere\/model/);
  await use(models, "a");
  expect(tries).toBe(2);
});

test("who stops waiting for a model to load does not stop it for others", async () => {
  let go = (): void => {};
  const started = new Promise<void>((resolve) => {
    go = resolve;
  });
  const start = async (): Promise<Backend> => {
    await started;
    return inThisProcess(scriptedLanguageModel());
  };
  const models = createModels([{ name: "a", start }], { maxRunning: 2, maxWaiting: 1 });
  const cancel = new AbortController();
  const first = models.lease("a", somebody, cancel.signal);
  const second = models.lease("a", somebody, forever);
  cancel.abort();
  await expect(first).rejects.toMatchObject({ code: "aborted" });
  go();
  (await second).release();
  expect(models.status()[0]).toMatchObject({ running: 0, loaded: true });
});

describe("names", () => {
  test("are looked up in the list", async () => {
    const { models } = sized({ "text-to-sql": 1 });
    const near = { code: "not-found", message: /did you mean model text-to-sql|text-to-sql/ };
    await expect(use(models, "text-to-sq")).rejects.toMatchObject(near);
    for (const name of ["../text-to-sql", "/etc/passwd", "__proto__", "constructor", ""])
      await expect(use(models, name)).rejects.toMatchObject({ code: "not-found" });
  });

  test("are unique", () => {
    const entry: ModelEntry = { name: "a", start: async () => inThisProcess(scriptedLanguageModel()) };
    expect(() => createModels([entry, entry], { maxRunning: 1, maxWaiting: 1 })).toThrow(/two models have the name a/);
  });
});
