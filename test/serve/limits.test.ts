/** Limits: the queue and its turns, time, clients that go away, a server that shuts down. */
import { setMaxListeners } from "node:events";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import type { Session } from "../../src/runtime/session.ts";
import { type Client, createQueue } from "../../src/serve/queue.ts";
import { CHAT, eventsOf, type Json, post, serving } from "./serving.ts";

const chat = { model: "scripted", messages: [{ role: "user", content: "hi" }], decoder: "ar" };

/** A model whose passes go through a gate: each waits until it is let through. */
function gated() {
  const waiting: (() => void)[] = [];
  let open = false;
  let passes = 0;
  const pass = async (): Promise<void> => {
    passes++;
    if (!open) await new Promise<void>((resolve) => waiting.push(resolve));
  };
  const wrap = (session: Session): Session => {
    const forward: Session["forward"] = async (tokens, forest) => {
      await pass();
      return session.forward(tokens, forest);
    };
    return Object.create(session, { forward: { value: forward } });
  };
  return {
    wrap,
    passes: () => passes,
    /** Waits until this many passes wait, and lets them through. */
    async letThrough(count: number): Promise<void> {
      while (waiting.length < count) await turn();
      for (const go of waiting.splice(0, count)) go();
    },
    openForGood(): void {
      open = true;
      for (const go of waiting.splice(0)) go();
    },
  };
}

const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));
async function until(condition: () => boolean): Promise<void> {
  while (!condition()) await turn();
}

describe("a queue", () => {
  const forever = new AbortController().signal;
  setMaxListeners(0, forever);
  /** `b1` is the first client of address `b`. */
  const named = (client: string): Client => ({ address: client.slice(0, 1), name: client });

  test("never has more in it than it may, loses nobody, and grants every client its turn", async () => {
    const step = fc.oneof(
      fc.record({ do: fc.constant("ask" as const), client: fc.constantFrom("a", "b1", "b2", "c") }),
      fc.record({ do: fc.constant("release" as const), pick: fc.nat() }),
      fc.record({ do: fc.constant("abort" as const), pick: fc.nat() }),
    );
    const plans = fc.array(step, { maxLength: 60 });
    await fc.assert(
      fc.asyncProperty(
        plans,
        fc.integer({ min: 1, max: 3 }),
        fc.nat({ max: 5 }),
        async (steps, maxRunning, maxWaiting) => {
          const queue = createQueue({ maxRunning, maxWaiting });
          const asked: { client: string; cancel: AbortController; state: string; release: () => void }[] = [];
          for (const each of steps) {
            if (each.do === "ask") {
              const cancel = new AbortController();
              const request = { client: each.client, cancel, state: "waiting", release: () => {} };
              asked.push(request);
              queue.acquire(named(each.client), cancel.signal).then(
                (release) => Object.assign(request, { state: "running", release }),
                (error) => Object.assign(request, { state: error.code }),
              );
            } else {
              const state = each.do === "release" ? "running" : "waiting";
              const among = asked.filter((request) => request.state === state);
              const request = among[each.pick % Math.max(1, among.length)];
              if (request === undefined) continue;
              if (each.do === "release") {
                request.state = "done";
                request.release();
                request.release(); // which does nothing
              } else request.cancel.abort();
            }
            await turn();
            const count = (state: string): number => asked.filter((request) => request.state === state).length;
            expect([queue.running, queue.waiting]).toEqual([count("running"), count("waiting")]);
            expect(queue.running).toBeLessThanOrEqual(maxRunning);
            expect(queue.waiting).toBeLessThanOrEqual(maxWaiting);
            if (queue.waiting > 0) expect(queue.running).toBe(maxRunning);
          }
        },
      ),
      { numRuns: 100 },
    );
  });

  test("shares between addresses first, then between the clients of each", async () => {
    const queue = createQueue({ maxRunning: 1, maxWaiting: 99 });
    const order: string[] = [];
    const ask = async (client: string): Promise<void> => {
      const release = await queue.acquire(named(client), forever);
      order.push(client);
      await turn();
      release();
    };
    await Promise.all(["a1", "a1", "a2", "a3", "b1", "b1", "a1"].map(ask));
    expect(order).toEqual(["a1", "a1", "b1", "a2", "b1", "a3", "a1"]);
  });

  test("gives a free turn to whoever has fewest", async () => {
    const queue = createQueue({ maxRunning: 3, maxWaiting: 99 });
    const releases = [];
    for (const client of ["a1", "a2", "b1"]) releases.push(await queue.acquire(named(client), forever));
    const order: string[] = [];
    for (const client of ["a3", "b2", "c1"]) void queue.acquire(named(client), forever).then(() => order.push(client));
    await turn();
    for (const release of releases) {
      release();
      await turn();
    }
    expect(order).toEqual(["c1", "a3", "b2"]);
  });

  test("is filled by nobody alone: where it is full, whoever has most gives way to whoever has less", async () => {
    const clients = fc.array(fc.constantFrom("a1", "a2", "a3", "b1", "b2", "c1"), { maxLength: 40 });
    await fc.assert(
      fc.asyncProperty(clients, fc.integer({ min: 1, max: 8 }), async (asks, maxWaiting) => {
        const queue = createQueue({ maxRunning: 1, maxWaiting });
        await queue.acquire(named("z"), forever);
        const asked: { client: string; state: string }[] = [];
        const count = (prefix: string): number =>
          asked.filter(({ client, state }) => state === "waiting" && client.startsWith(prefix)).length;
        for (const client of asks) {
          const before = new Map(["", "a", "b", "c", "a1", "a2", "a3", "b1", "b2", "c1"].map((p) => [p, count(p)]));
          const had = (prefix: string): number => before.get(prefix)!;
          const own = { client, state: "waiting" };
          asked.push(own);
          const given = asked.filter(({ state }) => state === "waiting");
          queue.acquire(named(client), forever).catch((error) => Object.assign(own, { state: error.code }));
          await turn();
          const gaveWay = given.filter(({ state }) => state === "busy");
          expect(gaveWay).toHaveLength(had("") === maxWaiting ? 1 : 0);
          const [loser] = gaveWay;
          if (loser === undefined) continue;
          const address = client.slice(0, 1);
          if (loser === own) {
            for (const other of ["a", "b", "c"])
              if (other !== address) expect(had(other)).toBeLessThanOrEqual(had(address) + 1);
            for (const [other, waiting] of before)
              if (other.length === 2 && other.startsWith(address)) expect(waiting).toBeLessThanOrEqual(had(client) + 1);
          } else if (loser.client.startsWith(address)) expect(had(loser.client)).toBeGreaterThan(had(client) + 1);
          else expect(had(loser.client.slice(0, 1))).toBe(Math.max(had("a"), had("b"), had("c")));
        }
      }),
      { numRuns: 100 },
    );
  });

  test("lets clients take turns, and each client's requests keep their order", async () => {
    const queue = createQueue({ maxRunning: 1, maxWaiting: 99 });
    const order: string[] = [];
    const ask = async (client: string, name: string): Promise<void> => {
      const release = await queue.acquire(named(client), forever);
      order.push(name);
      await turn();
      release();
    };
    const crowd = ["a1", "a2", "a3", "a4"].map((name) => ask("a", name));
    await Promise.all([...crowd, ask("b", "b1"), ask("c", "c1"), ask("b", "b2")]);
    expect(order).toEqual(["a1", "a2", "b1", "c1", "a3", "b2", "a4"]);
  });
});

