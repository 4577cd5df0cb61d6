/**
 * Prepared models: the same bits as those that are made in memory, whole or not there, made anew where they are not what they were.
 * `CLLM_KILLS=20` for a measurement of kills.
 */
import { spawn } from "node:child_process";
import { once } from "node:events";
import {
  appendFileSync,
  chmodSync,
  existsSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  truncateSync,
  utimesSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeEach, describe, expect, test } from "vitest";
import type { ModelConfig } from "../../src/model/config.ts";
import { PRECISIONS, type Precision } from "../../src/model/precision.ts";
import { createEngine } from "../../src/runtime/engine.ts";
import { freeUnits, takeUnit } from "../../src/runtime/prepare.ts";
import type { PreparedOptions } from "../../src/runtime/prepared.ts";
import { listPrepared, removePrepared } from "../../src/runtime/prepared-cache.ts";
import { writeTinyCheckpoint } from "../generate/tiny-checkpoint.ts";
import { BASE, inBlocks, randomWeights } from "../model/random-model.ts";

/** More for a measurement. */
const KILLS = Number(process.env["CLLM_KILLS"] ?? 3);
const scratch = mkdtempSync(join(tmpdir(), "cllm-prepared-"));
afterAll(() => rmSync(scratch, { recursive: true, force: true }));
let folder = "";
let notes: string[] = [];
beforeEach(() => {
  folder = mkdtempSync(join(scratch, "cache-"));
  notes = [];
});

const prepared = (identity = "a"): PreparedOptions => ({
  ...{ folder, identity, name: `model ${identity}`, source: null, limitBytes: 1e9 },
  onNote: (line) => notes.push(line),
});
const ids = Int32Array.from({ length: 20 }, (_, i) => (7 * i + 3) % BASE.vocabSize);
const folders = (): string[] => readdirSync(folder).filter((name) => /^[0-9a-f]{32}$/.test(name));

/** The logits of a model, and whether it was prepared for them. */
async function logitsOf(
  options: PreparedOptions | undefined,
  { precision = "int8" as Precision, slots = 1, seed = 1, config = BASE as ModelConfig } = {},
): Promise<{ logits: Float32Array[]; made: boolean }> {
  let made = false;
  await using engine = await createEngine(config, inBlocks(randomWeights(config, { seed })), {
    ...{ precision, slots, threads: 2, prepared: options },
    onProgress: (stage) => {
      made ||= stage === "quantize";
    },
  });
  const sessions = Array.from({ length: slots }, () => engine.session());
  const logits = await Promise.all(sessions.map((session) => session.logits(ids)));
  for (const session of sessions) await session.dispose();
  return { logits, made };
}

describe.each([...PRECISIONS, "stored"] as const)("%s", (precision) => {
  test.each([1, 3])(
    "a prepared model of %i slots has the bits of one in memory, when it is made and when it is found",
    async (slots) => {
      const plain = await logitsOf(undefined, { precision, slots });
      const first = await logitsOf(prepared(), { precision, slots });
      const second = await logitsOf(prepared(), { precision, slots });
      expect(first.logits).toEqual(plain.logits);
      expect(second.logits).toEqual(plain.logits);
      expect([first.made, second.made]).toEqual([true, false]);
      expect(notes).toEqual([]);
    },
  );
});

test("other weights, precisions and slots are other prepared models", async () => {
  for (const options of [{}, { precision: "fp32" as const }, { slots: 2 }])
    expect((await logitsOf(prepared(), options)).made).toBe(true);
  expect((await logitsOf(prepared("b"), { seed: 2 })).made).toBe(true);
  expect(folders()).toHaveLength(4);
});

const damages: Readonly<Record<string, (file: string) => void>> = {
  "a file that is cut": (file) => truncateSync(file, Math.floor(statSync(file).size / 2)),
  "a file that has grown": (file) => appendFileSync(file, "x"),
  "a file that is gone": (file) => rmSync(file),
  "other bytes": (file) => {
    const bytes = readFileSync(file);
    writeFileSync(
      file,
      bytes.map((byte) => byte ^ 0xff),
    );
  },
};
describe.each(["graph-1.onnx", "constants-0.bin", "prepared.json"])("%s damaged", (name) => {
  test.each(Object.keys(damages))("%s: the model is made anew, with the same bits", async (damage) => {
    const first = await logitsOf(prepared());
    damages[damage]!(join(folder, folders()[0]!, name));
    const second = await logitsOf(prepared());
    expect(second.made).toBe(true);
    expect(second.logits).toEqual(first.logits);
    expect((await logitsOf(prepared())).made).toBe(false);
  });
});

test("two at once make one, and both run", async () => {
  const both = await Promise.all([logitsOf(prepared()), logitsOf(prepared())]);
  expect(both[0]!.logits).toEqual(both[1]!.logits);
  expect(folders()).toHaveLength(1);
  expect(readdirSync(folder).filter((name) => /incomplete|replaced|lock/.test(name))).toEqual([]);
});

test("what was used least recently goes where there are more bytes than the limit", async () => {
  for (const identity of ["a", "b"]) await logitsOf(prepared(identity));
  const { bytes } = (await listPrepared(folder))[0]!;
  await logitsOf(prepared("a"));
  await logitsOf({ ...prepared("c"), limitBytes: 2.5 * bytes });
  expect((await listPrepared(folder)).map(({ name }) => name).sort()).toEqual(["model a", "model c"]);
  await removePrepared(await listPrepared(folder));
  expect(folders()).toEqual([]);
});

