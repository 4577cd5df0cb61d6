/** Trajectory files: what is written is read again, and nothing else is believed. */
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import fc from "fast-check";
import { parquetReadObjects } from "hyparquet";
import { parquetWriteBuffer } from "hyparquet-writer";
import { afterAll, describe, expect, test } from "vitest";
import { openTrajectories } from "../../src/trajectory/open.ts";
import { readOriginalJson, writeOriginalJson } from "../../src/trajectory/original-json.ts";
import { readTrajectories, readTrajectoryInfo, writeTrajectories } from "../../src/trajectory/store.ts";
import type { CollectedCompletion } from "../../src/trajectory/types.ts";
import { collections, info, report, VOCAB } from "./arbitrary.ts";

const folder = mkdtempSync(join(tmpdir(), "cllm-store-"));
afterAll(() => rmSync(folder, { recursive: true, force: true }));
const path = join(folder, "t.parquet");
const json = join(folder, "t.json");
const ids = (...list: number[]): Int32Array => Int32Array.from(list);

const one: CollectedCompletion = {
  ...{ dataId: "a", promptIds: ids(1, 2), completionIds: ids(3, 4, 5, 6, 7, 0), labelIds: ids(8) },
  blocks: [
    [ids(1, 1, 2, 2), ids(3, 4, 5, 9), ids(3, 4, 5, 6)],
    [ids(1, 2), ids(7, 0)],
  ],
};

