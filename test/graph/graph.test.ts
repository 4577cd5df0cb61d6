/** What is written as protobuf is read back by an independent reader, and as a graph it runs on ONNX Runtime. */
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { Graph, type TensorData } from "../../src/graph/graph.ts";
import { Message } from "../../src/graph/protobuf.ts";
import { compile, float32Data, float32Tensor, int64Data, int64Tensor } from "../../src/runtime/ort.ts";

type Read = { field: number; value: bigint | number | Uint8Array };

/** The fields of a message in order, by the letter of the encoding guide. */
function read(bytes: Uint8Array): Read[] {
  const fields: Read[] = [];
  let at = 0;
  const varint = (): bigint => {
    for (let value = 0n, shift = 0n; ; shift += 7n) {
      const byte = bytes[at++];
      if (byte === undefined || shift > 63n) throw new Error("a varint does not end");
      value |= BigInt(byte & 127) << shift;
      if (byte < 128) return value;
    }
  };
  while (at < bytes.length) {
    const tag = Number(varint());
    const field = tag >>> 3;
    if ((tag & 7) === 0) fields.push({ field, value: BigInt.asIntN(64, varint()) });
    else if ((tag & 7) === 5) {
      fields.push({ field, value: new DataView(bytes.buffer, bytes.byteOffset + at, 4).getFloat32(0, true) });
      at += 4;
    } else if ((tag & 7) === 2) {
      const length = Number(varint());
      if (at + length > bytes.length) throw new Error("a field is longer than its message");
      fields.push({ field, value: bytes.slice(at, at + length) });
      at += length;
    } else throw new Error(`wire type ${tag & 7}`);
  }
  return fields;
}

const parts = (bytes: Uint8Array, field: number): Uint8Array[] =>
  read(bytes).flatMap((f) => (f.field === field && f.value instanceof Uint8Array ? [f.value] : []));
const text = (bytes: Uint8Array | undefined): string => new TextDecoder().decode(bytes);

type Written =
  | { kind: "int"; field: number; value: bigint }
  | { kind: "float"; field: number; value: number }
  | { kind: "bytes"; field: number; value: Uint8Array }
  | { kind: "string"; field: number; value: string }
  | { kind: "message"; field: number; value: Written[] };

const { message: messages } = fc.letrec<{ field: Written; message: Written[] }>((tie) => {
  const field = fc.integer({ min: 1, max: 1000 });
  return {
    field: fc.oneof(
      { depthSize: "small", withCrossShrink: true },
      fc.record({
        kind: fc.constant("int" as const),
        field,
        value: fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n }),
      }),
      fc.record({ kind: fc.constant("float" as const), field, value: fc.float() }),
      fc.record({ kind: fc.constant("bytes" as const), field, value: fc.uint8Array({ maxLength: 300 }) }),
      fc.record({ kind: fc.constant("string" as const), field, value: fc.string({ unit: "grapheme" }) }),
      fc.record({ kind: fc.constant("message" as const), field, value: tie("message") }),
    ),
    message: fc.array(tie("field"), { maxLength: 8 }),
  };
});

function write(fields: readonly Written[]): Message {
  const message = new Message();
  for (const { kind, field, value } of fields) {
    if (kind === "int") message.int(field, value);
    else if (kind === "float") message.float(field, value);
    else if (kind === "bytes") message.bytes(field, value);
    else if (kind === "string") message.string(field, value);
    else message.message(field, write(value));
  }
  return message;
}

function expectRead(bytes: Uint8Array, fields: readonly Written[]): void {
  const found = read(bytes);
  expect(found.map(({ field }) => field)).toEqual(fields.map(({ field }) => field));
  for (const [i, { kind, value }] of fields.entries()) {
    const actual = found[i]?.value;
    if (kind === "message") expectRead(actual as Uint8Array, value);
    else if (kind === "string") expect(text(actual as Uint8Array)).toBe(value);
    else expect(actual).toEqual(value);
  }
}

describe("protobuf", () => {
  test("what is written is read back", () => {
    fc.assert(fc.property(messages, (fields) => expectRead(write(fields).finish(), fields)));
  });

  test("numbers are written as integers of 64 bits too", () => {
    fc.assert(
      fc.property(fc.maxSafeInteger(), fc.integer({ min: 1, max: 2 ** 28 }), (value, field) => {
        expect(read(new Message().int(field, value).finish())).toEqual([{ field, value: BigInt(value) }]);
      }),
      { examples: [[0, 2 ** 28]] }, // a tag of 32 bits
    );
  });
});

/** The nodes, initializers, inputs and outputs of an encoded model. */
function graphOf(model: Uint8Array) {
  const graph = parts(model, 7)[0]!;
  return {
    nodes: parts(graph, 1),
    initializers: parts(graph, 5),
    inputs: parts(graph, 11).map((value) => text(parts(value, 1)[0])),
    outputs: parts(graph, 12).map((value) => text(parts(value, 1)[0])),
  };
}

