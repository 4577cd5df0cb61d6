/** The playground without a browser: events cut anywhere, figures of runs by their definition, links there and back. */
import { spawnSync } from "node:child_process";
import { join } from "node:path";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { CHAT, COMPLETION, serving } from "../serve/serving.ts";
import { type Pass, pageModule, type Settings, type Token } from "./page.ts";

const root = join(import.meta.dirname, "../..");
const { createEventParser, readEvents } = await pageModule("events.js");
const run = await pageModule("run.js");
const { DECODERS, DEFAULTS, FORMS, RANGES, readLink, writeLink } = await pageModule("link.js");
const { requestOf, streamPasses } = await pageModule("client.js");

const token: fc.Arbitrary<Token> = fc.record({ id: fc.nat(99), text: fc.string() });
const ms = fc.integer({ min: 1, max: 1000 });
const decoding: fc.Arbitrary<Pass> = fc.record({
  ...{ prefill: fc.constant(false), rows: fc.nat(), ms },
  ...{ accepted: fc.array(token, { minLength: 1, maxLength: 4 }), guesses: fc.array(token, { maxLength: 4 }) },
});
const passes: fc.Arbitrary<readonly Pass[]> = fc
  .tuple(decoding, fc.array(decoding, { maxLength: 20 }))
  .map(([first, rest]) => [{ ...first, prefill: true }, ...rest]);

test("its modules have the types that they say", () => {
  const { status, stdout } = spawnSync(
    process.execPath,
    [join(root, "node_modules/typescript/bin/tsc"), "-p", join(root, "web/tsconfig.json")],
    { encoding: "utf8" },
  );
  expect([status, stdout]).toEqual([0, ""]);
});

describe("events", () => {
  const line = fc.string({ unit: "grapheme" }).filter((text) => !/[\r\n]/.test(text));
  const ending = fc.constantFrom("\n", "\r\n");

  test("are the same however the stream is cut", () => {
    const cuts = fc.array(fc.nat({ max: 500 }), { maxLength: 12 });
    fc.assert(
      fc.property(fc.array(fc.array(line, { minLength: 1, maxLength: 3 })), ending, cuts, (events, end, at) => {
        const text = events.map((lines) => `${lines.map((each) => `data: ${each}${end}`).join("")}: note${end}${end}`);
        const whole = text.join("");
        const bounds = [...at.filter((cut) => cut < whole.length), whole.length].sort((a, b) => a - b);
        const parse = createEventParser();
        const found = bounds.flatMap((bound, i) => parse(whole.slice(bounds[i - 1] ?? 0, bound)));
        expect(found).toEqual(events.map((lines) => lines.join("\n")));
      }),
    );
  });

  test("survive characters that are cut in two, and a mark at the start", async () => {
    const bytes = new TextEncoder().encode("\uFEFFdata: Größe 🙂\r\n\r\nid: 7\ndata\n\n\ndata: left");
    const body = new ReadableStream<Uint8Array>({
      start(controller) {
        for (const byte of bytes) controller.enqueue(Uint8Array.of(byte));
        controller.close();
      },
    });
    const found = [];
    for await (const data of readEvents(new Response(body))) found.push(data);
    expect(found).toEqual(["Größe 🙂", ""]); // one that is not ended does not count
  });
});

describe("a run's figures", () => {
  test("leave the prompt's pass out of the rates", () => {
    fc.assert(
      fc.property(passes, fc.nat(25), (all, count) => {
        const { tokens, passes: forwards, ms, tokensPerPass, tokensPerSecond } = run.figures(all, count);
        const seen = all.slice(0, count);
        expect(tokens).toBe(seen.flatMap(({ accepted }) => accepted).length);
        expect(forwards).toBe(Math.max(0, seen.length - 1));
        expect(ms).toBe(run.endTimes(all)[seen.length - 1] ?? 0);
        if (seen.length < 2) {
          expect([tokensPerPass, tokensPerSecond]).toEqual([null, null]);
          return;
        }
        const decoded = tokens - seen[0]!.accepted.length;
        expect(tokensPerPass! * forwards).toBeCloseTo(decoded);
        expect((tokensPerSecond! * ms) / 1000).toBeCloseTo(decoded);
      }),
    );
  });

  test("the pass at a time is the last one that had ended", () => {
    fc.assert(
      fc.property(passes, fc.nat(25_000), (all, time) => {
        const ends = run.endTimes(all);
        const at = run.passAt(ends, time);
        expect(ends.filter((end) => end <= time)).toHaveLength(at + 1);
      }),
    );
  });

  test("tokens are compared by id, wherever passes end", () => {
    fc.assert(
      fc.property(passes, fc.nat(), (all, pick) => {
        const oneByOne = all.flatMap((pass) => pass.accepted.map((one) => ({ ...pass, accepted: [one] })));
        expect(run.firstDifference(all, oneByOne)).toBeNull();
        const at = pick % oneByOne.length;
        const other = { id: oneByOne[at]!.accepted[0]!.id + 1, text: "" };
        const changed = oneByOne.map((pass, i) => (i === at ? { ...pass, accepted: [other] } : pass));
        expect(run.firstDifference(all, changed)).toBe(at);
        expect(run.firstDifference(all, oneByOne.slice(0, at))).toBe(at);
      }),
    );
  });

  test("short runs are replayed slowly enough to follow, long ones as they ran", () => {
    for (const [length, slowdown] of [
      [0, 100],
      [10, 100],
      [60, 50],
      [400, 10],
      [2999, 2],
      [3000, 1],
      [60_000, 1],
    ] as const)
      expect([length, run.slowdownFor(length)]).toEqual([length, slowdown]);
  });

  test("a pass is said in words", () => {
    const one = {
      prefill: false,
      rows: 3,
      ms: 4.25,
      accepted: [{ id: 1, text: " a" }],
      guesses: [{ id: 2, text: "b" }],
    };
    expect(run.describe(one, 3)).toBe("Pass 3: 1 token settled: a; 1 guess; 4.3 ms");
    const two = { ...one, prefill: true, accepted: [...one.accepted, ...one.guesses], guesses: [] };
    expect(run.describe(two, 0)).toBe("Prompt: 2 tokens settled: ab; 4.3 ms");
  });
});

