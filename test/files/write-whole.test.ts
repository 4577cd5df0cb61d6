/** Whole or not at all: what a killed process leaves goes with the next write, and a name that was taken stays taken. */
import { spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import {
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  utimesSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { pathToFileURL } from "node:url";
import { afterAll, beforeEach, describe, expect, test } from "vitest";
import { openCheckpoint } from "../../src/checkpoint/open.ts";
import { type Owner, ownOwner } from "../../src/files/owner.ts";
import { recoverFolder } from "../../src/files/scratch.ts";
import { writeText, writeWhole, writeWholeFolder } from "../../src/files/write-whole.ts";
import { writeTinyCheckpoint } from "../generate/tiny-checkpoint.ts";

const scratch = mkdtempSync(join(tmpdir(), "cllm-whole-"));
const dist = join(import.meta.dirname, "../../dist");
/** More for a measurement: `CLLM_KILLS=200`. */
const KILLS = Number(process.env["CLLM_KILLS"] ?? 4);
let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(scratch, "case-"));
});
afterAll(() => rmSync(scratch, { recursive: true, force: true }));

const gone: Owner = { ...ownOwner(), since: "1" };
const elsewhere: Owner = { ...gone, place: "00000000" };
const nameOf = (name: string, { place, pid, since }: Owner, kind = "incomplete"): string =>
  `${name}.${place}-${pid}-${since}-0123abcd.${kind}`;
const put = (name: string, content = "x"): void => {
  mkdirSync(join(folder, name));
  writeFileSync(join(folder, name, "config.json"), content);
};
const write = (content: string, name = "model"): Promise<void> =>
  writeWholeFolder(join(folder, name), (partial) => writeText(partial, "config.json", content), {
    overwrite: true,
    marker: "config.json",
  });
const contentOf = (name = "model"): string => readFileSync(join(folder, name, "config.json"), "utf8");
const touch = (name: string, agoMs: number): void => {
  const at = (Date.now() - agoMs) / 1000;
  utimesSync(join(folder, name), at, at);
};

describe("leftovers in a folder that is written to", () => {
  test("of a process that is gone are removed, files and folders, of whatever they were to be", async () => {
    writeFileSync(join(folder, nameOf("a.gguf", gone)), "half");
    put(nameOf("other", gone));
    await writeWhole(join(folder, "b.json"), (file) => file.writeFile("{}"));
    expect(readdirSync(folder)).toEqual(["b.json"]);
  });

  test("of a living process stay, in other places too until nothing was written for an hour", async () => {
    const mine = nameOf("a", ownOwner());
    const fresh = nameOf("b", elsewhere);
    const old = nameOf("c", elsewhere);
    const names = [mine, fresh, old, "notes.incomplete", `d.${"0".repeat(8)}.incomplete`];
    for (const name of names) writeFileSync(join(folder, name), "");
    put(nameOf("e", elsewhere));
    for (const name of [mine, old, "notes.incomplete", nameOf("e", elsewhere)]) touch(name, 2 * 3_600_000);
    await write("new");
    const kept = [...names.filter((name) => name !== old), nameOf("e", elsewhere), "model"]; // a file in e is fresh
    expect(readdirSync(folder).sort()).toEqual(kept.sort());
  });

  test("are none where writing fails or the process ends in its midst", async () => {
    const failing = writeWhole(join(folder, "a"), async () => {
      throw new Error("no");
    });
    await expect(failing).rejects.toMatchObject({ code: "disk" });
    const module = pathToFileURL(join(import.meta.dirname, "../../dist/files/write-whole.js"));
    const script = `import { writeWhole } from "${module}";
      void writeWhole(${JSON.stringify(join(folder, "b"))}, () => new Promise(() => setTimeout(() => process.exit(7), 50)));`;
    expect(spawnSync(process.execPath, ["--input-type=module", "-e", script]).status).toBe(7);
    expect(readdirSync(folder)).toEqual([]);
  });
});