describe("a graph", () => {
  test("adds constants of every size to its input, kept inside or beside the model", async () => {
    await fc.assert(
      fc.asyncProperty(fc.integer({ min: 1, max: 600 }), fc.integer({ min: 1, max: 4 }), async (size, rows) => {
        const graph = new Graph();
        const x = graph.input("x", "float32", ["rows", size]);
        const added = Float32Array.from({ length: size }, (_, i) => Math.sin(i));
        const sum = graph.op("Add", [x, graph.constant(added, [size])]);
        graph.output(sum, "y", "float32", ["rows", size]);
        const model = graph.encode();
        expect(model.externalData.map(({ data }) => data.length)).toEqual(4 * size < 1024 ? [] : [4 * size]);
        expect(graphOf(model.bytes)).toMatchObject({ inputs: ["x"], outputs: ["y"] });
        const program = await compile(model, { threads: 1 });
        try {
          const data = Float32Array.from({ length: rows * size }, (_, i) => i);
          const { y } = await program.run({ x: float32Tensor(data, [rows, size]) }, ["y"]);
          expect(program.outputs).toEqual(["y"]);
          expect(y?.dims).toEqual([rows, size]);
          expect(float32Data(y!)).toEqual(data.map((value, i) => value + added[i % size]!));
        } finally {
          await program.release();
        }
      }),
      { numRuns: 20 },
    );
  });

  test("takes views of buffers as constants, and constants of every type", async () => {
    const types: readonly [TensorData, string][] = [
      [new Float32Array([9, 1, 2, 3]).subarray(1), "float32"],
      [new Int32Array([9, 1, 2, 3]).subarray(1), "int32"],
      [new BigInt64Array([9n, 1n, 2n, 3n]).subarray(1), "int64"],
      [new Int8Array([9, 1, 2, 3]).subarray(1), "int8"],
      [new Uint8Array([9, 1, 2, 3]).subarray(1), "uint8"],
      [new Uint16Array([0, 0x3c00, 0x4000, 0x4200]).subarray(1), "float16"],
    ];
    const graph = new Graph();
    for (const [data, name] of types) {
      const cast = graph.op("Cast", [graph.constant(data, [3])], { to: 7 });
      graph.output(cast, name, "int64", [3]);
    }
    const program = await compile(graph.encode(), { threads: 1 });
    try {
      const results = await program.run(
        {},
        types.map(([, name]) => name),
      );
      for (const [, name] of types) expect([...int64Data(results[name]!)]).toEqual([1, 2, 3]);
    } finally {
      await program.release();
    }
  });

  test("stores equal scalars once, and unequal ones apart", () => {
    const graph = new Graph();
    const [one, two] = [graph.scalar(1), graph.scalar(2)];
    expect(graph.scalar(1)).toBe(one);
    expect(two).not.toEqual(one);
    expect(graph.byte(1)).not.toEqual(one);
    expect(graph.byte(1)).toBe(graph.byte(1));
    expect(graph.integers(1)).not.toEqual(graph.byte(1));
    expect(graph.integers(1, 2)).toBe(graph.integers(1, 2));
    expect(graph.integers(12)).not.toEqual(graph.integers(1, 2));
    expect(graphOf(graph.encode().bytes).initializers).toHaveLength(6);
  });

  test("refuses data that does not fill its shape", () => {
    fc.assert(
      fc.property(fc.nat(20), fc.array(fc.integer({ min: 1, max: 5 }), { maxLength: 3 }), (length, shape) => {
        const elements = shape.reduce((product, d) => product * d, 1);
        const make = () => new Graph().constant(new Float32Array(length), shape);
        if (length === elements) expect(make).not.toThrow();
        else expect(make).toThrow(RangeError);
      }),
    );
  });

  test("leaves optional inputs out, and passes attributes of every kind", async () => {
    const graph = new Graph();
    const x = graph.input("x", "float32", [4]);
    const clipped = graph.op("Clip", [x, null, graph.scalar(2)]); // no lower bound
    const leaky = graph.op("LeakyRelu", [clipped], { alpha: { float: 0.5 } });
    const [first, second] = graph.ops("Split", [leaky], 2, { axis: 0, num_outputs: 2 });
    const halves = graph.op("Concat", [second!, first!], { axis: -1 });
    const einsum = graph.op("Einsum", [halves], { equation: "i->" });
    const squeezed = graph.op("Unsqueeze", [einsum, graph.integers(0)]);
    graph.output(halves, "halves", "float32", [4]);
    graph.output(squeezed, "sum", "float32", [1]);
    const program = await compile(graph.encode(), { threads: 1 });
    try {
      const feeds = { x: float32Tensor(Float32Array.of(-4, 1, 2, 3), [4]) };
      const { halves: y, sum } = await program.run(feeds, ["halves", "sum"]);
      expect([...float32Data(y!)]).toEqual([2, 2, -2, 1]);
      expect([...float32Data(sum!)]).toEqual([3]);
    } finally {
      await program.release();
    }
  });

  test("of nonsense fails as an engine error with ONNX Runtime's own words", async () => {
    const graph = new Graph();
    graph.output(graph.op("NoSuchOperator", [graph.scalar(1)]), "y", "float32", []);
    await expect(compile(graph.encode(), { threads: 1 })).rejects.toMatchObject({
      code: "engine",
      message: expect.stringContaining("NoSuchOperator"),
    });
  });

  test("fails as an engine error when it is fed wrongly, and runs on", async () => {
    const graph = new Graph();
    graph.output(graph.op("Neg", [graph.input("x", "float32", [2])]), "y", "float32", [2]);
    const program = await compile(graph.encode(), { threads: 1 });
    const good = float32Tensor(Float32Array.of(1, 2), [2]);
    for (const feeds of [{}, { x: float32Tensor(Float32Array.of(1), [1]) }, { x: int64Tensor([1, 2], [2]) }])
      await expect(program.run(feeds, ["y"])).rejects.toMatchObject({ code: "engine" });
    expect([...float32Data((await program.run({ x: good }, ["y"]))["y"]!)]).toEqual([-1, -2]);
    await program.release();
    await expect(program.run({ x: good }, ["y"])).rejects.toMatchObject({ code: "disposed" });
  });
});
