/** Shards of a collection, killed and torn anywhere: joined they are the file of one run, byte for byte. */
import {
  copyFileSync,
  existsSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  truncateSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import fc from "fast-check";
import { afterAll, beforeEach, describe, expect, test } from "vitest";
import { findShards, shardPath } from "../../src/files/shards.ts";
import { ngramModel, scriptedSession } from "../../src/runtime/scripted.ts";
import type { CollectionInfo, TrajectoryFormat } from "../../src/trajectory/info.ts";
import { mergeCollection } from "../../src/trajectory/merge.ts";
import { openTrajectories } from "../../src/trajectory/open.ts";
import { type Candidate, fingerprintPrompts, runCollection } from "../../src/trajectory/run.ts";
import { info, prompts, VOCAB } from "./arbitrary.ts";

const folder = mkdtempSync(join(tmpdir(), "cllm-merge-"));
afterAll(() => rmSync(folder, { recursive: true, force: true }));
const output = join(folder, "t.parquet");
const clear = (): void => {
  for (const name of readdirSync(folder)) rmSync(join(folder, name));
};
beforeEach(clear);

const model = ngramModel(VOCAB, 0.7, 3);
const candidates: Candidate[] = [
  ...prompts(10),
  { dataId: "bad", unusable: true },
  { dataId: "long", promptIds: new Int32Array(9).fill(2), labelIds: null },
];
const whole: CollectionInfo = info({ maxPromptTokens: 8, prompts: fingerprintPrompts(candidates) });

/** Runs to the end, or until so many prompts are done; false then, as after a kill. */
async function run(
  about: CollectionInfo,
  path: string,
  format: TrajectoryFormat = "parquet",
  most = Infinity,
): Promise<boolean> {
  const steps = runCollection(() => scriptedSession(model), candidates, { output: path, format, info: about });
  for (let step = 0; step < most; step++) if ((await steps.next()).done) return true;
  await steps.return(null as never);
  return false;
}

const ofShard = (
  index: number,
  count: number,
  format: TrajectoryFormat = "parquet",
  over: Partial<CollectionInfo> = {},
) => ({
  about: { ...whole, ...over, shard: { index, count, format } },
  path: shardPath(output, { index, count }, ".parquet"),
});

async function all(count: number, format: TrajectoryFormat = "parquet"): Promise<readonly string[]> {
  for (let index = 1; index <= count; index++) {
    const { about, path } = ofShard(index, count, format);
    await run(about, path, format);
  }
  return findShards(output, [".parquet"]);
}

describe.each(["parquet", "cllm-json"] as const)("shards joined to %s", (format) => {
  test.each([2, 3, 8, 15])("%i of them, with kills, are the bytes of one run", async (count) => {
    await run(whole, output, format);
    const expected = readFileSync(output);
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.tuple(fc.nat(count - 1), fc.nat(4), fc.nat(90)), { maxLength: 3 }),
        async (kills) => {
          clear();
          for (const [shard, done, torn] of kills) {
            const { about, path } = ofShard(shard + 1, count, format);
            if (await run(about, path, format, 1 + done)) continue;
            const journal = `${path}.journal`;
            if (existsSync(journal)) truncateSync(journal, Math.max(0, readFileSync(journal).length - torn));
          }
          const shards = await all(count, format);
          await mergeCollection(output, shards);
          expect(readFileSync(output).equals(expected)).toBe(true);
        },
      ),
      { numRuns: 2 },
    );
  });
});

describe("shards", () => {
  test("that are complete are not run again", async () => {
    await all(2);
    const { about, path } = ofShard(1, 2);
    const open = () => expect.unreachable();
    expect((await runCollection(open, candidates, { output: path, format: "parquet", info: about }).next()).done).toBe(
      true,
    );
  });

  test("of other settings, another model or another name are refused, and nothing is written", async () => {
    await all(2);
    const { path } = ofShard(2, 2);
    const other = ofShard(2, 2, "parquet", { settings: { ...whole.settings, seed: 99 } });
    rmSync(path);
    await run(other.about, path);
    await expect(mergeCollection(output, await findShards(output, [".parquet"]))).rejects.toMatchObject({
      code: "usage",
      message: expect.stringMatching(/other settings than the first shard \(seed is 99 there and \d+ here\)/),
    });
    rmSync(path);
    const foreign = ofShard(2, 2, "parquet", { model: { ...whole.model, weights: "others" } });
    await run(foreign.about, path);
    await expect(mergeCollection(output, await findShards(output, [".parquet"]))).rejects.toMatchObject({
      code: "bad-input",
    });
    copyFileSync(ofShard(1, 2).path, path);
    await expect(mergeCollection(output, await findShards(output, [".parquet"]))).rejects.toThrow(
      /says that it is shard 1 of 2/,
    );
    writeFileSync(path, "no Parquet");
    await expect(mergeCollection(output, await findShards(output, [".parquet"]))).rejects.toMatchObject({
      code: "bad-file",
    });
    expect(existsSync(output)).toBe(false);
  });

  test("are not taken for a whole: neither by a run without shards nor by training", async () => {
    await all(2);
    await expect(openTrajectories(ofShard(1, 2).path)).rejects.toThrow(
      /is shard 1 of 2: join all of them with cllm merge/,
    );
    renameSync(ofShard(1, 2).path, output);
    await expect(run(whole, output)).rejects.toThrow(/it is shard 1 of 2 there and the whole here/);
  });
});
