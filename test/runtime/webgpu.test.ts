/**
 * Decoding on a GPU, or on the software driver that comes with Chromium: the processor's numbers, rows that keep their bits, a cache
 * that is cut, copied and grown, and the laws of all decoders. Where no driver is, only what needs none runs.
 */
import { spawnSync } from "node:child_process";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import fc from "fast-check";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { ar } from "../../src/decode/ar.ts";
import type { Decoder } from "../../src/decode/types.ts";
import { CllmError } from "../../src/error.ts";
import type { ModelConfig } from "../../src/model/config.ts";
import { gpuError, openWebgpu } from "../../src/runtime/devices/webgpu.ts";
import { createEngine, type Engine } from "../../src/runtime/engine.ts";
import { prove, proveCuts } from "../../src/runtime/probe.ts";
import type { Session, TokenIds } from "../../src/runtime/session.ts";
import { headless } from "../decode/arbitrary.ts";
import { BASE, randomIds, randomWeights } from "../model/random-model.ts";
import { gpu, scratch } from "./gpu.ts";

const device = await gpu("decoding on a GPU");

const CONFIG: ModelConfig = { ...BASE, family: "qwen3", queryKeyNorm: true, contextLength: 400 };
const WIDTH = CONFIG.vocabSize;

describe.skipIf(device === null)("a device in fp32", { timeout: 180_000 }, () => {
  let engine: Engine;
  let plain: Engine;
  beforeAll(async () => {
    engine = await createEngine(CONFIG, randomWeights(CONFIG), { precision: "fp32", device: device! });
    plain = await createEngine(CONFIG, randomWeights(CONFIG), { precision: "fp32", threads: 1 });
  });
  afterAll(async () => {
    await engine?.dispose();
    await plain?.dispose();
  });

  /** What `ask` gets of a session here and of one on the processor. */
  const both = async (ask: (session: Session) => Promise<Float32Array>): Promise<void> => {
    await using here = engine.session();
    await using there = plain.session();
    const [found, expected] = [await ask(here), await ask(there)];
    expect(found.length).toBe(expected.length);
    const apart = expected.reduce((most, value, i) => Math.max(most, Math.abs(value - found[i]!)), 0);
    expect(apart).toBeLessThan(1e-4); // of logits up to about 30
    expect(here.length).toBe(there.length);
  };
  const ids = randomIds(400, WIDTH, 3);

  test("has the processor's logits, in a chain, behind it, and after a truncation", () =>
    both(async (session) => {
      const first = (await session.logits(ids.subarray(0, 30))).slice();
      session.truncate(17);
      return Float32Array.from([...first, ...(await session.logits(ids.subarray(50, 55)))]);
    }));

  test("has them in a tree wider than a pass, whose tokens stand where their branches say", () =>
    both(async (session) => {
      await session.forward(ids.subarray(0, 9));
      const parents = Int32Array.from({ length: 24 }, (_, i) => (i < 4 ? i - 1 : i % 5 === 0 ? 1 : i - 1));
      const tree = (await session.logits(ids.subarray(9, 33), { parents })).slice();
      return Float32Array.from([...tree, ...(await session.logits(ids.subarray(13, 16)))]);
    }));

  test("keeps what it has when the cache grows, up to the context's end", () =>
    both(async (session) => {
      await session.prefill!(ids.subarray(0, 240), 1);
      await session.prefill!(ids.subarray(240, 390), 1);
      return session.logits(ids.subarray(390, 400));
    }));

  test("copies a sequence to the same bits, and the donor goes on", async () => {
    await using donor = engine.session();
    await using other = engine.session();
    await donor.forward(ids.subarray(0, 20));
    other.copyFrom!(donor, 12);
    const expected = (await donor.logits(ids.subarray(20, 25))).slice();
    const copied = (await other.logits(ids.subarray(12, 20))).slice();
    donor.truncate(12);
    expect(copied).toEqual(await donor.logits(ids.subarray(12, 20)));
    expect(await donor.logits(ids.subarray(20, 25))).toEqual(expected);
    const gone = engine.session();
    gone.copyFrom!(donor, 25);
    const disposing = donor.dispose(); // the copy is still to come
    expect((await gone.forward(ids.subarray(25, 27))).length).toBe(2);
    await disposing;
    await gone.dispose();
  });

  test("decodes every decoder's text as ar does", async () => {
    const tokens = async (decode: Decoder, prompt: TokenIds): Promise<number[]> => {
      await using session = engine.session();
      const all: number[] = [];
      for await (const { accepted } of decode(session, prompt, { maxNewTokens: 16 })) all.push(...accepted);
      return all;
    };
    await fc.assert(
      fc.asyncProperty(fc.array(headless, { minLength: 6, maxLength: 6 }), fc.nat(), async (decoders, seed) => {
        const prompt = randomIds(1 + (seed % 20), WIDTH, seed);
        const expected = await tokens(ar, prompt);
        for (const { decode } of decoders) expect(await tokens(decode, prompt)).toEqual(expected);
      }),
      { numRuns: 2 },
    );
  });

  test("is proven as a model loads", async () => {
    await prove(engine, device!);
  });

  test("has too little memory for a tensor of 5 GB, and says so", async () => {
    const shape = { layers: 1, kvHeads: 64, headSize: 128, contextLength: 160_000 };
    const caches = await device!.caches(shape, await device!.plan("fp32", { wholeWeights: 0 }));
    const cache = caches.open();
    await expect(cache.reserve(150_000, 0)).rejects.toMatchObject({
      code: "engine",
      message: expect.stringMatching(/too little memory/),
    });
    cache.release();
    await caches.release();
    await using session = engine.session(); // and the device goes on
    expect((await session.forward(ids.subarray(0, 3))).length).toBe(3);
  });

  test("refuses another device's sequence", async () => {
    await using here = engine.session();
    await using there = plain.session();
    expect(() => here.copyFrom!(there, 0)).toThrow(expect.objectContaining({ code: "bad-input" }));
  });
});

