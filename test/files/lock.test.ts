/** Locks: one holder, whoever was killed; what stands in a lock's place never blocks for ever. */
import { type ChildProcess, fork, spawn } from "node:child_process";
import { once } from "node:events";
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  unlinkSync,
  utimesSync,
  writeFileSync,
} from "node:fs";
import { hostname, tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { afterAll, beforeEach, describe, expect, test } from "vitest";
import { acquireLock } from "../../src/files/lock.ts";
import { ownOwner } from "../../src/files/owner.ts";

const scratch = mkdtempSync(join(tmpdir(), "cllm-lock-"));
const dist = join(import.meta.dirname, "../../dist");
/** More for a measurement: `CLLM_ROUNDS=300`. */
const ROUNDS = Number(process.env["CLLM_ROUNDS"] ?? 15);
let folder: string;
let target: string;
beforeEach(() => {
  folder = mkdtempSync(join(scratch, "case-"));
  target = join(folder, "run");
});
afterAll(() => rmSync(scratch, { recursive: true, force: true }));

const token = "0123456789abcdef";
const gone = { cllm: 1, ...ownOwner(), since: "1", host: hostname(), token };
const elsewhere = { ...gone, pid: 1, place: "00000000" };
const leave = (holder: object): void => writeFileSync(`${target}.lock`, JSON.stringify(holder));

describe("one holder", () => {
  test.each([3, 4, 6])("where %i processes find a stale lock at once", { timeout: 600_000 }, async (count) => {
    const children: ChildProcess[] = Array.from({ length: count }, () =>
      fork(join(import.meta.dirname, "lock-child.mjs"), [dist]),
    );
    try {
      await Promise.all(children.map((child) => once(child, "message")));
      const figures = { rounds: ROUNDS, withTwo: 0, withNone: 0, wrong: 0 };
      for (let round = 0; round < ROUNDS; round++) {
        leave(gone);
        if (round % 3 === 1) writeFileSync(`${target}.lock.${token}.claim`, JSON.stringify(gone)); // killed while taking over
        const answers = children.map((child) => once(child, "message"));
        for (const child of children) child.send({ target, at: Date.now() + 40 });
        const held: [bigint, bigint][] = [];
        for (const [answer] of await Promise.all(answers)) {
          if (answer.from !== undefined) held.push([BigInt(answer.from), BigInt(answer.to)]);
          else if (answer.refused !== "usage") figures.wrong++;
        }
        held.sort(([a], [b]) => (a < b ? -1 : 1));
        if (held.some(([from], i) => i > 0 && from < held[i - 1]![1])) figures.withTwo++;
        if (held.length === 0) figures.withNone++;
        expect(readdirSync(folder)).toEqual([]);
      }
      if (process.env["CLLM_ROUNDS"]) console.log(`${count} processes`, figures);
      expect(figures).toEqual({ rounds: ROUNDS, withTwo: 0, withNone: 0, wrong: 0 });
    } finally {
      for (const child of children) child.kill("SIGKILL");
    }
  });

  test("and a second run in the same process is refused until the first is over", async () => {
    const lock = await acquireLock(target);
    await expect(acquireLock(target)).rejects.toMatchObject({
      code: "usage",
      message: `another run is writing ${target}: process ${process.pid}; wait for it, or write elsewhere`,
    });
    await lock.release();
    await (await acquireLock(target)).release();
    expect(readdirSync(folder)).toEqual([]);
  });

  test("a process that stood still while another took its lock over is told so", async () => {
    const lock = await acquireLock(target);
    lock.check();
    unlinkSync(`${target}.lock`);
    const other = await acquireLock(target);
    expect(() => lock.check()).toThrow(/another run has taken .*run\.lock over/);
    await lock.release();
    other.check();
    await other.release();
  });
});

describe("taken over at once is the lock", () => {
  test("of a process that is gone, and of one whose number another has now", async () => {
    const child = spawn(process.execPath, ["-e", ""]);
    await once(child, "exit");
    for (const holder of [{ ...gone, pid: child.pid! }, { ...gone, pid: process.pid }, gone]) {
      leave(holder);
      await (await acquireLock(target)).release();
      expect(readdirSync(folder)).toEqual([]);
    }
  });

  test.skipIf(!existsSync("/proc/self/stat"))("of a killed process that its parent has not waited for", async () => {
    const script = `const c = require("child_process").spawn(process.execPath, ["-e", "setInterval(() => {}, 1e6)"]);
      c.on("spawn", () => { process.stdout.write(String(c.pid)); process.kill(c.pid, "SIGKILL"); Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 1e6); });`;
    const parent = spawn(process.execPath, ["-e", script], { stdio: ["ignore", "pipe", "inherit"] });
    try {
      const [pid] = await once(parent.stdout, "data");
      let stat = "";
      for (let tries = 0; !/\) Z /.test(stat) && tries < 200; tries++) {
        await delay(10);
        stat = readFileSync(`/proc/${pid}/stat`, "utf8");
      }
      const since = stat.slice(stat.lastIndexOf(")") + 2).split(" ")[19];
      leave({ ...gone, pid: Number(pid), since });
      await (await acquireLock(target)).release();
    } finally {
      parent.kill("SIGKILL");
    }
  });
});

