/**
 * Safetensors files: eight bytes with the header's length, a JSON header, then the tensors' bytes back to back
 * (huggingface.co/docs/safetensors). Reads and strictly checks the header. Tensors are read elsewhere, where asked for, and
 * written by `write-safetensors.ts`. Knows no model.
 */
import * as z from "zod";
import { CllmError } from "../../error.ts";
import type { BinaryFile } from "../../files/binary-file.ts";
import { parseJson } from "../../files/json.ts";
import { shorten } from "../../files/near-miss.ts";
import { FLOATS } from "../floats.ts";
import type { StoredTensor } from "../stored-weights.ts";

/** Longest header taken: the largest sharded models stay under a megabyte. */
const MAX_HEADER_BYTES = 32 << 20;

/** Bits per element of every type of the format; only some can be read as weights. */
const BITS: ReadonlyMap<string, number> = new Map([
  ["F4", 4] as const,
  ...["F6_E2M3", "F6_E3M2"].map((dtype) => [dtype, 6] as const),
  ...["BOOL", "U8", "I8", "F8_E5M2", "F8_E4M3", "F8_E8M0", "F8_E4M3FNUZ", "F8_E5M2FNUZ"].map(
    (dtype) => [dtype, 8] as const,
  ),
  ...["I16", "U16", "F16", "BF16"].map((dtype) => [dtype, 16] as const),
  ...["I32", "U32", "F32"].map((dtype) => [dtype, 32] as const),
  ...["C64", "F64", "I64", "U64"].map((dtype) => [dtype, 64] as const),
]);

const size = z.number().int().nonnegative().max(Number.MAX_SAFE_INTEGER);
const entrySchema = z.object({
  dtype: z.string(),
  shape: z.array(size).max(8),
  data_offsets: z.tuple([size, size]),
});
const metadataSchema = z.record(z.string(), z.string()).nullable();

/**
 * Read a file's header. The tensors cover the data exactly: in range, no overlap, no hole, bytes = shape x type.
 * Throws `bad-file` naming tensor, value and limit.
 */
export async function readSafetensorsHeader(file: BinaryFile): Promise<StoredTensor[]> {
  const bad = (problem: string): CllmError =>
    new CllmError("bad-file", `${file.path} is no sound safetensors file: ${problem}; fetch or write it again`);
  if (file.size < 8) throw bad(`it has ${file.size} bytes, fewer than the 8 that give the header's length`);
  const prefix = await file.read(0, 8);
  const declared = new DataView(prefix.buffer).getBigUint64(0, true);
  const limit = Math.min(MAX_HEADER_BYTES, file.size - 8);
  if (declared > BigInt(limit)) throw bad(`its header claims ${declared} bytes; at most ${limit} are possible`);
  const headerBytes = Number(declared);
  const text = new TextDecoder("utf-8", { ignoreBOM: true }).decode(await file.read(8, headerBytes));
  if (!text.startsWith("{")) throw bad("its header is not a JSON object");
  const header = parseJson(text, `the header of ${file.path}`, { uniqueKeys: true }) as Record<string, unknown>;

  const dataStart = 8 + headerBytes;
  const dataBytes = file.size - dataStart;
  const tensors: StoredTensor[] = [];
  for (const [name, value] of Object.entries(header)) {
    if (name === "__metadata__") {
      if (!metadataSchema.safeParse(value).success) throw bad("its __metadata__ does not map strings to strings");
      continue;
    }
    const entry = entrySchema.safeParse(value);
    if (!entry.success) {
      const issue = entry.error.issues[0]!;
      throw bad(`tensor ${shorten(name)}: ${issue.path.join(".") || "entry"}: ${issue.message}`);
    }
    const { dtype, shape, data_offsets } = entry.data;
    const [begin, end] = data_offsets;
    const bits = BITS.get(dtype);
    if (bits === undefined) throw bad(`tensor ${shorten(name)} has the unknown type ${shorten(dtype)}`);
    const expected = (shape.reduce((product, length) => product * length, 1) * bits) / 8;
    if (end < begin || end > dataBytes) {
      throw bad(`tensor ${shorten(name)} lies at bytes ${begin} to ${end} of the data, which has ${dataBytes}`);
    }
    if (expected !== end - begin) {
      throw bad(`tensor ${shorten(name)} takes ${end - begin} bytes, but ${dtype} [${shape}] needs ${expected}`);
    }
    const codec = FLOATS.get(dtype) ?? null;
    tensors.push({ name, shape, dtype, codec, file, offset: dataStart + begin, byteLength: end - begin });
  }

  let covered = dataStart;
  for (const { name, offset, byteLength } of tensors.toSorted(
    (a, b) => a.offset - b.offset || a.byteLength - b.byteLength,
  )) {
    if (offset < covered) throw bad(`tensor ${shorten(name)} overlaps the one before it by ${covered - offset} bytes`);
    if (offset > covered) throw bad(`${offset - covered} bytes before tensor ${shorten(name)} belong to no tensor`);
    covered = offset + byteLength;
  }
  if (covered !== file.size) throw bad(`${file.size - covered} bytes at its end belong to no tensor`);
  return tensors;
}