test("a folder that cannot be written costs a note and nothing else", async () => {
  const file = join(folder, "file");
  writeFileSync(file, "");
  const { logits, made } = await logitsOf({ ...prepared(), folder: join(file, "prepared") });
  expect(made).toBe(true);
  expect(notes).toHaveLength(1);
  expect(notes[0]).toContain("prepared in memory");
  expect(logits).toEqual((await logitsOf(undefined)).logits);
});

test("what stands at the lock's name and is no lock costs a note, not a wait", async () => {
  await logitsOf(prepared());
  const [name] = folders();
  await removePrepared(await listPrepared(folder));
  const lock = join(folder, `${name}.lock`);
  writeFileSync(lock, "mine");
  utimesSync(lock, new Date(0), new Date(0));
  expect((await logitsOf(prepared())).made).toBe(true);
  expect(notes).toHaveLength(1);
});

test.skipIf(process.getuid?.() === 0)(
  "so does one that may only be read (skipped for root, who may write anywhere)",
  async () => {
    chmodSync(folder, 0o500);
    expect((await logitsOf(prepared())).made).toBe(true);
    expect(notes).toHaveLength(1);
    chmodSync(folder, 0o700);
  },
);

test("an abort ends the preparation and leaves nothing", async () => {
  const controller = new AbortController();
  const load = createEngine(BASE, randomWeights(BASE), {
    ...{ precision: "int8", prepared: prepared(), signal: controller.signal },
    onProgress: () => controller.abort(),
  });
  await expect(load).rejects.toMatchObject({ code: "aborted" });
  expect(readdirSync(folder)).toEqual([]);
});

test("each unit is one thread's, and a thread that asks again has it still", () => {
  const taken = freeUnits({ layers: 30 });
  const units = ["vocabulary" as const, ...Array.from({ length: 30 }, (_, layer) => layer)];
  for (const [i, unit] of units.entries()) {
    const [first, other] = [i % 3, (i + 1) % 3];
    expect(takeUnit({ index: first, taken }, unit)).toBe("new");
    expect(takeUnit({ index: other, taken }, unit)).toBe(null);
    expect(takeUnit({ index: first, taken }, unit)).toBe("mine");
  }
});

describe("in a process of its own", () => {
  let [model, program] = ["", ""];
  beforeEach(() => {
    model = writeTinyCheckpoint(join(folder, "model"));
    const load = new URL("../../dist/generate/load.js", import.meta.url).href;
    program = `
      const { load } = await import(${JSON.stringify(load)});
      const onWarning = (line) => console.log("note:", line);
      const options = { precision: "int8", cacheDir: ${JSON.stringify(folder)}, cache: !process.argv.includes("plain"), onWarning };
      const model = await load(${JSON.stringify(model)}, options);
      console.log((await model.generate({ prompt: "a", maxNewTokens: 24, decoder: "ar", ignoreEos: true })).tokens.join());
      await model.dispose();`;
  });
  const run = async ({
    args = [],
    killAfter,
    fileKilobytes,
  }: {
    args?: string[];
    killAfter?: number;
    fileKilobytes?: number;
  } = {}): Promise<string> => {
    const node = [process.execPath, "--input-type=module", "--eval", program, ...args];
    const limited = ["bash", "-c", `ulimit -f ${fileKilobytes}; exec "$0" "$@"`, ...node];
    const [file, ...rest] = fileKilobytes === undefined ? node : limited;
    const child = spawn(file as string, rest, { stdio: ["ignore", "pipe", "inherit"] });
    let text = "";
    child.stdout.on("data", (part) => {
      text += part;
    });
    if (killAfter !== undefined) setTimeout(() => child.kill("SIGKILL"), killAfter);
    await once(child, "close");
    return text;
  };

  const killed =
    "threads make what one thread makes; killed at random moments, a preparation leaves nothing that breaks the next load";
  test(killed, { timeout: 60_000 + KILLS * 10_000 }, async () => {
    const begin = performance.now();
    const expected = await run({ args: ["plain"] }); // in memory, by one thread
    const whole = performance.now() - begin;
    let kills = 0;
    while (kills < KILLS) {
      await removePrepared(await listPrepared(join(folder, "prepared")));
      if ((await run({ killAfter: whole * (0.3 + 0.8 * Math.random()) })) === "") kills++;
      expect(await run()).toBe(expected);
    }
    expect(existsSync(join(folder, "prepared"))).toBe(true);
    expect(readdirSync(join(folder, "prepared")).filter((name) => !/^[0-9a-f]{32}$/.test(name))).toEqual([]);
  });

  test("threads that are told to stop end before their next unit, and the process goes on", async () => {
    const timed = program.replace("cache: !", "signal: AbortSignal.timeout(Number(process.argv.at(-1))), cache: !");
    program = timed.replace(
      /const model = (await load[^;]+);/,
      "const model = $1.catch(({ code }) => console.log(code)); if (!model) process.exit();",
    );
    for (const milliseconds of [1, 100, 200]) {
      expect(await run({ args: [String(milliseconds)] })).toMatch(/^aborted\n$|^[\d,]+\n$/);
      const left = existsSync(join(folder, "prepared")) ? readdirSync(join(folder, "prepared")) : [];
      expect(left.filter((name) => !/^[0-9a-f]{32}$/.test(name))).toEqual([]);
    }
  });

  test.skipIf(process.platform === "win32")("a disk that ends half way costs a note and leaves nothing", async () => {
    const expected = await run({ args: ["plain"] });
    const text = await run({ fileKilobytes: 16 });
    expect(text).toMatch(/^note: .*prepared in memory/);
    expect(text.split("\n").at(-2)).toBe(expected.trim());
    expect(readdirSync(join(folder, "prepared"))).toEqual([]);
  });
});