test("a request beyond the queue is told when to come back", async () => {
  const gate = gated();
  const { app, models } = serving({ model: { wrap: gate.wrap }, models: { maxRunning: 1, maxWaiting: 1 } });
  const first = post(app, CHAT, chat);
  await until(() => models.status()[0]!.running === 1);
  const second = post(app, CHAT, chat);
  await until(() => models.status()[0]!.waiting === 1);
  const third = await post(app, CHAT, chat);
  expect(third.status).toBe(429);
  expect(Number(third.headers.get("retry-after"))).toBeGreaterThanOrEqual(1);
  expect(await third.json()).toMatchObject({ error: { code: "rate_limit_exceeded", type: "rate_limit_error" } });
  gate.openForGood();
  expect([(await first).status, (await second).status]).toEqual([200, 200]);
  expect(await (await first).json()).toMatchObject({ choices: ((await (await second).json()) as Json).choices });
});

describe("a request that takes too long", () => {
  test("is told so, waiting or running, and its turn is over", async () => {
    const gate = gated();
    const app = { timeoutMs: 60 };
    const served = serving({ model: { wrap: gate.wrap }, models: { maxRunning: 1 }, app });
    const running = post(served.app, CHAT, chat);
    await until(() => gate.passes() === 1);
    const waiting = await post(served.app, CHAT, chat);
    expect(waiting.status).toBe(408);
    expect(await waiting.json()).toMatchObject({ error: { code: "timeout" } });
    expect((await running).status).toBe(408); // though its pass goes on, which cannot be interrupted
    expect(served.models.status()[0]).toMatchObject({ running: 1, waiting: 0 });
    gate.openForGood();
    await until(() => served.models.status()[0]!.running === 0);
    expect(served.model.alive()).toBeLessThanOrEqual(1);
  });

  test("as a stream that has begun ends with the error", async () => {
    const gate = gated();
    const { app } = serving({ model: { wrap: gate.wrap }, app: { timeoutMs: 300 } });
    const asked = post(app, CHAT, { ...chat, stream: true });
    await gate.letThrough(1);
    const response = await asked;
    expect(response.status).toBe(200);
    const text = response.text();
    setTimeout(gate.openForGood, 350);
    const last = (await text).trimEnd().split("\n\n").at(-1)!;
    expect(JSON.parse(last.replace("data: ", ""))).toMatchObject({ error: { code: "timeout" } });
  });
});

