/** Collections from beginning to end: interrupted or not, the file is the same; and nothing made is thrown away. */
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import {
  appendFileSync,
  existsSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  truncateSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import fc from "fast-check";
import { afterAll, beforeEach, describe, expect, test } from "vitest";
import { acquireLock } from "../../src/files/lock.ts";
import { ngramModel, type ScriptedModel, scriptedSession } from "../../src/runtime/scripted.ts";
import { augment } from "../../src/trajectory/augment.ts";
import { createCleaner } from "../../src/trajectory/clean.ts";
import { collect } from "../../src/trajectory/collect.ts";
import type { CollectionInfo, CollectionReport } from "../../src/trajectory/info.ts";
import { type Candidate, checkPrompts, fingerprintPrompts, runCollection } from "../../src/trajectory/run.ts";
import { readTrajectories } from "../../src/trajectory/store.ts";
import { info, prompts, VOCAB } from "./arbitrary.ts";

const folder = mkdtempSync(join(tmpdir(), "cllm-run-"));
afterAll(() => rmSync(folder, { recursive: true, force: true }));
const output = join(folder, "t.parquet");
const journal = `${output}.journal`;
const clear = (): void => {
  for (const name of readdirSync(folder)) rmSync(join(folder, name));
};
beforeEach(clear);

const model: ScriptedModel = ngramModel(VOCAB, 0.7, 3);
const COUNT = 12;
const candidates: Candidate[] = [
  ...prompts(COUNT - 2),
  { dataId: "bad", unusable: true },
  { dataId: "long", promptIds: new Int32Array(9).fill(2), labelIds: null },
];
const collection = info({ maxPromptTokens: 8, prompts: fingerprintPrompts(candidates) });

interface Options {
  readonly format?: "parquet" | "cllm-json";
  readonly collection?: CollectionInfo;
  readonly list?: readonly Candidate[];
  readonly open?: () => ReturnType<typeof scriptedSession>;
  /** Give up after so many reports of progress. */
  readonly stopAfter?: number;
}

async function run(options: Options = {}): Promise<{ report: CollectionReport | null; reports: number }> {
  const { format = "parquet", collection: about = collection, list = candidates, stopAfter } = options;
  const steps = runCollection(options.open ?? (() => scriptedSession(model)), list, { output, format, info: about });
  for (let reports = 0; ; reports++) {
    if (reports === stopAfter) {
      await steps.return(null as never);
      return { report: null, reports };
    }
    const { done, value } = await steps.next();
    if (done) return { report: value, reports };
  }
}

/** The file of a run that nothing interrupts. */
async function uninterrupted(format: "parquet" | "cllm-json" = "parquet"): Promise<Buffer> {
  await run({ format });
  const bytes = readFileSync(output);
  rmSync(output);
  return bytes;
}

describe("a collection", () => {
  test("is what collecting, cleaning and augmenting give, and its report counts them", async () => {
    const { report } = await run();
    const { completions, ...found } = await readTrajectories(output);
    expect(found).toEqual({ ...collection, report });
    const usable = prompts(COUNT - 2);
    const { blockSize, seed, stopIds } = collection.settings;
    const cleaner = createCleaner({ stopIds: new Set(stopIds) });
    const expected = [];
    for await (const completion of collect(() => scriptedSession(model), usable, {
      ...{ blockSize, seed, stopIds: new Set(stopIds), maxNewTokens: 12 },
    })) {
      if (cleaner.drop(completion) === null) expected.push(augment(completion, seed).completion);
    }
    expect(completions).toEqual(expected);
    expect(report).toMatchObject({ prompts: COUNT, kept: expected.length });
    expect(report!.dropped).toMatchObject({ "bad-record": 1, "long-prompt": 1 });
    expect(report!.measures.completions).toBe(expected.length);
    expect(readdirSync(folder)).toEqual(["t.parquet"]);
  });

  test("run again when it is done, it says what it said and does nothing", async () => {
    const { report } = await run();
    const bytes = readFileSync(output);
    expect(await run({ open: () => expect.unreachable() })).toEqual({ report, reports: 0 });
    expect(readFileSync(output).equals(bytes)).toBe(true);
  });

  test.each(["parquet", "cllm-json"] as const)(
    "in %s, stopped and torn at any place it goes on to the same bytes",
    async (format) => {
      const whole = await uninterrupted(format);
      await fc.assert(
        fc.asyncProperty(fc.array(fc.tuple(fc.nat(COUNT - 3), fc.nat(90)), { maxLength: 3 }), async (stops) => {
          clear();
          for (const [stopAfter, torn] of stops) {
            await run({ format, stopAfter: 1 + stopAfter });
            if (existsSync(output)) break; // it came to its end before
            const bytes = readFileSync(journal);
            const size = bytes.length - torn;
            truncateSync(journal, Math.max(0, size)); // what kill -9 in the middle of a write leaves
            if (torn % 3 === 0 && size > bytes.indexOf(10)) appendFileSync(journal, Buffer.alloc(torn, "\n{0}"));
          }
          if (!existsSync(output)) await run({ format });
          expect(readFileSync(output).equals(whole)).toBe(true);
          expect(readdirSync(folder)).toEqual(["t.parquet"]);
        }),
        { numRuns: 15 },
      );
    },
  );

  test("what is done is not done again", async () => {
    await run({ stopAfter: 6 }); // the first report comes before the first prompt
    let opened = 0;
    let first: number | null = null;
    const open = () => {
      opened++;
      return scriptedSession({
        vocabSize: VOCAB,
        next: (context) => {
          first ??= context[0]!;
          return "next" in model ? model.next(context) : 0;
        },
      });
    };
    await run({ open });
    expect(opened).toBe(1);
    expect(first).toBe((candidates[5] as { promptIds: Int32Array }).promptIds[0]);
  });

  test("an output and a journal of the same work: the file is made again from the journal", async () => {
    const whole = await uninterrupted();
    await run({ stopAfter: COUNT - 2 });
    writeFileSync(output, "left by an earlier attempt");
    await run();
    expect(readFileSync(output).equals(whole)).toBe(true);
  });
});

describe("another run's work is left alone", () => {
  const other = (settings: Partial<CollectionInfo["settings"]>): CollectionInfo => ({
    ...collection,
    settings: { ...collection.settings, ...settings },
  });

  test.each<[what: string, about: CollectionInfo, code: string, message: RegExp]>([
    ["settings", other({ blockSize: 5 }), "usage", /other settings \(blockSize is 4 there and 5 here\)/],
    ["prompts", other({ prompts: "q" }), "usage", /other settings \(the prompts are others\)/],
    ["a model", { ...collection, model: { ...collection.model, weights: "v" } }, "bad-input", /another model/],
    ["a tokenizer", { ...collection, model: { ...collection.model, tokenizer: "v" } }, "bad-input", /tokenizer/],
  ])("of other %s, unfinished or finished", async (_, about, code, message) => {
    await run({ stopAfter: 4 });
    const begun = readFileSync(journal);
    await expect(run({ collection: about })).rejects.toMatchObject({ code, message: expect.stringMatching(message) });
    expect(readFileSync(journal).equals(begun)).toBe(true);
    await run();
    const bytes = readFileSync(output);
    await expect(run({ collection: about })).rejects.toMatchObject({ code });
    expect(readFileSync(output).equals(bytes)).toBe(true);
  });

  test("files that are none of ours", async () => {
    writeFileSync(output, "precious");
    await expect(run()).rejects.toThrow(/exists already and is no trajectory file/);
    await expect(run({ format: "cllm-json" })).rejects.toThrow(/exists already/);
    rmSync(output);
    writeFileSync(journal, "precious\n".repeat(3));
    await expect(run()).rejects.toMatchObject({ code: "bad-file" });
    expect(readFileSync(journal, "utf8")).toBe("precious\n".repeat(3));
  });

  test("no prompts, prompts of one name, and prompts that do not fit are found before any work", async () => {
    await expect(run({ list: [] })).rejects.toThrow(/no prompts/);
    const check = (list: readonly Candidate[], contextLength: number) =>
      checkPrompts(list, collection, { contextLength, vocabSize: VOCAB });
    check(candidates, 18);
    expect(() => check([...prompts(2), ...prompts(1)], 99)).toThrow(/two prompts are called data_0/);
    expect(() => check(candidates, 17)).toThrow(
      /prompt data_3: 6 tokens and 12 new ones do not fit in the context of 17/,
    );
    const foreign = { dataId: "x", promptIds: Int32Array.of(VOCAB), labelIds: null };
    expect(() => check([foreign], 99)).toThrow(/prompt x holds id 40, outside the vocabulary of 40/);
  });
});

describe("the lock", () => {
  test("keeps a second run out until the first is over", async () => {
    const lock = await acquireLock(output);
    await expect(run()).rejects.toMatchObject({
      code: "usage",
      message: expect.stringMatching(`another run is writing ${output}: process ${process.pid}`),
    });
    await lock.release();
    await run();
  });
});

describe("killed", () => {
  const root = join(import.meta.dirname, "../..");
  /** A collection in a process of its own, a little slow so that it can be hit. */
  function child(): ChildProcess {
    return spawn(process.execPath, [join(import.meta.dirname, "slow-run.mjs"), output, join(root, "dist/trajectory")], {
      stdio: ["ignore", "pipe", "inherit"],
    });
  }

  test("with kill -9 at random moments, it ends in the same bytes", async () => {
    const first = child();
    first.stdout!.resume();
    expect(await once(first, "exit")).toEqual([0, null]);
    const whole = readFileSync(output);
    rmSync(output);
    let kills = 0;
    for (let attempt = 0; attempt < (kills === 0 ? 20 : 5); attempt++) {
      if (existsSync(output)) rmSync(output); // it was over before it could be killed
      const process = child();
      const exit = once(process, "exit");
      await Promise.race([once(process.stdout!, "data"), exit]); // it has begun to collect
      const timer = setTimeout(() => process.kill("SIGKILL"), (Math.random() * 120) / (attempt + 1));
      const [code] = await exit;
      clearTimeout(timer);
      if (existsSync(output)) expect(readFileSync(output).equals(whole)).toBe(true); // whole or not at all
      if (code === 0) {
        if (kills > 0) break;
        continue;
      }
      kills++;
      expect(code).toBe(null);
    }
    if (!existsSync(output)) {
      const last = child();
      last.stdout!.resume();
      await once(last, "exit");
    }
    expect(readFileSync(output).equals(whole)).toBe(true);
    expect(kills).toBeGreaterThan(0);
    const stale = "t.parquet.lock"; // of one that was killed when all was written: the next one takes it
    expect(readdirSync(folder).filter((name) => name !== stale)).toEqual(["t.parquet"]);
  }, 60_000);
});