describe.skipIf(device === null).each(["int8", "int4", "f16"] as const)("a device in %s", (precision) => {
  test("is proven as a model loads", async ({ skip }) => {
    const one = { ...BASE, layers: 1 };
    const engine = await createEngine(one, randomWeights(one), { precision, device: device! }).catch(
      (error: unknown) => {
        expect(error).toMatchObject({ code: "unsupported", message: expect.stringContaining("half floats") });
        return skip("no half floats here");
      },
    );
    try {
      await prove(engine, device!);
    } finally {
      await engine.dispose();
    }
  });
});

test("a device whose rows depend on the width of their pass fails the probe", async () => {
  await using engine = await createEngine(BASE, randomWeights(BASE), { precision: "fp32", threads: 1 });
  await proveCuts(engine);
  const session = (): Session => {
    const honest = engine.session();
    return new Proxy(honest, {
      get(target, name) {
        const value = Reflect.get(target, name, target) as unknown;
        if (typeof value !== "function") return value;
        if (name !== "logits") return value.bind(target) as unknown;
        return async (...args: Parameters<Session["logits"]>) => {
          const logits = await target.logits(...args);
          if (args[0].length > 8) logits[3] = Math.fround(logits[3]! * (1 + 2 ** -23));
          return logits;
        };
      },
    });
  };
  await expect(proveCuts({ config: engine.config, session })).rejects.toMatchObject({
    code: "unsupported",
    message: expect.stringContaining("take device cpu"),
  });
});

test("passes of a width that fails on some drivers are refused", async () => {
  for (const width of [1, 32, 2.5]) await expect(openWebgpu({ width })).rejects.toMatchObject({ code: "bad-input" });
});

test("where there is no GPU, one that is asked for is refused, and auto takes the processor and says why", () => {
  const module = (path: string): string => JSON.stringify(new URL(`../../dist/${path}`, import.meta.url).href);
  const model = fileURLToPath(new URL("../../models/text-to-sql", import.meta.url));
  const script = `
    const { load } = await import(${module("index.js")});
    const refused = await load(${JSON.stringify(model)}, { device: "gpu", cache: false }).catch((error) => error);
    const notes = [];
    const model = await load(${JSON.stringify(model)}, { device: "auto", cache: false, onWarning: (line) => notes.push(line) });
    const { tokens } = await model.generate({ prompt: "x", decoder: "ar", maxNewTokens: 1, ignoreEos: true });
    await model.dispose();
    console.log(JSON.stringify({ code: refused.code, message: refused.message, notes, tokens: tokens.length }));`;
  const env = { ...process.env, VK_ICD_FILENAMES: join(scratch, "none.json") };
  const { stdout, stderr } = spawnSync(process.execPath, ["--input-type=module", "-e", script], {
    env,
    encoding: "utf8",
  });
  if (stdout === "") expect.fail(stderr);
  const { code, message, notes, tokens } = JSON.parse(stdout);
  expect({ code, tokens }).toEqual({ code: "unsupported", tokens: 1 });
  expect(message).toMatch(/take device cpu/);
  expect(notes).toEqual([`device auto takes cpu: ${message}`]);
});

test.each([
  ["Failed to get a WebGPU adapter: No supported adapters", "unsupported", /install the GPU's driver/],
  ["running the model failed: Error: Device lost", "engine", /was lost/],
  ["running the model failed: failed to allocate 20 GB", "engine", /too little memory/],
  ["running the model failed: something else", "engine", /^running the model failed: something else$/],
])("the engine's words %s become ours", (words, code, message) => {
  expect(gpuError(new CllmError("engine", words))).toMatchObject({ code, message: expect.stringMatching(message) });
});
