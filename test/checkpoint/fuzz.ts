/**
 * The law of bad input: whatever bytes a checkpoint's files hold, opening and reading it either works or throws a
 * `CllmError`. Mutates small sound checkpoints, and a real GGUF file's header where one is given. The tests run a few
 * hundred cases, the benchmark ten thousand.
 */
import { closeSync, mkdirSync, openSync, readSync, statSync, truncateSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import fc from "fast-check";
import type { Checkpoint } from "../../src/checkpoint/open.ts";
import { openCheckpoint } from "../../src/checkpoint/open.ts";
import { CllmError } from "../../src/error.ts";
import type { Meta } from "./files.ts";
import {
  encodeSafetensors,
  ggufBytes,
  ggufMetadata,
  ggufTensors,
  safetensorsBytes,
  TINY,
  TINY_TOKENS,
  tinyConfigJson,
  tinyTensors,
} from "./files.ts";

/** A sound checkpoint: files by name, and which path to open. */
export interface Subject {
  readonly name: string;
  readonly files: ReadonlyMap<string, Buffer>;
  /** Within the folder; "" for the folder itself. */
  readonly open: string;
  /** Size of the opened file where `files` hold only its start: the rest reads as zeros. */
  readonly size?: number;
}

export interface FuzzReport {
  readonly cases: number;
  /** Cases in which the checkpoint opened and every weight was read. */
  readonly sound: number;
  /** The others, by error code. */
  readonly refused: Record<string, number>;
  readonly slowestMs: number;
}

export interface FuzzOptions {
  readonly cases: number;
  readonly seed: number;
  readonly subjects: readonly Subject[];
  /** An empty folder to work in. */
  readonly folder: string;
  /** More to do with a checkpoint that opened, such as building its tokenizer. */
  readonly exercise?: (checkpoint: Checkpoint) => void;
  /** After every case. */
  readonly onCase?: (done: number) => void;
}

/** Run the cases. Throws fast-check's report, with the shrunken mutation, at the first error that is no `CllmError`. */
export async function fuzzCheckpoints(options: FuzzOptions): Promise<FuzzReport> {
  const { cases, seed, subjects, folder, exercise = () => {}, onCase = () => {} } = options;
  for (const subject of subjects) {
    const place = join(folder, subject.name);
    mkdirSync(place, { recursive: true });
    for (const [name, bytes] of subject.files) {
      writeFileSync(join(place, name), bytes);
      if (subject.size !== undefined) truncateSync(join(place, name), subject.size);
    }
    await exerciseCheckpoint(join(place, subject.open), exercise); // a subject that is refused as it is proves nothing
  }
  const refused: Record<string, number> = {};
  let done = 0;
  let sound = 0;
  let slowestMs = 0;
  await fc.assert(
    fc.asyncProperty(fc.constantFrom(...subjects), fc.nat(), mutations, async (subject, which, changes) => {
      const [name, original] = [...subject.files][which % subject.files.size]!;
      const place = join(folder, subject.name);
      const mutated = changes.reduce((bytes, change) => mutate(name, bytes, change), original);
      const began = performance.now();
      try {
        writeFileSync(join(place, name), mutated);
        if (subject.size !== undefined && mutated.length === original.length)
          truncateSync(join(place, name), subject.size);
        await exerciseCheckpoint(join(place, subject.open), exercise);
        sound++;
      } catch (error) {
        if (!(error instanceof CllmError)) throw error;
        refused[error.code] = (refused[error.code] ?? 0) + 1;
      } finally {
        writeFileSync(join(place, name), original);
      }
      slowestMs = Math.max(slowestMs, performance.now() - began);
      onCase(++done);
    }),
    { numRuns: cases, seed },
  );
  return { cases, sound, refused, slowestMs };
}

const SMALL = 2 ** 14; // elements: tensors of a real model above that are read by their last row only

async function exerciseCheckpoint(path: string, exercise: (checkpoint: Checkpoint) => void): Promise<void> {
  const checkpoint = await openCheckpoint(path, { offline: true });
  try {
    for (const name of checkpoint.weights.names()) {
      const shape = checkpoint.weights.shape(name);
      const small = shape.reduce((product, size) => product * size, 1) < SMALL;
      await checkpoint.weights.read(name, small ? 0 : shape[0]! - 1);
    }
    exercise(checkpoint);
  } finally {
    await checkpoint.close();
  }
}

/** The tiny Llama as a directory, as a directory of shards, and as GGUF with both kinds of tokenizer. */
export function tinySubjects(): Subject[] {
  const tensors = tinyTensors(TINY);
  const texts = new Map<string, string>([
    ["config.json", JSON.stringify({ ...tinyConfigJson(TINY), rope_scaling: { type: "linear", factor: 2 } })],
    ["generation_config.json", JSON.stringify({ bos_token_id: 1, eos_token_id: [2, 3] })],
    ["tokenizer.json", JSON.stringify(tokenizerJson())],
    ["tokenizer_config.json", JSON.stringify({ eos_token: "c", chat_template: "{{ messages[0]['content'] }}" })],
  ]);
  const small = [...texts].map(([name, text]) => [name, Buffer.from(text)] as const);
  const names = [...tensors.keys()];
  const shards = [names.slice(0, 9), names.slice(9)].map((part, i) => {
    const bytes = encodeSafetensors(new Map(part.map((name) => [name, tensors.get(name)!])));
    return [`model-0000${i + 1}-of-00002.safetensors`, bytes, part] as const;
  });
  const map = Object.fromEntries(shards.flatMap(([file, , part]) => part.map((name) => [name, file])));
  const spm: (readonly [string, Meta])[] = [
    ...ggufMetadata(TINY).filter(([key]) => !/ggml\.(model|merges|tokens|token_type)/.test(key)),
    ["tokenizer.ggml.model", { type: "string", value: "llama" }],
    ["tokenizer.ggml.tokens", { type: "strings", value: ["<unk>", "<s>", "</s>", "<0x41>", ..."▁abcdefg"] }],
    ["tokenizer.ggml.scores", { type: "f32s", value: TINY.eosTokenIds.concat(Array(11).fill(-1)) }],
    ["tokenizer.ggml.token_type", { type: "i32s", value: [2, 3, 3, 6, 1, 1, 1, 1, 1, 1, 1, 1] }],
    ["llama.rope.scaling.type", { type: "string", value: "linear" }],
    ["llama.rope.scaling.factor", { type: "f32", value: 2 }],
    ["general.alignment", { type: "u32", value: 32 }],
  ];
  const gguf = (metadata: (readonly [string, Meta])[]): Map<string, Buffer> =>
    new Map([["model.gguf", ggufBytes({ metadata, tensors: ggufTensors(TINY, tensors) })]]);
  return [
    { name: "whole", files: new Map([...small, ["model.safetensors", encodeSafetensors(tensors)]]), open: "" },
    {
      name: "shards",
      files: new Map([
        ...small,
        ...shards.map(([file, bytes]) => [file, bytes] as const),
        ["model.safetensors.index.json", Buffer.from(JSON.stringify({ weight_map: map }))],
      ]),
      open: "",
    },
    { name: "gguf", files: gguf(ggufMetadata(TINY)), open: "model.gguf" },
    { name: "gguf-spm", files: gguf(spm), open: "model.gguf" },
  ];
}

function tokenizerJson(): object {
  const vocab = Object.fromEntries(TINY_TOKENS.map((token, id) => [token, id]));
  return {
    version: "1.0",
    added_tokens: [
      { id: 2, content: "c", special: true, normalized: false, single_word: false, lstrip: false, rstrip: false },
    ],
    normalizer: null,
    pre_tokenizer: { type: "ByteLevel", add_prefix_space: false, trim_offsets: true, use_regex: true },
    post_processor: null,
    decoder: { type: "ByteLevel", add_prefix_space: true, trim_offsets: true, use_regex: true },
    model: { type: "BPE", dropout: null, unk_token: null, vocab, merges: [["a", "b"], "ab c"] },
  };
}

/** A real file's header, mutated; the tensors' bytes are left out, so that a case costs the header only. */
export function realGgufSubject(path: string, headerBytes: number): Subject {
  const bytes = Buffer.alloc(headerBytes);
  const file = openSync(path, "r");
  readSync(file, bytes, 0, headerBytes, 0);
  closeSync(file);
  return { name: "real", files: new Map([["real.gguf", bytes]]), open: "real.gguf", size: statSync(path).size };
}

type Mutation =
  | { readonly kind: "overwrite" | "insert"; readonly at: number; readonly bytes: Uint8Array }
  | { readonly kind: "integer"; readonly at: number; readonly value: bigint; readonly width: 4 | 8 }
  | { readonly kind: "cut"; readonly at: number }
  | { readonly kind: "remove" | "repeat"; readonly at: number; readonly length: number }
  | { readonly kind: "json"; readonly steps: readonly number[]; readonly value: unknown };

const at = fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true });
const edges = [0n, 1n, 2n, 31n, 255n, 2n ** 16n, 2n ** 31n - 1n, 2n ** 31n, 2n ** 32n - 1n, 2n ** 32n];
const hugeEdges = [2n ** 40n, 2n ** 53n - 1n, 2n ** 53n, 2n ** 62n, 2n ** 63n - 1n, 2n ** 63n, 2n ** 64n - 1n];
const oddValues = fc.oneof(
  fc.constantFrom<unknown>(null, true, "", "x", [], {}, -1, 0, 1, 0.5, 2 ** 31, 2 ** 53, 1e308, -1e308, [[[[]]]]),
  fc.constantFrom<unknown>(
    "F16",
    "I64",
    "__proto__",
    "constructor",
    "../x",
    { a: 1 },
    [0, 8],
    [-8, 0],
    [2 ** 52, 2 ** 53],
  ),
  fc.jsonValue({ maxDepth: 2 }),
  fc.nat(100_000),
);
const numbers = fc.constantFrom(...edges, ...hugeEdges);
const changedBytes = fc.oneof(
  { arbitrary: fc.uint8Array({ minLength: 1, maxLength: 1 }), weight: 3 },
  fc.uint8Array({ maxLength: 9 }),
);
const jsonSteps = fc.array(fc.nat(), { minLength: 1, maxLength: 5 });
const mutation: fc.Arbitrary<Mutation> = fc.oneof(
  { arbitrary: fc.record({ kind: fc.constant("json"), steps: jsonSteps, value: oddValues }), weight: 6 },
  { arbitrary: fc.record({ kind: fc.constant("overwrite"), at, bytes: changedBytes }), weight: 6 },
  {
    arbitrary: fc.record({ kind: fc.constant("integer"), at, value: numbers, width: fc.constantFrom(4, 8) }),
    weight: 4,
  },
  { arbitrary: fc.record({ kind: fc.constant("insert"), at, bytes: changedBytes }), weight: 1 },
  {
    arbitrary: fc.record({ kind: fc.constantFrom("remove", "repeat"), at, length: fc.integer({ min: 1, max: 200 }) }),
    weight: 1,
  },
  { arbitrary: fc.record({ kind: fc.constant("cut"), at }), weight: 1 },
);
const mutations: fc.Arbitrary<Mutation[]> = fc.oneof(
  { arbitrary: fc.tuple(mutation), weight: 3 },
  { arbitrary: fc.array(mutation, { minLength: 2, maxLength: 3 }), weight: 1 },
);

