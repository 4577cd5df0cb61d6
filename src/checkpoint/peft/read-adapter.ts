/** An adapter by its directory, or by its name where it comes with the package. Its twin for browsers is `read-adapter.web.ts`. */
import { CllmError } from "../../error.ts";
import { diskFolder } from "../../files/disk-folder.ts";
import { recoverFolder } from "../../files/scratch.ts";
import { ADAPTER_CONFIG } from "../select-files.ts";
import { readAdapterIn } from "./adapter.ts";
import { adapterFolder, adapterHint } from "./shipped.ts";
import type { Adapter } from "./types.ts";

/**
 * Read a PEFT directory, or by its name an adapter that comes with the package. Throws `not-found`, `bad-file` for a damaged
 * one, `bad-weights` for tensors that do not fit each other, and `unsupported` naming what is more than low-rank matrices.
 *
 * @example const { baseModel, modules } = await readAdapter("./my-adapter");
 */
export async function readAdapter(pathOrName: string): Promise<Adapter> {
  await recoverFolder(pathOrName);
  const folder = diskFolder(adapterFolder(pathOrName));
  if (await folder.has(ADAPTER_CONFIG)) return await readAdapterIn(folder);
  const message = `${folder.path} is no adapter: it has no ${ADAPTER_CONFIG}`;
  throw new CllmError("not-found", `${message}; ${adapterHint(pathOrName)}`);
}
