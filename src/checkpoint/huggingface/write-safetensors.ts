/**
 * Writing safetensors files: the header first, whose sizes follow from shapes alone, then tensor after tensor as it is
 * read from its source, a few megabytes in memory at a time. Knows no model.
 */
import type { FileHandle } from "node:fs/promises";
import { CllmError } from "../../error.ts";
import { checkAborted, writeWhole } from "../../files/write-whole.ts";
import type { NamedTensor } from "../../model/memory-weights.ts";
import { ENCODERS, type FloatType } from "../encoders.ts";
import { chunksOf, elementsOf, type OnWrite, sourceOf, type TensorSource } from "../tensor-source.ts";

export interface WriteSafetensorsOptions {
  /** The element type of all tensors. Default: F32, which loses nothing. */
  readonly dtype?: FloatType;
  /** Strings for people and programs. Default: `{ format: "pt" }`, which transformers asks for. */
  readonly metadata?: Readonly<Record<string, string>>;
  readonly onWrite?: OnWrite | undefined;
  readonly signal?: AbortSignal | undefined;
}

const METADATA = "__metadata__";

/**
 * Write tensors; the file appears whole or not at all. Throws `bad-weights` for shapes that do not fit their values, a
 * name that comes twice, values that are not finite or too large for the type, and `disk` where writing fails.
 */
export async function writeSafetensors(
  path: string,
  tensors: TensorSource | Iterable<NamedTensor>,
  { dtype = "F32", metadata = { format: "pt" }, onWrite, signal }: WriteSafetensorsOptions = {},
): Promise<void> {
  const source = sourceOf(tensors);
  const encoder = ENCODERS[dtype];
  const names = source.names();
  const header = headerBytes(source, names, dtype, encoder.blockBytes, metadata);
  const elements = names.reduce((sum, name) => sum + elementsOf(source.shape(name)), 0);
  const write = async (handle: FileHandle): Promise<void> => {
    await handle.appendFile(header);
    for (const [done, name] of names.entries()) {
      onWrite?.(name, done, names.length);
      let written = 0;
      for await (const values of chunksOf(source, name)) {
        checkAborted(signal, path);
        await handle.appendFile(encoder.encode(values, name));
        written += values.length;
      }
      if (written !== elementsOf(source.shape(name))) {
        const message = `tensor ${name} [${source.shape(name)}] gave ${written} values, which is another number`;
        throw new CllmError("bad-weights", message);
      }
    }
  };
  await writeWhole(path, write, { bytes: header.length + elements * encoder.blockBytes });
  onWrite?.("", names.length, names.length);
}

function headerBytes(
  source: TensorSource,
  names: readonly string[],
  dtype: string,
  elementBytes: number,
  metadata: Readonly<Record<string, string>>,
): Buffer {
  const entries: [string, unknown][] = [[METADATA, metadata]];
  let offset = 0;
  for (const name of names) {
    if (name === METADATA) throw new CllmError("bad-weights", `no tensor can be called ${METADATA}: rename it`);
    const shape = source.shape(name);
    const end = offset + elementsOf(shape) * elementBytes;
    entries.push([name, { dtype, shape, data_offsets: [offset, end] }]);
    offset = end;
  }
  const json = Buffer.from(JSON.stringify(Object.fromEntries(entries)));
  const padding = (8 - (json.length % 8)) % 8; // data starts 8-byte aligned
  const prefix = Buffer.alloc(8);
  prefix.writeBigUInt64LE(BigInt(json.length + padding));
  return Buffer.concat([prefix, json, Buffer.alloc(padding, " ")]);
}