describe("Parquet", () => {
  test("what is written is what is read, and the same bytes each time", async () => {
    await fc.assert(
      fc.asyncProperty(collections(4), async (completions) => {
        await writeTrajectories(path, info(), completions, () => report(completions.length));
        const bytes = readFileSync(path);
        const file = await readTrajectories(path, { expect: info().model });
        expect(file).toEqual({ ...info(), report: report(completions.length), completions });
        await writeTrajectories(path, info(), completions, () => report(completions.length));
        expect(readFileSync(path).equals(bytes)).toBe(true);
      }),
      { numRuns: 30 },
    );
    expect(readdirSync(folder)).toEqual(["t.parquet"]);
  });

  test("many rows go into groups", async () => {
    const completions = Array.from({ length: 300 }, (_, i) => ({ ...one, dataId: `data_${i}` }));
    await writeTrajectories(path, info(), completions, () => report(300));
    expect((await readTrajectories(path)).completions).toEqual(completions);
    expect((await readTrajectoryInfo(path)).report).toEqual(report(300));
  });

  test("columns are in snake case", async () => {
    await writeTrajectories(path, info(), [one], () => report(1));
    const buffer = new Uint8Array(readFileSync(path)).buffer;
    const [row] = await parquetReadObjects({ file: buffer });
    expect(row).toEqual({
      ...{ data_id: "a", prompt_ids: [1, 2], completion_ids: [3, 4, 5, 6, 7, 0], label_ids: [8] },
      blocks: one.blocks.map((points) => points.map((point) => [...point])),
    });
  });

  test.each<[what: string, expected: object, message: RegExp]>([
    [
      "tokenizer",
      { tokenizer: "u" },
      /t\.parquet was collected from scripted, whose tokenizer is not the present model's/,
    ],
    ["vocabulary", { vocabSize: 50, name: "m" }, /not that of m \(40 ids, not 50\)/],
    ["weights", { weights: "v" }, /collected from another model: scripted, not the present one/],
    ["weights of that name", { weights: "v", name: "scripted" }, /the same name, but other weights/],
    ["name", { name: "m" }, /scripted, not m/],
  ])("another %s is one error", async (_, expected, message) => {
    await writeTrajectories(path, info(), [one], () => report(1));
    const reading = readTrajectories(path, { expect: expected });
    await expect(reading).rejects.toThrow(message);
    await expect(reading).rejects.toMatchObject({ code: "bad-input" });
  });

  test("a model that only has another name is the same", async () => {
    await writeTrajectories(path, info(), [one], () => report(1));
    await readTrajectories(path, { expect: { ...info().model, name: "elsewhere" } });
  });

  test.each<[what: string, broken: Partial<CollectedCompletion>, message: RegExp]>([
    ["an id out of range", { promptIds: ids(1, VOCAB) }, /record 0: prompt_ids .*40 is no id of a vocabulary of 40/],
    ["no prompt", { promptIds: ids() }, /the prompt is empty/],
    ["a lost block", { blocks: one.blocks.slice(1) }, /6 tokens are not 1 blocks of 4/],
    ["a short point", { blocks: [one.blocks[0]!, [ids(1), ids(7, 0)]] }, /a point of block 1 has another length/],
    ["another fixed point", { blocks: [one.blocks[0]!, [ids(7, 1)]] }, /last point of block 1 is not the completion's/],
    ["no points", { blocks: [one.blocks[0]!, []] }, /last point of block 1/],
  ])("a row with %s is one error", async (_, broken, message) => {
    await writeTrajectories(path, info(), [{ ...one, ...broken }], () => report(1));
    const reading = readTrajectories(path);
    await expect(reading).rejects.toThrow(message);
    await expect(reading).rejects.toMatchObject({ code: "bad-file" });
  });

  test("cut and garbled files are errors of ours, whatever the bytes", async () => {
    await writeTrajectories(path, info(), [one, { ...one, dataId: "b" }], () => report(2));
    const whole = readFileSync(path);
    const other = join(folder, "garbled.parquet");
    const edits = fc.array(fc.tuple(fc.nat(whole.length - 1), fc.nat(255)), { minLength: 1, maxLength: 3 });
    await fc.assert(
      fc.asyncProperty(fc.option(fc.nat(whole.length - 1)), edits, async (cut, changes) => {
        const bytes = Buffer.from(whole);
        for (const [at, byte] of changes) bytes[at] = byte;
        writeFileSync(other, bytes.subarray(0, cut ?? bytes.length));
        const same = bytes.equals(whole) && (cut ?? whole.length) === whole.length;
        if (same) expect((await readTrajectories(other)).completions.length).toBe(2);
        else await expect(readTrajectories(other)).rejects.toMatchObject({ code: "bad-file" });
      }),
      { numRuns: 60 },
    );
  });

  test("files of others are told apart", async () => {
    writeFileSync(path, new Uint8Array(parquetWriteBuffer({ columnData: [{ name: "a", data: [1] }] })));
    await expect(readTrajectories(path)).rejects.toThrow(/is no trajectory file of cllm/);
    writeFileSync(path, "no Parquet at all");
    await expect(readTrajectories(path)).rejects.toMatchObject({ code: "bad-file" });
    await expect(readTrajectories(join(folder, "none"))).rejects.toMatchObject({ code: "not-found" });
    await writeTrajectories(path, info(), [one], () => report(3));
    await expect(readTrajectories(path)).rejects.toThrow(/has 1 records and says that it has 3/);
  });
});

describe("the original's JSON", () => {
  test("there and back nothing is lost", async () => {
    await fc.assert(
      fc.asyncProperty(collections(4), async (completions) => {
        fc.pre(completions.length > 0);
        await writeOriginalJson(json, completions);
        const read = await readOriginalJson(json, { vocabSize: VOCAB });
        expect(read.completions).toEqual(completions);
        expect(read.leftOut).toBe(0);
      }),
      { numRuns: 40 },
    );
  });

  test("rows have the original's fields and shapes", async () => {
    await writeOriginalJson(json, [one]);
    expect(JSON.parse(readFileSync(json, "utf8"))).toEqual([
      {
        ...{ data_id: "a", jacobian_itr_id: "itr_0", prompt_ids_len: [2], prompt_ids: [[1, 2]] },
        answer_trajectory_ids: [
          [1, 1, 2, 2],
          [3, 4, 5, 9],
          [3, 4, 5, 6],
        ],
        ...{ labels_ids: [[1, 2, 8]], teacher_output_ids: [[1, 2, 3, 4, 5, 6]] },
        complete_teacher_output_ids: [1, 2, 3, 4, 5, 6, 7, 0],
      },
      {
        ...{ data_id: "a", jacobian_itr_id: "itr_1", prompt_ids_len: [2], prompt_ids: [[1, 2, 3, 4, 5, 6]] },
        answer_trajectory_ids: [
          [1, 2],
          [7, 0],
        ],
        ...{ labels_ids: [[1, 2, 8]], teacher_output_ids: [[1, 2, 3, 4, 5, 6, 7, 0]] },
        complete_teacher_output_ids: [1, 2, 3, 4, 5, 6, 7, 0],
      },
    ]);
    await writeOriginalJson(json, []);
    expect(JSON.parse(readFileSync(json, "utf8"))).toEqual([]);
  });

  /** As the original writes it: batches in batches, augmented points in front, full blocks beyond the end, rows missing. */
  const original = [
    {
      ...{ data_id: "data_0", jacobian_itr_id: "itr_1", prompt_ids_len: [2], prompt_ids: [[1, 2, 3, 4, 5]] },
      answer_trajectory_ids: [
        [6, 9, 9],
        [6, 0, 8],
        [6, 0, 7],
      ],
      ...{ labels_ids: [[9, 9]], teacher_output_ids: [[1, 2, 3, 4, 5, 6, 0, 7]] },
    },
    {
      ...{ data_id: "data_0", jacobian_itr_id: "itr_0", prompt_ids_len: 2, prompt_ids: [[[1, 2]]] },
      answer_trajectory_ids: [
        [3, 8, 8],
        [3, 4, 8],
        [3, 8, 8],
        [3, 4, 5],
      ],
      ...{ labels_ids: [[1, 2, 7]], teacher_output_ids: [[1, 2, 3, 4, 5]], other_key: true },
    },
    {
      ...{ data_id: "data_0", jacobian_itr_id: "itr_2", prompt_ids_len: [2], prompt_ids: [[1, 2, 3, 4, 5, 6, 0, 7]] },
      ...{ answer_trajectory_ids: [[1, 1, 1]], teacher_output_ids: [[1, 2, 3, 4, 5, 6, 0, 7, 1, 1, 1]] },
    },
    {
      ...{ data_id: "data_1", jacobian_itr_id: "itr_1", prompt_ids_len: [1], prompt_ids: [[1, 2, 3, 4]] },
      ...{ answer_trajectory_ids: [[5, 5, 5]], teacher_output_ids: [[1, 2, 3, 4, 5, 5, 5]] },
    },
  ];

  test("files of the original are read, and what cannot be used is counted", async () => {
    writeFileSync(json, JSON.stringify(original));
    expect(await readOriginalJson(json, { stopIds: new Set([0]) })).toEqual({
      blockSize: 3,
      leftOut: 2,
      completions: [
        {
          ...{ dataId: "data_0", promptIds: ids(1, 2), completionIds: ids(3, 4, 5, 6, 0), labelIds: ids(7) },
          blocks: [
            [ids(3, 4, 8), ids(3, 8, 8), ids(3, 4, 5)],
            [ids(6, 9), ids(6, 0)],
          ],
        },
      ],
    });
  });

  test("a trainer opens either form by its path", async () => {
    writeFileSync(json, JSON.stringify(original));
    const stopIds = new Set([0]);
    const { completions } = await readOriginalJson(json, { stopIds });
    expect(await openTrajectories(json, { stopIds })).toEqual({ completions, blockSize: 3, info: null });
    await expect(openTrajectories(json, { expect: { vocabSize: 9 } })).rejects.toThrow(/id 9 is outside/);
    await writeTrajectories(path, info(), [one], () => report(1));
    expect(await openTrajectories(path)).toEqual({ completions: [one], blockSize: 4, info: info() });
    await expect(openTrajectories(path, { expect: { tokenizer: "u" } })).rejects.toThrow(/tokenizer/);
    await writeTrajectories(path, info(), [], () => report(0));
    await expect(openTrajectories(path)).rejects.toThrow(/holds no completions/);
  });

  const row = original[1]!;
  test.each<[what: string, content: unknown, message: RegExp]>([
    ["no list", { a: 1 }, /is no JSON list: it does not begin with \[/],
    ["no records", [], /holds no records/],
    ["a record that is none", [1], /record 0 must be/],
    ["a missing field", [{ ...row, teacher_output_ids: undefined }], /record 0: teacher_output_ids is missing/],
    [
      "a strange iteration",
      [{ ...row, jacobian_itr_id: "third" }],
      /record 0: jacobian_itr_id must be of the form "itr_0"/,
    ],
    [
      "ragged points",
      [{ ...row, answer_trajectory_ids: [[3], [3, 4, 5]] }],
      /record 0: the points .* differ in length/,
    ],
    ["another fixed point", [{ ...row, answer_trajectory_ids: [[3, 4, 6]] }], /record 0: teacher_output_ids is not/],
    ["an id that is none", [{ ...row, labels_ids: [[-1]] }], /record 0: labels_ids/],
    ["an id out of range", [{ ...row, labels_ids: [[40]] }], /record 0: id 40 is outside the vocabulary of 40/],
    ["no prompt", [{ ...row, prompt_ids: [[]], teacher_output_ids: [[3, 4, 5]] }], /prompt_ids is empty/],
  ])("%s is one error", async (_, content, message) => {
    writeFileSync(json, JSON.stringify(content));
    const reading = readOriginalJson(json, { vocabSize: VOCAB });
    await expect(reading).rejects.toThrow(message);
    await expect(reading).rejects.toMatchObject({ code: "bad-file" });
  });
});