/** One change of a file's bytes. Positions lean towards its start, where the headers are. */
function mutate(name: string, bytes: Buffer, change: Mutation): Buffer {
  if (change.kind === "json") return mutateJson(name, bytes, change.steps, change.value);
  const position = Math.floor(change.at ** 3 * bytes.length);
  const before = bytes.subarray(0, position);
  const after = bytes.subarray(position);
  switch (change.kind) {
    case "cut":
      return before;
    case "insert":
      return Buffer.concat([before, change.bytes, after]);
    case "remove":
      return Buffer.concat([before, after.subarray(change.length)]);
    case "repeat":
      return Buffer.concat([before, after.subarray(0, change.length), after]);
    case "overwrite":
      return Buffer.concat([before, change.bytes.subarray(0, after.length), after.subarray(change.bytes.length)]);
    case "integer": {
      const value = Buffer.alloc(8);
      value.writeBigUInt64LE(BigInt.asUintN(change.width * 8, change.value));
      const written = value.subarray(0, Math.min(change.width, after.length));
      return Buffer.concat([before, written, after.subarray(written.length)]);
    }
  }
}

/** Replace one value of a JSON file or of a safetensors header; other files and broken ones stay as they are. */
function mutateJson(name: string, bytes: Buffer, steps: readonly number[], value: unknown): Buffer {
  try {
    if (name.endsWith(".json"))
      return Buffer.from(JSON.stringify(replaceIn(JSON.parse(bytes.toString()), steps, value)));
    if (!name.endsWith(".safetensors")) return bytes;
    const end = 8 + Number(bytes.readBigUInt64LE(0));
    const header: unknown = JSON.parse(bytes.subarray(8, end).toString());
    return safetensorsBytes(replaceIn(header, steps, value), bytes.subarray(end));
  } catch {
    return bytes;
  }
}

function replaceIn(json: unknown, [step, ...rest]: readonly number[], value: unknown): unknown {
  if (step === undefined || typeof json !== "object" || json === null) return value;
  const keys = Object.keys(json);
  const key = keys[step % Math.max(1, keys.length)];
  if (key === undefined) return value;
  const copy = (Array.isArray(json) ? [...json] : { ...json }) as Record<string, unknown>;
  copy[key] = replaceIn(copy[key], rest, value);
  return copy;
}
