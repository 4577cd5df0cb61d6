/** What a connection may do to others: what it sends ahead, what it leaves behind, how slowly it speaks. */
import { once } from "node:events";
import { connect, type Socket } from "node:net";
import { afterEach, describe, expect, test } from "vitest";
import type { Session } from "../../src/runtime/session.ts";
import { inThisProcess } from "../../src/serve/backend.ts";
import { createModels } from "../../src/serve/models.ts";
import { type ListenOptions, listen } from "../../src/serve/server.ts";
import { scriptedLanguageModel } from "../generate/scripted-language-model.ts";
import { COMPLETION, type Json } from "./serving.ts";

const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));
async function until(condition: () => boolean): Promise<void> {
  while (!condition()) await turn();
}

const open: (() => Promise<void>)[] = [];
afterEach(async () => {
  for (const close of open.splice(0)) await close();
});

/** A listening server over a model that runs one request at a time whose passes are counted, and wait while they are held. */
async function listening(options: Partial<ListenOptions> = {}) {
  let passes = 0;
  let held = false;
  const waiting: (() => void)[] = [];
  const wrap = (session: Session): Session => {
    const forward: Session["forward"] = async (tokens, forest) => {
      passes++;
      if (held) await new Promise<void>((resolve) => waiting.push(resolve));
      else await turn();
      return session.forward(tokens, forest);
    };
    return Object.create(session, { forward: { value: forward } });
  };
  const model = scriptedLanguageModel({ wrap });
  const models = createModels([{ name: "m", start: async () => inThisProcess(model) }], {
    maxRunning: 1,
    maxWaiting: 128,
  });
  const server = await listen({ host: "127.0.0.1", port: 0, models, drainMs: 100, ...options });
  const sockets: Socket[] = [];
  open.push(async () => {
    held = false;
    for (const go of waiting.splice(0)) go();
    for (const socket of sockets) socket.destroy();
    await server.drain();
  });
  return {
    ...{ models, server, passes: () => passes },
    hold(): void {
      held = true;
    },
    /** Lets the passes that wait through, and the later ones too unless they are still held. */
    release(still: boolean): void {
      held = still;
      for (const go of waiting.splice(0)) go();
    },
    waiting: () => waiting.length,
    async connect(): Promise<Socket> {
      const socket = connect(Number(new URL(server.url).port), "127.0.0.1");
      sockets.push(socket);
      socket.on("error", () => {});
      await once(socket, "connect");
      return socket;
    },
    ask: (prompt: string, more: object = {}): Promise<Response> =>
      fetch(server.url + COMPLETION, {
        ...{ method: "POST", headers: { "content-type": "application/json" } },
        body: JSON.stringify({ model: "m", prompt, max_tokens: 8, decoder: "ar", ...more }),
      }),
  };
}

const raw = (body: object, host = "127.0.0.1"): string => {
  const text = JSON.stringify(body);
  const head = `POST ${COMPLETION} HTTP/1.1\r\nHost: ${host}\r\nContent-Type: application/json\r\n`;
  return `${head}Content-Length: ${Buffer.byteLength(text)}\r\n\r\n${text}`;
};
const long = { model: "m", prompt: "once", max_tokens: 400, decoder: "ar", stop: "\u0000never" };

/** Whole answers in what a connection said. */
const answersIn = (text: string): number => text.match(/"object":"text_completion"/g)?.length ?? 0;

describe("requests that are sent ahead", () => {
  test("are answered in order, one at a time", async () => {
    const served = await listening();
    const socket = await served.connect();
    let said = "";
    socket.on("data", (chunk) => {
      said += chunk;
      expect(served.models.status()[0]!.running + served.models.status()[0]!.waiting).toBeLessThanOrEqual(1);
    });
    socket.write([1, 2, 3, 4, 5].map((max_tokens) => raw({ ...long, max_tokens })).join(""));
    await until(() => answersIn(said) === 5);
    const tokens = [...said.matchAll(/"completion_tokens":(\d+)/g)].map(([, count]) => Number(count));
    expect(tokens).toEqual([1, 2, 3, 4, 5]);
  });

  test("of a connection that is gone are not computed: somebody else waits for one pass", async () => {
    const served = await listening();
    const crowd = await served.connect();
    served.hold();
    crowd.write(raw(long).repeat(129));
    await until(() => served.waiting() === 1); // the first pass of the first request
    expect(served.models.status()[0]).toMatchObject({ running: 1, waiting: 0 });
    const other = served.ask("another user", { max_tokens: 1 });
    await until(() => served.models.status()[0]!.waiting === 1);
    crowd.destroy();
    const before = served.passes();
    await turn();
    while (served.models.status()[0]!.waiting === 1) {
      served.release(true);
      await turn();
    }
    const waited = served.passes() - before - 1; // the last one is the other's own
    expect(waited).toBeLessThanOrEqual(1);
    served.release(false);
    expect((await other).status).toBe(200);
    await until(() => served.models.status()[0]!.running === 0);
    expect(served.passes() - before).toBeLessThanOrEqual(2);
  });

  test("more than there is room for cut the connection, and cost nobody anything", async () => {
    const notes: string[] = [];
    const served = await listening({ note: (line) => void notes.push(line) });
    served.hold();
    const socket = await served.connect();
    socket.write(raw(long).repeat(1000));
    await new Promise((resolve) => socket.once("close", resolve)); // it may be reset
    expect(notes).toEqual(["a connection was cut that sent more than 128 requests ahead"]);
    served.release(false);
    await until(() => served.models.status()[0]!.running === 0);
    expect(served.passes()).toBeLessThanOrEqual(1);
    expect((await served.ask("once")).status).toBe(200);
  });

  test("as many as there is room for are all answered", async () => {
    const served = await listening();
    const socket = await served.connect();
    let said = "";
    socket.on("data", (chunk) => {
      said += chunk;
    });
    socket.write(raw({ ...long, max_tokens: 1 }).repeat(129));
    await until(() => answersIn(said) === 129);
  });
});

test("many connections that are gone leave nothing behind", async () => {
  const served = await listening();
  served.hold();
  const crowd = await Promise.all(Array.from({ length: 20 }, () => served.connect()));
  for (const socket of crowd) socket.write(raw(long).repeat(50));
  await until(() => served.models.status()[0]!.waiting === 19);
  for (const socket of crowd) socket.destroy();
  await until(() => served.models.status()[0]!.waiting === 0);
  served.release(false);
  await until(() => served.models.status()[0]!.running === 0);
  expect(served.passes()).toBeLessThanOrEqual(2);
});

test("a body that comes too slowly is answered in time, and its connection ends", async () => {
  const served = await listening({ timeoutMs: 200 });
  const socket = await served.connect();
  let said = "";
  socket.on("data", (chunk) => {
    said += chunk;
  });
  socket.write(raw(long).slice(0, -10));
  const drip = setInterval(() => socket.write(" "), 50);
  await once(socket, "close");
  clearInterval(drip);
  expect(said).toMatch(/^HTTP\/1.1 408/);
  expect(said).toMatch(/"code":"timeout"/);
});

test("a server that ends gives up what runs longer than it has time for", async () => {
  const served = await listening({ drainMs: 50 });
  served.hold();
  const running = served.ask("once", { max_tokens: 100 });
  const streamed = served.ask("once", { max_tokens: 100, stream: true });
  await until(() => served.models.status()[0]!.waiting === 1);
  await served.server.drain(); // though its passes never end
  for (const answer of [await running, await streamed]) {
    expect(answer.status).toBe(503);
    expect(((await answer.json()) as Json).error).toMatchObject({ code: "unavailable", message: /shutting down/ });
  }
});
