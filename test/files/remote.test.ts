/** Files in an object store: what is stored is what was written, whatever the store does meanwhile, and a lost machine loses a piece. */
import { appendFileSync, existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { localCopy, openWorkFolder, splitPath } from "../../src/files/remote.ts";
import { openS3, parseS3 } from "../../src/files/s3.ts";
import { type Mishap, type S3Server, startS3 } from "./s3-server.ts";

const cache = mkdtempSync(join(tmpdir(), "cllm-remote-"));
const before = process.env["CLLM_CACHE"];
let server: S3Server;
beforeAll(async () => {
  process.env["CLLM_CACHE"] = cache;
  server = await startS3();
});
afterAll(async () => {
  if (before === undefined) delete process.env["CLLM_CACHE"];
  else process.env["CLLM_CACHE"] = before;
  await server[Symbol.asyncDispose]();
  rmSync(cache, { recursive: true, force: true });
});
beforeEach(() => {
  server.objects.clear();
  server.mishaps.length = 0;
});

const bytes = (text: string): Uint8Array => new TextEncoder().encode(text);
const open = (attempts = 4) => openS3("mine", { env: server.env, firstWaitMs: 1, attempts });

describe("a store", () => {
  test("gives back what was put, and lists it over pages", async () => {
    const store = open();
    const names = ["a/1", "a/2 & more", "a/3", "a/4", "a/ü", "b"];
    for (const name of names) await store.put(name, bytes(name));
    expect(await store.list("a/")).toEqual(names.slice(0, 5).sort());
    expect(await store.get("a/2 & more")).toEqual(bytes("a/2 & more"));
    await store.delete("a/1");
    await store.delete("a/1");
    expect(await store.get("a/1")).toBeNull();
  });

  test.each<Mishap>(["busy", "half", "hang up", "skewed", "expired"])(
    "that is %s for a while is asked again",
    async (mishap) => {
      const store = open();
      server.mishaps.push(mishap, mishap);
      await store.put("name", bytes("what is in it"));
      server.mishaps.push(mishap, mishap);
      expect(await store.get("name")).toEqual(bytes("what is in it"));
      server.mishaps.push(mishap);
      expect(await store.list("n")).toEqual(["name"]);
    },
  );

  test("that stays busy is one error, and so are a wrong key and a wrong bucket", async () => {
    server.mishaps.push("busy", "busy");
    await expect(open(2).get("name")).rejects.toMatchObject({
      code: "network",
      message: expect.stringMatching(/s3:\/\/mine: GET failed \(status 503\) 2 times; .*run the same command again/),
    });
    const env = { ...server.env, AWS_ACCESS_KEY_ID: "other" };
    await expect(openS3("mine", { env }).get("name")).rejects.toMatchObject({
      code: "unauthorized",
      message: /AccessDenied/,
    });
    await expect(openS3("theirs", { env: server.env }).get("name")).rejects.toMatchObject({ code: "not-found" });
    await expect(openS3("mine", { env: {} }).get("name")).rejects.toMatchObject({
      code: "usage",
      message: /AWS_ACCESS_KEY_ID/,
    });
    expect(() => parseS3("s3://mine")).toThrow(/give it as s3:\/\/bucket\/name/);
  });
});

describe("work on files of a store", () => {
  const files = { growing: ["a.journal"], whole: ["a"] };
  const work = (options = {}) =>
    openWorkFolder("s3://mine/runs", files, { env: server.env, firstWaitMs: 1, ...options });

  test("is kept piece by piece: another machine has all that was synced", async () => {
    const first = await work();
    appendFileSync(join(first.folder, "a.journal"), "one\n");
    await first.sync();
    await first.sync(); // nothing is new
    appendFileSync(join(first.folder, "a.journal"), "two\n");
    server.mishaps.push("busy", "half");
    await first.sync();
    appendFileSync(join(first.folder, "a.journal"), "lost with the machine\n");
    await first[Symbol.asyncDispose](); // without a word to the store
    expect([...server.objects.keys()]).toEqual(["runs/a.journal.pieces/000000000", "runs/a.journal.pieces/000000001"]);

    await using second = await work();
    expect(readFileSync(join(second.folder, "a.journal"), "utf8")).toBe("one\ntwo\n");
    appendFileSync(join(second.folder, "a.journal"), "three\n");
    await second.sync();
    expect(server.objects.get("runs/a.journal.pieces/000000002")?.toString()).toBe("three\n");
    writeFileSync(join(second.folder, "a"), "whole");
    await second.finish();
    expect([...server.objects].map(([key, value]) => [key, value.toString()])).toEqual([["runs/a", "whole"]]);
  });

  test("that is whole is found whole", async () => {
    server.objects.set("runs/a", Buffer.from("whole"));
    await using again = await work();
    expect(readFileSync(join(again.folder, "a"), "utf8")).toBe("whole");
    expect(existsSync(join(again.folder, "a.journal"))).toBe(false);
    expect(readFileSync(await localCopy("s3://mine/runs/a", { env: server.env }), "utf8")).toBe("whole");
    await expect(localCopy("s3://mine/runs/b", { env: server.env })).rejects.toMatchObject({ code: "not-found" });
  });

  test("of one shard is refused to a second process of this machine", async () => {
    await using _ = await work();
    await expect(work()).rejects.toMatchObject({ code: "usage", message: expect.stringContaining("another run") });
  });

  test("of this machine is left where it is", async () => {
    await using here = await openWorkFolder("runs", files);
    expect(here.folder).toBe("runs");
    expect(splitPath("runs/a")).toEqual({ folder: "runs", name: "a" });
    expect(splitPath("s3://mine/runs/a")).toEqual({ folder: "s3://mine/runs", name: "a" });
  });
});
