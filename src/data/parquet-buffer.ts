/** A file as hyparquet reads one: only regular files, and what the system says as errors of ours. Knows no Parquet. */
import type { AsyncBuffer } from "hyparquet";
import type { BinaryFile } from "../files/binary-file.ts";

/** The file stays the caller's to close. */
export function parquetBuffer(file: BinaryFile): AsyncBuffer {
  return {
    byteLength: file.size,
    slice(start, end = file.size) {
      const read = file.read(start, end - start).then(({ buffer }) => buffer as ArrayBuffer);
      read.catch(() => {}); // hyparquet asks for many pieces at once, and awaits no more of them once one has failed
      return read;
    },
  };
}
