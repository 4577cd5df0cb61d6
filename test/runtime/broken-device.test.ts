/**
 * Devices that fail: one that does not decode or train exactly, one without half floats, one that is lost in the middle of an answer, one with too
 * little memory. The processor plays them, so that no GPU is needed. Each ends in one clear error or on the processor, and never in
 * another text.
 */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { CllmError } from "../../src/error.ts";
import { load } from "../../src/generate/load.ts";
import { cpu } from "../../src/runtime/devices/cpu.ts";
import type { Device } from "../../src/runtime/devices/device.ts";
import { gpuError } from "../../src/runtime/devices/webgpu.ts";
import { openEngine } from "../../src/runtime/open-engine.ts";
import type { Feeds } from "../../src/runtime/ort.ts";
import { writeTinyCheckpoint } from "../generate/tiny-checkpoint.ts";
import { BASE, randomIds, randomWeights } from "../model/random-model.ts";

/** What is opened where a GPU is asked for. */
const played = vi.hoisted(() => ({ open: (): Promise<unknown> => Promise.reject(new Error("no device is played")) }));
vi.mock("../../src/runtime/devices/webgpu.ts", async (original) => ({
  ...(await original<typeof import("../../src/runtime/devices/webgpu.ts")>()),
  openWebgpu: () => played.open(),
}));

/** The processor as a GPU, with something done before or after each run. `runs` counts them. */
function playing({
  before,
  after,
}: {
  before?: (runs: number) => void;
  after?: (results: Feeds, feeds: Feeds) => void;
}): void {
  let runs = 0;
  const device: Device = {
    ...cpu,
    name: "webgpu",
    async compile(model, options) {
      const program = await cpu.compile(model, options);
      return {
        ...program,
        async run(feeds, outputs, into) {
          try {
            before?.(++runs);
          } catch (error) {
            throw gpuError(error);
          }
          const results = await program.run(feeds, outputs, into);
          after?.(results, feeds);
          return results;
        },
      };
    },
  };
  played.open = () => Promise.resolve(device);
}

const notes: string[] = [];
let folder: string;
beforeEach(() => {
  notes.length = 0;
  folder = mkdtempSync(join(tmpdir(), "cllm-broken-device-"));
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

const open = (device: "webgpu" | "auto") =>
  openEngine(BASE, randomWeights(BASE), {
    ...{ precision: "fp32", threads: 1, device, onNote: (line: string) => notes.push(line) },
  });

/** Rows of a wide pass get other logits than they have alone. */
const widthMatters = (results: Feeds, feeds: Feeds): void => {
  const { logits } = results;
  if (logits !== undefined && Number(feeds["ids"]!.dims[1]) > 8) (logits.data as Float32Array)[61] = 1e3;
};

test("one whose passes depend on their width is refused, and auto writes on the processor", async () => {
  playing({ after: widthMatters });
  await expect(open("webgpu")).rejects.toMatchObject({
    code: "unsupported",
    message: expect.stringMatching(/does not decode exactly: .* take device cpu/),
  });
  let slow = 0;
  playing({
    after: widthMatters,
    before: () => {
      slow++;
    },
  });
  await using engine = await open("auto");
  expect(slow).toBeGreaterThan(0); // it was tried
  expect(engine.device).toBe("cpu");
  expect(notes).toEqual([`device auto takes cpu: ${engine.deviceWhy}`]);
  await using plain = await openEngine(BASE, randomWeights(BASE), { precision: "fp32", threads: 1, device: "cpu" });
  await using here = engine.session();
  await using there = plain.session();
  const ids = randomIds(12, BASE.vocabSize, 1);
  expect(await here.forward(ids)).toEqual(await there.forward(ids));
});

const lost = (): never => {
  throw new CllmError("engine", "running the model failed: Error: A valid device is lost");
};

test("one that is lost in the middle of an answer ends it with one error, and the process lives", async () => {
  const path = writeTinyCheckpoint(folder);
  let from = Number.POSITIVE_INFINITY;
  let passes = 0;
  playing({
    before: (runs) => {
      passes = runs;
      if (runs >= from) lost();
    },
  });
  const model = await load(path, { device: "webgpu", precision: "fp32", cacheDir: folder, threads: 1 });
  expect(model).toMatchObject({ device: "webgpu", deviceWhy: null, precision: "fp32" });
  const request = { prompt: "ab", decoder: "ar", maxNewTokens: 12, ignoreEos: true } as const;
  const { text } = await model.generate(request);
  from = passes + 5;
  const stream = model.stream({ ...request, cachePrompt: false });
  let written = "";
  const reading = (async () => {
    for await (const chunk of stream) written += chunk.text;
  })();
  const said = { code: "engine", message: expect.stringMatching(/the GPU was lost .* take device cpu/) };
  await expect(reading).rejects.toMatchObject(said);
  expect(text.startsWith(written)).toBe(true); // what came before is right
  await expect(model.generate(request)).rejects.toMatchObject(said);
  await model.dispose();
});

test("one that is lost while a model loads: auto goes on with the processor", async () => {
  const path = writeTinyCheckpoint(folder);
  playing({ before: (runs) => runs > 3 && lost() });
  const onWarning = (line: string) => notes.push(line);
  await using model = await load(path, { device: "auto", precision: "fp32", cacheDir: folder, threads: 1, onWarning });
  expect(model).toMatchObject({ device: "cpu", deviceWhy: expect.stringContaining("the GPU was lost") });
  expect(notes).toEqual([`device auto takes cpu: ${model.deviceWhy}`]);
  expect((await model.generate({ prompt: "ab", maxNewTokens: 3, ignoreEos: true })).tokens.length).toBe(3);
});

test("one without half floats refuses f16, and auto says that the processor has none either", async () => {
  playing({});
  const device = (await played.open()) as Device;
  const none = new CllmError("unsupported", "this GPU, or its driver, has no half floats for precision f16: take int8");
  played.open = () => Promise.resolve({ ...device, plan: () => Promise.reject(none) });
  const path = writeTinyCheckpoint(folder);
  const options = { precision: "f16", cacheDir: folder, onWarning: (line: string) => notes.push(line) } as const;
  await expect(load(path, { ...options, device: "gpu" })).rejects.toBe(none);
  await expect(load(path, { ...options, device: "auto" })).rejects.toMatchObject({
    code: "unsupported",
    message: expect.stringMatching(/f16 is not built for cpu.* take int8/),
  });
  expect(notes).toEqual([`device auto takes cpu: ${none.message}`]);
});

test.each([
  "running the model failed: WebGPU validation failed. [Invalid Buffer (unlabeled)] is invalid due to a previous error.",
  "running the model failed: WebGPU validation failed. Buffer size (6400000000) exceeds the max buffer size limit (1073741824).",
  "compiling the model failed: vkAllocateMemory failed with VK_ERROR_OUT_OF_DEVICE_MEMORY",
])("too little memory, as the engine says it: %s", (words) => {
  expect(gpuError(new CllmError("engine", words))).toMatchObject({
    code: "engine",
    message: expect.stringMatching(/too little memory: take int4, a smaller model or a shorter context, or device cpu/),
  });
});
