/** Weights by what another thread knows of them: no header is read again. Knows no format. */
import { CllmError } from "../error.ts";
import { type BinaryFile, openBinaryFile } from "../files/binary-file.ts";
import type { Weights } from "../model/weights.ts";
import { CODECS } from "./codecs.ts";
import { type StoredTensor, storedWeights, type TensorEntry } from "./stored-weights.ts";

/** Opens the files of some tensors. Throws as `openBinaryFile` does, and `bad-file` for a file that was changed meanwhile. */
export async function openEntries(entries: readonly TensorEntry[]): Promise<Weights> {
  const files = new Map<string, BinaryFile>();
  const close = async (): Promise<void> => {
    for (const file of files.values()) await file.close();
  };
  const openedFor = async ({ path, size }: TensorEntry["file"]): Promise<BinaryFile> => {
    const file = files.get(path) ?? (await openBinaryFile(path));
    files.set(path, file);
    if (file.size === size) return file;
    throw new CllmError("bad-file", `${path} had ${size} bytes and has ${file.size}: load the model again`);
  };
  const tensorOf = async ({ codec, file, scales, ...plain }: TensorEntry): Promise<StoredTensor> => ({
    ...plain,
    codec: codec === null ? null : (CODECS.get(codec) ?? null),
    file: await openedFor(file),
    ...(scales && { scales: { ...scales, tensor: await tensorOf(scales.tensor) } }),
  });
  try {
    const tensors: StoredTensor[] = [];
    for (const entry of entries) tensors.push(await tensorOf(entry));
    return storedWeights(tensors, close);
  } catch (error) {
    await close();
    throw error;
  }
}
