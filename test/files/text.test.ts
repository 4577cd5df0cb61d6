/** Text from people: every encoding that it comes in gives the same string, and what is no text is one error. */
import { execFileSync } from "node:child_process";
import { appendFileSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import fc from "fast-check";
import { afterAll, describe, expect, test } from "vitest";
import { jsonItems } from "../../src/data/json-items.ts";
import { readRecords } from "../../src/data/records.ts";
import { openBinaryFile } from "../../src/files/binary-file.ts";
import { parseJson, readJsonObject } from "../../src/files/json.ts";
import { decodeText, readText, textLines, textPieces } from "../../src/files/text.ts";
import { wholeLines } from "../../src/files/whole-lines.ts";

const folder = mkdtempSync(join(tmpdir(), "cllm-text-"));
afterAll(() => rmSync(folder, { recursive: true, force: true }));
const file = (content: string | Uint8Array, name = "text"): string => {
  writeFileSync(join(folder, name), content);
  return join(folder, name);
};

const ENCODINGS: Readonly<Record<string, (text: string) => Buffer>> = {
  "UTF-8": (text) => Buffer.from(text),
  "UTF-8 with a mark": (text) => Buffer.from(`\uFEFF${text}`),
  "UTF-16, little end first": (text) => Buffer.from(`\uFEFF${text}`, "utf16le"),
  "UTF-16, big end first": (text) => Buffer.from(`\uFEFF${text}`, "utf16le").swap16(),
};
/** Whole characters only, no zeros, and no mark of its own at the beginning. */
const texts = fc
  .string({ unit: "grapheme", maxLength: 40 })
  .filter((text) => !text.includes("\0") && !text.startsWith("\uFEFF"));

async function all<T>(items: AsyncIterable<T>): Promise<T[]> {
  const found: T[] = [];
  for await (const item of items) found.push(item);
  return found;
}

describe.each(Object.entries(ENCODINGS))("%s", (_name, encode) => {
  test("gives the text, whole and in lines", async () => {
    await fc.assert(
      fc.asyncProperty(texts, async (text) => {
        expect(decodeText(encode(text), "it")).toBe(text);
        const path = file(encode(text));
        expect(await readText(path, 1000)).toBe(text);
        const lines = text.split(/\r\n?|\n/);
        if (lines.at(-1) === "") lines.pop();
        expect((await all(textLines(path))).map((line) => line.text)).toEqual(lines);
      }),
      { numRuns: 60 },
    );
  });

  test("gives the text where its pieces part characters and line ends", async () => {
    const line = `${"aé€😀".repeat(60_000)}\r`; // in no encoding do a megabyte's ends fall between characters alone
    const path = file(encode(`${line}\n`.repeat(6)), "long");
    expect((await all(textPieces(path))).join("")).toBe(`${line}\n`.repeat(6));
    const lines = await all(textLines(path));
    expect(lines.map(({ number }) => number)).toEqual([1, 2, 3, 4, 5, 6]);
    for (const { text } of lines) expect(text === line.slice(0, -1)).toBe(true);
  });

  test("gives the records of JSON Lines and of a list, and an object", async () => {
    const rows = [{ prompt: "zwei: ü?" }, { prompt: "\u2028" }];
    const lines = file(encode(rows.map((row) => JSON.stringify(row)).join("\r\n")));
    expect((await all(readRecords(lines))).map(({ fields }) => fields)).toEqual(rows);
    const list = file(encode(JSON.stringify(rows, null, 2)));
    expect((await all(readRecords(list))).map(({ fields }) => fields)).toEqual(rows);
    expect(await readJsonObject(file(encode(JSON.stringify(rows[0]))), 1000)).toEqual(rows[0]);
  });
});

describe("what is no text is one error that says where", () => {
  test.each<[what: string, bytes: Uint8Array, message: RegExp]>([
    ["Latin-1", Buffer.from("caf\xe9 au lait", "latin1"), /it is not text \(byte 3 is not UTF-8\); save it as UTF-8/],
    ["Latin-1 at the end", Buffer.from("caf\xe9", "latin1"), /byte 3 is not UTF-8/],
    ["half a character", Buffer.from("a€").subarray(0, 3), /byte 1 is not UTF-8/],
    [
      "UTF-16 without a mark",
      Buffer.from("hello", "utf16le"),
      /byte 1 is zero, as in UTF-16 without a byte-order mark/,
    ],
    ["a model file", Buffer.from("GGUF\u0003\0\0\0"), /byte 5 is zero/],
    ["odd UTF-16", Buffer.from([0xff, 0xfe, 0x41]), /begins as UTF-16/],
    ["half a pair of UTF-16", Buffer.from([0xff, 0xfe, 0x3d, 0xd8]), /begins as UTF-16/],
    ["UTF-32", Buffer.from([0xff, 0xfe, 0, 0, 0x41, 0, 0, 0]), /begins as UTF-16 and holds zeros/],
  ])("%s", async (_what, bytes, message) => {
    expect(() => decodeText(bytes, "it")).toThrow(message);
    const path = file(bytes);
    const readers = [
      () => readText(path, 1000),
      ...[textLines, readRecords].map((read) => () => all<unknown>(read(path))),
    ];
    for (const read of readers) {
      await expect(read()).rejects.toMatchObject({
        code: "bad-file",
        message: expect.stringContaining("is not text"),
      });
    }
  });

  test("far into a file", async () => {
    const path = file(Buffer.concat([Buffer.alloc(3_000_001, "ab\n"), Buffer.from([0xc3, 0x28])]));
    await expect(all(textLines(path))).rejects.toThrow(/byte 3000001 is not UTF-8/);
  });
});

describe("bounds", () => {
  test("of a file, a depth and a repeated name", async () => {
    await expect(readText(file("x".repeat(11)), 10)).rejects.toThrow(/has 11 bytes; the limit for such a file is 10/);
    const deep = "[".repeat(5e6) + "]".repeat(5e6);
    const options = { code: "usage", next: "give less" } as const;
    expect(() => parseJson(deep, "it", options)).toThrow(
      "it nests 5000000 levels deep, and the limit is 64; give less",
    );
    await expect(all(readRecords(file(deep)))).rejects.toThrow(/item 0 nests more than 64 levels deep/);
    await expect(all(readRecords(file(`{"a":${deep}}`)))).rejects.toThrow(/:1 nests 5000001 levels deep/);
    await expect(all(jsonItems(file(`[1, [${deep}]]`)))).rejects.toThrow(/item 1 nests more than 64/);
  });

  test("of a line and of an item: 300 MB without an end are one clear error", { timeout: 120_000 }, async () => {
    const path = join(folder, "endless");
    for (const start of ["", "["]) {
      writeFileSync(path, `${start}"`);
      for (let i = 0; i < 300; i++) appendFileSync(path, Buffer.alloc(1 << 20, "x"));
      await expect(all(readRecords(path))).rejects.toMatchObject({
        code: "bad-file",
        message: expect.stringMatching(/(:1|item 0) has over 268435456 characters/),
      });
    }
    rmSync(path);
  });
});

test("items of a list are those of JSON.parse, and damage is an error with the item", async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(fc.jsonValue({ maxDepth: 4 }), { maxLength: 6 }), async (items) => {
      const path = file(JSON.stringify(items, null, 1), "list");
      expect(await all(jsonItems(path))).toEqual(JSON.parse(JSON.stringify(items)));
    }),
    { numRuns: 60 },
  );
  for (const [text, message] of [
    ["", /it is empty/],
    [" {}", /does not begin with \[/],
    ['[{"a":1}', /ends within/],
    ["[1,,2]", /item 1 is damaged/],
    ["[1] 2", /damaged|follows/],
    ['[{"a":tru}]', /item 0 is damaged/],
  ] as const) {
    await expect(all(jsonItems(file(text)))).rejects.toThrow(message);
  }
});

test("whole lines end before a torn one", async () => {
  const path = file("one\n\nthrée\ntorn");
  expect(await all(wholeLines(path))).toEqual([
    { text: "one", end: 4 },
    { text: "", end: 5 },
    { text: "thrée", end: 12 },
  ]);
});

describe.skipIf(process.platform === "win32")("pipes and devices", () => {
  test("are never opened", async () => {
    const pipe = join(folder, "pipe");
    execFileSync("mkfifo", [pipe]);
    const reads = [textLines, readRecords, wholeLines].map((read) => () => all<unknown>(read(pipe)));
    for (const read of [() => openBinaryFile(pipe), () => readText(pipe, 9), ...reads]) {
      await expect(read()).rejects.toMatchObject({ code: "bad-file", message: expect.stringContaining("is a pipe") });
    }
    await expect(readText("/dev/zero", 9)).rejects.toThrow(/is a device where a file is expected/);
    await expect(readText(folder, 9)).rejects.toThrow(/is a directory where a file is expected/);
  });
});
