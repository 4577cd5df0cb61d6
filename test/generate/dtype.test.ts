/** Words of transformers.js: each means what it means there, and what is not built is refused by its name. */
import fc from "fast-check";
import { expect, test } from "vitest";
import { deviceSchema, dtypeSchema, unitePrecision } from "../../src/generate/dtype.ts";
import { load } from "../../src/generate/load.ts";
import { loadSchema } from "../../src/generate/options.ts";
import { PRECISIONS } from "../../src/model/precision.ts";

const NAMES = ["fp32", "fp16", "f16", "q8", "int8", "q4", "int4"] as const;
const MEANT = { fp32: "fp32", fp16: "f16", f16: "f16", q8: "int8", int8: "int8", q4: "int4", int4: "int4" } as const;

test("dtype is precision by another name", () => {
  fc.assert(
    fc.property(
      fc.constantFrom(...NAMES),
      fc.option(fc.constantFrom(...PRECISIONS), { nil: undefined }),
      (dtype, precision) => {
        const unite = () => unitePrecision({ dtype, threads: 2, ...(precision && { precision }) });
        if (precision === undefined || precision === MEANT[dtype])
          expect(unite()).toEqual({ precision: MEANT[dtype], threads: 2 });
        else expect(unite).toThrow(`precision is ${precision} and dtype is ${dtype}`);
      },
    ),
  );
  expect(unitePrecision({ precision: "nonsense" })).toEqual({ precision: "nonsense" }); // not its to check
});

test.each(["bf16", "q4f16"])("dtype %s is refused by name, with what to take", async (dtype) => {
  const message = `dtype must be one of fp32, fp16, f16, q8, int8, q4, int4, not "${dtype}": these half floats are not built; give fp16 on a GPU, or int8`;
  await expect(load("nowhere", { dtype: dtype as never })).rejects.toMatchObject({ code: "usage", message });
});

test.each([{ dtype: "fp16" }, { precision: "f16" }, { dtype: "f16", device: "cpu" }] as const)(
  "half floats on the processor are refused before anything is opened: %o",
  async (options) => {
    const message = "precision f16 is not built for cpu; give int8 or fp32, or device webgpu for a GPU";
    await expect(load("nowhere", options)).rejects.toMatchObject({ code: "usage", message });
  },
);

test.each([
  ["cuda", "GPUs are reached by WebGPU here; give webgpu"],
  ["wasm", "ONNX Runtime runs as native code here; give cpu"],
])("device %s is refused by name", async (device, why) => {
  const refusal = load("nowhere", { device: device as never });
  await expect(refusal).rejects.toMatchObject({
    code: "usage",
    message: expect.stringContaining(`not "${device}": ${why}`),
  });
});

test("a device that nobody knows is refused without a reason", async () => {
  await expect(load("nowhere", { device: "toaster" as never })).rejects.toThrow(
    /^device must be one of cpu, webgpu, gpu, auto, not "toaster"$/,
  );
});

test("all devices are taken", () => {
  for (const device of ["cpu", "webgpu", "gpu", "auto"] as const)
    expect(loadSchema.parse({ device })).toMatchObject({ device });
  expect(loadSchema.parse({})).toMatchObject({ device: "cpu", precision: "int8" });
  expect([deviceSchema, dtypeSchema].every((schema) => schema.meta()?.["refused"] !== undefined)).toBe(true);
});