describe("taken over after a silence, with a word to the user", () => {
  const silentMs = 600;
  const puts: Record<string, () => void> = {
    "of another machine or container": () => leave(elsewhere),
    "without content, as where a system fell": () => writeFileSync(`${target}.lock`, "\0\0"),
    "that is a beginning of one": () => writeFileSync(`${target}.lock`, '{"cllm":1,"pi'),
    "that is a dangling link": () => symlinkSync(join(folder, "nowhere"), `${target}.lock`),
    "that is an empty folder": () => mkdirSync(`${target}.lock`),
  };
  test.each(Object.keys(puts))("a lock %s", async (kind) => {
    puts[kind]!();
    const lines: string[] = [];
    const begin = performance.now();
    await (await acquireLock(target, { silentMs, onWait: (line) => lines.push(line) })).release();
    expect(performance.now() - begin).toBeGreaterThan(silentMs / 2);
    expect(lines).toEqual([expect.stringMatching(/waiting 1 s/), expect.stringMatching(/taken over/)]);
    expect(readdirSync(folder)).toEqual([]);
  });

  test("but not one that is touched meanwhile", async () => {
    leave(elsewhere);
    let seconds = 1;
    const beats = setInterval(() => utimesSync(`${target}.lock`, seconds, seconds++), 100);
    try {
      await expect(acquireLock(target, { silentMs: 5000 })).rejects.toThrow(
        /process 1 of another container.*wait for it/,
      );
    } finally {
      clearInterval(beats);
    }
    expect(existsSync(`${target}.lock`)).toBe(true);
  });

  test("and the wait ends with the caller's signal", async () => {
    leave(elsewhere);
    const signal = AbortSignal.timeout(100);
    await expect(acquireLock(target, { signal })).rejects.toMatchObject({ code: "aborted" });
  });
});

test("the holder touches its lock, also while its thread is busy", async () => {
  const lock = await acquireLock(target);
  const before = (await import("node:fs")).statSync(`${target}.lock`).mtimeMs;
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 6500);
  expect((await import("node:fs")).statSync(`${target}.lock`).mtimeMs).toBeGreaterThan(before);
  await lock.release();
}, 20_000);

test("what somebody else keeps under that name is left alone", async () => {
  writeFileSync(`${target}.lock`, "[[package]]\n");
  await expect(acquireLock(target)).rejects.toThrow(/is a file and no lock of cllm; move it away/);
  rmSync(`${target}.lock`);
  mkdirSync(`${target}.lock`);
  writeFileSync(join(`${target}.lock`, "mine"), "");
  await expect(acquireLock(target)).rejects.toThrow(/is a folder and no lock of cllm/);
  expect(readdirSync(`${target}.lock`)).toEqual(["mine"]);
});