describe("a folder that is overwritten", () => {
  /** Where a process may be killed: before, between and after its two renames. */
  const [partial, aside] = [nameOf("model", gone), nameOf("model", gone, "replaced")];
  const states: readonly (readonly [when: string, there: Readonly<Record<string, string>>, then: string])[] = [
    ["while it writes", { model: "old", [partial]: "new" }, "old"],
    ["between its renames", { [aside]: "old", [partial]: "new" }, "new"],
    ["while it removes the old one", { model: "new", [aside]: "old" }, "new"],
    ["and then its scratch was lost", { [aside]: "old" }, "old"],
  ];
  test.each(states)(
    "killed %s: a reader finds one of the two, and nothing is left after the next write",
    async (_when, there, then) => {
      for (const [name, content] of Object.entries(there)) put(name, content);
      await recoverFolder(join(folder, "model"));
      expect(contentOf()).toBe(then);
      await write("newer");
      expect(contentOf()).toBe("newer");
      expect(readdirSync(folder)).toEqual(["model"]);
    },
  );

  test.each(states)("killed %s: the next write of another name keeps it too", async (_when, there, then) => {
    for (const [name, content] of Object.entries(there)) put(name, content);
    await write("other", "other");
    expect(contentOf()).toBe(then);
    expect(readdirSync(folder).sort()).toEqual(["model", "other"]);
  });

  test("of a living process is waited for", async () => {
    put(nameOf("model", ownOwner(), "replaced"), "old");
    const reader = recoverFolder(join(folder, "model"));
    put("model", "new");
    await reader;
    expect(contentOf()).toBe("new");
    expect(readdirSync(folder)).toHaveLength(2);
  });

  test("again and again by a process that is killed is whole each time", { timeout: 300_000 }, async () => {
    const figures = { kills: 0, between: 0, lost: 0, mixed: 0 };
    const model = join(folder, "model");
    for (; figures.kills < KILLS; figures.kills++) {
      const script = join(import.meta.dirname, "overwrite-child.mjs");
      const child = spawn(process.execPath, [script, model, dist], { stdio: ["ignore", "pipe", "inherit"] });
      const exit = once(child, "exit");
      await once(child.stdout, "data");
      await delay(Math.random() * 60);
      child.kill("SIGKILL");
      await exit;
      if (!existsSync(model)) figures.between++;
      await recoverFolder(model);
      if (!existsSync(model)) figures.lost++;
      else if (contentOf() !== readFileSync(join(model, "weights"), "utf8")) figures.mixed++;
    }
    if (process.env["CLLM_KILLS"]) console.log(figures);
    expect(figures).toMatchObject({ lost: 0, mixed: 0 });
    await write("last");
    expect(readdirSync(folder)).toEqual(["model"]);
  });

  test("is found by who opens a checkpoint", async () => {
    renameSync(writeTinyCheckpoint(join(folder, "model")), join(folder, nameOf("model", gone, "replaced")));
    await (await openCheckpoint(join(folder, "model"))).close();
    expect(readdirSync(folder)).toEqual(["model"]);
  });

  test.skipIf(spawnSync("python3", ["-c", ""]).status !== 0 || process.platform !== "linux")(
    "is exchanged in one step where mv can",
    async () => {
      const bin = join(folder, "bin");
      mkdirSync(bin);
      const mv = `#!/usr/bin/env python3
import ctypes, sys
assert sys.argv[1:4] == ["--exchange", "--no-target-directory", "--"]
open(${JSON.stringify(join(folder, "log"))}, "a").write("exchanged")
one, other = (name.encode() for name in sys.argv[4:])
sys.exit(0 if ctypes.CDLL(None).renameat2(-100, one, -100, other, 2) == 0 else 1)
`;
      writeFileSync(join(bin, "mv"), mv);
      chmodSync(join(bin, "mv"), 0o755);
      const { PATH } = process.env;
      process.env["PATH"] = `${bin}:${PATH}`;
      try {
        await write("old");
        await write("new");
      } finally {
        process.env["PATH"] = PATH;
      }
      expect(contentOf()).toBe("new");
      expect(readFileSync(join(folder, "log"), "utf8")).toBe("exchanged");
      expect(readdirSync(folder).sort()).toEqual(["bin", "log", "model"]);
    },
  );
});

test("what is no file is not replaced by one", async () => {
  spawnSync("mkfifo", [join(folder, "pipe")]);
  for (const path of [folder, ...(existsSync(join(folder, "pipe")) ? [join(folder, "pipe")] : [])]) {
    const writing = writeWhole(path, (file) => file.writeFile(""));
    await expect(writing).rejects.toMatchObject({
      code: "usage",
      message: expect.stringMatching(/choose another name/),
    });
  }
});