describe("a link", () => {
  const number = (name: string): fc.Arbitrary<number> => {
    const { least, most, whole } = RANGES[name]!;
    return whole ? fc.integer({ min: least, max: most }) : fc.double({ min: least, max: most, noNaN: true });
  };
  const text = fc.string({ unit: "grapheme", maxLength: 60 });
  const settings: fc.Arbitrary<Settings> = fc.record({
    ...{ model: text, question: text, form: fc.constantFrom(...FORMS), decoder: fc.constantFrom(...DECODERS) },
    ...{ blockSize: number("blockSize"), maxTokens: number("maxTokens") },
    ...{ temperature: number("temperature").map((value) => value + 0), seed: number("seed") },
  });

  test("gives back the settings that it was made of", () => {
    fc.assert(fc.property(settings, (made) => void expect(readLink(writeLink(made))).toEqual(made)));
  });

  test("leaves at its default what is not known or out of range", () => {
    expect(readLink("#")).toBeNull();
    expect(readLink("#results")).toBeNull();
    const hostile = "#question=q&blockSize=0&maxTokens=1e9&temperature=NaN&seed=-1&form=shell&decoder=ar&key=secret";
    expect(readLink(hostile)).toEqual({ ...DEFAULTS, question: "q" });
    expect(readLink("#question=q&seed=0x10&blockSize=&temperature=-0")).toEqual({
      ...DEFAULTS,
      question: "q",
      seed: 16,
    });
    fc.assert(fc.property(fc.string(), (hash) => void readLink(hash)));
  });
});

describe("a request", () => {
  const signal = new AbortController().signal;
  const settings: Settings = { ...DEFAULTS, model: "scripted", question: "once upon", maxTokens: 24, blockSize: 5 };

  test("goes to the server as the server takes it, and its passes come back", async () => {
    const { app, model } = serving();
    const fetched = globalThis.fetch;
    globalThis.fetch = (async (path: string, init: RequestInit) => app.request(path, init)) as typeof fetch;
    try {
      for (const form of ["chat", "text"]) {
        const messages = [{ role: "user" as const, content: settings.question }];
        const input = form === "chat" ? { messages } : { prompt: settings.question };
        const { text, tokens } = await model.generate({ ...input, maxNewTokens: 24 });
        for (const decoder of ["ar", ...DECODERS]) {
          const request = requestOf({ ...settings, form }, decoder, null);
          expect(request.path).toBe(form === "chat" ? CHAT : COMPLETION);
          const events = [];
          for await (const event of streamPasses(request, "", signal)) events.push(event);
          expect(events.map((event) => event.text).join("")).toBe(text);
          const passes = events.flatMap(({ pass }) => pass ?? []);
          expect(passes.flatMap(({ accepted }) => accepted.map(({ id }) => id))).toEqual([...tokens]);
          expect(passes.map(({ prefill }) => prefill)).toEqual(passes.map((_, i) => i === 0));
        }
      }
      const wrong = streamPasses(requestOf({ ...settings, model: "none" }, "ar", null), "", signal);
      await expect(wrong.next()).rejects.toMatchObject({ status: 404, message: /no model none/ });
    } finally {
      globalThis.fetch = fetched;
    }
  });

  test("to the database stands in its prompt, on one line", () => {
    const database = { prompt: { before: "table t: id\nquestion: ", after: "\nsql:" } };
    const { path, body } = requestOf({ ...settings, form: "database", question: " How\nmany? " }, "ar", database);
    expect([path, body]).toMatchObject([COMPLETION, { prompt: "table t: id\nquestion: How many?\nsql:" }]);
  });
});
