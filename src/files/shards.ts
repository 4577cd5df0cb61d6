/**
 * Work in shards: which part of a list a shard has, what its file is called, and which files of a folder are the shards of an
 * output. Shards count from 1, and each has a run of neighbours, so that joining them is putting one behind the other. Knows
 * nothing of what is in a file.
 */
import { readdir } from "node:fs/promises";
import { dirname, extname, join } from "node:path";
import { CllmError } from "../error.ts";

export interface Shard {
  /** From 1 to `count`. */
  readonly index: number;
  readonly count: number;
}

/** Names have five digits. */
export const MAX_SHARDS = 99_999;

export const shardText = ({ index, count }: Shard): string => `shard ${index} of ${count}`;

/** The first item of a shard, and the first behind it. Sizes differ by one at most; more shards than items leave some empty. */
export function shardRange(items: number, { index, count }: Shard): readonly [begin: number, end: number] {
  return [Math.floor(((index - 1) * items) / count), Math.floor((index * items) / count)];
}

/**
 * The file of a shard.
 *
 * @example shardPath("faq.parquet", { index: 3, count: 8 }); // "faq-00003-of-00008.parquet"
 */
export function shardPath(output: string, { index, count }: Shard, extension: string = extname(output)): string {
  const digits = (value: number): string => String(value).padStart(5, "0");
  return `${withoutExtension(output)}-${digits(index)}-of-${digits(count)}${extension}`;
}

const withoutExtension = (path: string): string => path.slice(0, path.length - extname(path).length);

const NAME = /-(\d{5})-of-(\d{5})$/;

/** The shard that a file's name says it is; null for any other name. */
export function shardOfName(path: string): Shard | null {
  const [, index, count] = NAME.exec(withoutExtension(path)) ?? [];
  return index === undefined ? null : { index: Number(index), count: Number(count) };
}

/**
 * The files of an output's shards, in order and all of them. They stand beside it, with its extension or with another one of
 * those given. Throws `not-found` where there are none or some are missing, `bad-file` where some are there twice.
 */
export async function findShards(output: string, extensions: readonly string[]): Promise<readonly string[]> {
  const folder = dirname(output);
  const stem = withoutExtension(output)
    .slice(folder === "." && !output.startsWith(".") ? 0 : folder.length)
    .replace(/^\//, "");
  const entries = await readdir(folder).catch(() => []);
  const found = new Map<number, Map<number, string>>(); // by count, then by index
  for (const entry of entries.sort()) {
    const shard = shardOfName(entry);
    if (shard === null || !extensions.includes(extname(entry))) continue;
    if (withoutExtension(entry).replace(NAME, "") !== stem) continue;
    const own = found.get(shard.count) ?? new Map<number, string>();
    const twin = own.get(shard.index);
    if (twin !== undefined) throw doubled(output, `${twin} and ${entry} are the same shard`);
    found.set(shard.count, own.set(shard.index, join(folder, entry)));
  }
  const [first, second] = [...found.entries()];
  if (first === undefined) {
    const example = shardPath(output, { index: 1, count: 8 }, extensions[0]);
    throw new CllmError(
      "not-found",
      `${output} has no shards beside it, such as ${example}; run the command with --shard`,
    );
  }
  if (second !== undefined) throw doubled(output, `there are shards of ${first[0]} and of ${second[0]}`);
  const [count, own] = first;
  const foreign = [...own.keys()].find((index) => index < 1 || index > count);
  if (foreign !== undefined) throw doubled(output, `${own.get(foreign)} is beyond the last of ${count} shards`);
  const missing = Array.from({ length: count }, (_, i) => i + 1).filter((index) => !own.has(index));
  if (missing.length > 0) throw missingShards(output, missing, count, entries, extensions);
  return Array.from({ length: count }, (_, i) => own.get(i + 1)!);
}

function doubled(output: string, what: string): CllmError {
  return new CllmError("bad-file", `${output}: ${what}; move away those that do not belong to it`);
}

function missingShards(
  output: string,
  missing: readonly number[],
  count: number,
  entries: readonly string[],
  extensions: readonly string[],
): CllmError {
  const begun = missing.filter((index) =>
    entries.some((entry) =>
      extensions.some(
        (extension) =>
          join(dirname(output), entry) === join(`${shardPath(output, { index, count }, extension)}.journal`),
      ),
    ),
  );
  const told = missing.slice(0, 10).join(", ") + (missing.length > 10 ? " and more" : "");
  const partly = begun.length === 0 ? "" : ` (begun: ${begun.slice(0, 10).join(", ")})`;
  const which = missing.length === 1 ? `shard ${told}` : `shards ${told}`;
  return new CllmError(
    "not-found",
    `${output} cannot be joined: ${which} of ${count} ${missing.length === 1 ? "is" : "are"} missing${partly}; run ${missing.length === 1 ? "it" : "them"} with --shard`,
  );
}

/** Throws `bad-file` where a file says to be another shard than its name does: it was renamed or copied. */
export function requireNamed(path: string, inside: Shard): void {
  const named = shardOfName(path);
  if (named?.index === inside.index && named.count === inside.count) return;
  throw new CllmError(
    "bad-file",
    `${path} says that it is ${shardText(inside)}: give it its own name again, or run the shard`,
  );
}
