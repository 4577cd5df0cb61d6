/** Which shard a command works on: its flag, or what schedulers set; and what cannot be one is an error that says what to do. */
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { SHARD_VARIABLES, shardOf } from "../../src/cli/shard.ts";

const found = (env: Record<string, string>, flags: { shard?: string; shards?: number } = {}) => {
  const notes: string[] = [];
  const shard = shardOf({ shard: flags.shard, shards: flags.shards }, env, (line) => notes.push(line));
  return { shard, notes };
};

describe("the environment of a scheduler", () => {
  test.each([
    ["Slurm", { SLURM_ARRAY_TASK_ID: "12", SLURM_ARRAY_TASK_COUNT: "8", SLURM_ARRAY_TASK_MIN: "10" }, 3, 8],
    [
      "Slurm with steps",
      {
        SLURM_ARRAY_TASK_ID: "6",
        SLURM_ARRAY_TASK_COUNT: "4",
        SLURM_ARRAY_TASK_MIN: "0",
        SLURM_ARRAY_TASK_STEP: "2",
      },
      4,
      4,
    ],
    ["AWS Batch", { AWS_BATCH_JOB_ARRAY_INDEX: "0", AWS_BATCH_JOB_ARRAY_SIZE: "8" }, 1, 8],
    ["Cloud Run", { CLOUD_RUN_TASK_INDEX: "7", CLOUD_RUN_TASK_COUNT: "8" }, 8, 8],
    ["SkyPilot", { SKYPILOT_JOB_RANK: "2", SKYPILOT_NUM_JOBS: "8" }, 3, 8],
    ["CI", { CI_NODE_INDEX: "3", CI_NODE_TOTAL: "8" }, 3, 8],
  ])("of %s names the shard, and a note says so", (name, env, index, count) => {
    const { shard, notes } = found(env);
    expect(shard).toEqual({ index, count });
    expect(notes).toEqual([
      expect.stringMatching(new RegExp(`^shard ${index} of ${count}: .* of ${name.split(" ")[0]}`)),
    ]);
  });

  test("of Kubernetes has an index, and the count comes from the flag", () => {
    expect(found({ JOB_COMPLETION_INDEX: "2" }, { shards: 8 }).shard).toEqual({ index: 3, count: 8 });
    expect(() => found({ JOB_COMPLETION_INDEX: "2" })).toThrow(/JOB_COMPLETION_INDEX is 2, but .*give --shards n/);
  });

  test("gives way to the flag, which is not noted", () => {
    const env = { SLURM_ARRAY_TASK_ID: "1", SLURM_ARRAY_TASK_COUNT: "4", SLURM_ARRAY_TASK_MIN: "1" };
    expect(found(env, { shard: "2/3" })).toEqual({ shard: { index: 2, count: 3 }, notes: [] });
    expect(found(env, { shard: "none" })).toEqual({ shard: undefined, notes: [] });
    expect(found({})).toEqual({ shard: undefined, notes: [] });
  });

  test("that is wrong is an error with the next move", () => {
    expect(() => found({ SLURM_ARRAY_TASK_ID: "5" })).toThrow(/SLURM_ARRAY_TASK_COUNT is not set; give --shards n/);
    expect(() => found({ CI_NODE_INDEX: "0", CI_NODE_TOTAL: "4" })).toThrow(/there is no shard 0 of 4/);
    expect(() => found({ CLOUD_RUN_TASK_INDEX: "x", CLOUD_RUN_TASK_COUNT: "4" })).toThrow(/is "x", no number/);
  });

  test("is an error of usage or a shard within its count, whatever it holds", () => {
    const value = fc.oneof(fc.nat(12).map(String), fc.string({ maxLength: 3 }), fc.constant("99999999999"));
    const env = fc.dictionary(fc.constantFrom(...SHARD_VARIABLES), value);
    fc.assert(
      fc.property(env, fc.option(fc.integer({ min: 1, max: 9 }), { nil: undefined }), (variables, shards) => {
        try {
          const { shard } = found(variables, shards === undefined ? {} : { shards });
          if (shard === undefined) return;
          expect(Number.isInteger(shard.index) && shard.index >= 1 && shard.index <= shard.count).toBe(true);
        } catch (error) {
          expect(error).toMatchObject({ code: "usage" });
        }
      }),
    );
  });
});

test.each([
  ["0/8", /there is no shard 0 of 8; give one such as 3\/8/],
  ["9/8", /there is no shard 9 of 8/],
  ["3", /--shard 3 has no count/],
  ["1/0", /there may be 1 to 99999 shards/],
  ["a/b", /--shard a\/b is no shard/],
])("--shard %s is refused", (shard, message) => {
  expect(() => found({}, { shard })).toThrow(message);
});

test("two counts are refused", () => {
  expect(() => found({}, { shard: "1/2", shards: 3 })).toThrow(/two counts/);
  expect(() => found({}, { shards: 3 })).toThrow(/without a scheduler's index/);
});
