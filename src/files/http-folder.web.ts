/** Files below an address as a `Folder`. Nobody can list them, so those that may be missing are asked for. Knows no format. */
import { CllmError } from "../error.ts";
import type { BinaryFile } from "./binary-file.ts";
import { type Folder, fileIn } from "./folder.ts";
import { type HttpOptions, openAddress } from "./http-pieces.web.ts";

/**
 * The folder at `address`, which ends with no file's name. Files in `ahead` are asked for at once, before anybody wants them.
 *
 * @example const config = await jsonIn(httpFolder("https://example.org/model", {}), "config.json", 1 << 20);
 */
export function httpFolder(address: string, options: HttpOptions, ahead: readonly string[] = []): Folder {
  const path = address.replace(/\/+$/, "");
  const files = new Map<string, Promise<BinaryFile | null>>();
  const fileOf = (name: string): Promise<BinaryFile | null> => {
    let file = files.get(name);
    if (file === undefined) {
      file = openAddress(`${path}/${name}`, options);
      file.catch(() => {}); // who asks for it hears of it
      files.set(name, file);
    }
    return file;
  };
  for (const name of ahead) void fileOf(name);
  return {
    path,
    has: async (name) => (await orMissing(fileOf(name), options)) !== null,
    list: async () => [],
    async open(name) {
      const file = await fileOf(name);
      if (file !== null) return file;
      throw new CllmError("not-found", `${fileIn({ path } as Folder, name)} does not exist; check the address`);
    },
  };
}

/** Offline, what is not kept is taken for missing. */
async function orMissing<T>(file: Promise<T | null>, { offline }: HttpOptions): Promise<T | null> {
  try {
    return await file;
  } catch (error) {
    if (offline === true && error instanceof CllmError && error.code === "offline") return null;
    throw error;
  }
}
