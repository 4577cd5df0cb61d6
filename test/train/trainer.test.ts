/** What a trainer owns is released, also where it cannot be made as a whole. */
import { beforeEach, expect, test, vi } from "vitest";
import { randomParameters } from "../../src/train/parameters.ts";
import { Trainer } from "../../src/train/trainer.ts";
import { BASE } from "../model/random-model.ts";

const counts = vi.hoisted(() => ({ compiled: 0, released: 0, failAt: 0 }));

/** ONNX Runtime as it is, with programs counted and one of them refused. */
vi.mock("../../src/runtime/ort.ts", async (original) => {
  const ort = await original<typeof import("../../src/runtime/ort.ts")>();
  return {
    ...ort,
    async compile(...args: Parameters<typeof ort.compile>) {
      if (++counts.compiled === counts.failAt) throw new Error("it does not compile");
      const program = await ort.compile(...args);
      const release = async (): Promise<void> => {
        counts.released++;
        await program.release();
      };
      return { ...program, run: program.run.bind(program), release };
    },
  };
});

beforeEach(() => Object.assign(counts, { compiled: 0, released: 0, failAt: 0 }));

const create = () => Trainer.create(BASE, randomParameters(BASE, 1), { batch: 1, threads: 1 });

test("both programs are released with it", async () => {
  await (await create()).dispose();
  expect(counts).toMatchObject({ compiled: 2, released: 2 });
});

test("the first program is released where the second does not compile", async () => {
  counts.failAt = 2;
  await expect(create()).rejects.toThrow("it does not compile");
  expect(counts).toMatchObject({ compiled: 2, released: 1 });
});