describe("a client that goes away", () => {
  test("ends its turn within one pass", async () => {
    const gate = gated();
    const { app, models } = serving({ model: { wrap: gate.wrap }, models: { maxRunning: 1 } });
    const gone = new AbortController();
    const response = post(app, CHAT, { ...chat, max_tokens: 100 }, { signal: gone.signal });
    await gate.letThrough(1);
    await until(() => gate.passes() === 2);
    gone.abort();
    expect((await response).status).toBe(503); // which nobody reads
    await gate.letThrough(1);
    await until(() => models.status()[0]!.running === 0);
    expect(gate.passes()).toBe(2);
  });

  test("in a stream does, too", async () => {
    const gate = gated();
    const { app, models, reported } = serving({ model: { wrap: gate.wrap }, models: { maxRunning: 1 } });
    const response = post(app, CHAT, { ...chat, stream: true, max_tokens: 100 });
    await gate.letThrough(1);
    const reader = (await response).body!.getReader();
    await until(() => gate.passes() === 2);
    const cancelled = reader.cancel();
    await gate.letThrough(1);
    await until(() => models.status()[0]!.running === 0 || gate.passes() > 3);
    gate.openForGood();
    await cancelled;
    expect(gate.passes()).toBeLessThanOrEqual(3);
    expect(reported).toEqual([]);
  });

  test("while it waits leaves the queue", async () => {
    const gate = gated();
    const { app, models } = serving({ model: { wrap: gate.wrap }, models: { maxRunning: 1 } });
    const first = post(app, CHAT, chat);
    await until(() => gate.passes() === 1);
    const gone = new AbortController();
    const second = post(app, CHAT, chat, { signal: gone.signal });
    await until(() => models.status()[0]!.waiting === 1);
    gone.abort();
    await second;
    expect(models.status()[0]).toMatchObject({ running: 1, waiting: 0 });
    gate.openForGood();
    expect((await first).status).toBe(200);
  });

  test("slowly keeps no model busy", async () => {
    const { app, models } = serving({ models: { maxRunning: 1 } });
    const response = await post(app, CHAT, { ...chat, stream: true, max_tokens: 60 }); // not read yet
    await until(() => models.status()[0]!.running === 0);
    expect(await eventsOf(response)).not.toEqual([]);
  });
});

test("requests that run together are each answered as alone", async () => {
  const { app } = serving();
  const bodies = Array.from({ length: 12 }, (_, i) => ({
    ...{ ...chat, decoder: i % 2 === 0 ? "jacobi" : "prompt-lookup", max_tokens: 20 + i, temperature: i % 3, seed: i },
    messages: [{ role: "user", content: `question ${i}` }],
  }));
  const alone: Json[] = [];
  for (const body of bodies) alone.push(await (await post(serving().app, CHAT, body)).json());
  const together = await Promise.all(bodies.map(async (body) => (await post(app, CHAT, body)).json() as Promise<Json>));
  expect(together.map(({ choices }) => choices)).toEqual(alone.map(({ choices }) => choices));
});

test("a server that shuts down answers what it has, and takes nothing new", async () => {
  const gate = gated();
  const draining = new AbortController();
  const { app } = serving({ model: { wrap: gate.wrap }, app: { draining: draining.signal } });
  const running = post(app, CHAT, chat);
  await until(() => gate.passes() === 1);
  draining.abort();
  const late = await post(app, CHAT, chat);
  expect(late.status).toBe(503);
  expect(await late.json()).toMatchObject({ error: { code: "unavailable", message: /shutting down/ } });
  expect((await app.request("/health")).status).toBe(200); // it lives until it has answered
  const ready = await app.request("/ready");
  expect([ready.status, await ready.json()]).toEqual([503, { status: "draining" }]);
  gate.openForGood();
  expect((await running).status).toBe(200);
});
