/** Counted n-grams by the address of their folder, or a hub id. The twin of `read-ngrams.ts`. */
import { CllmError } from "../error.ts";
import { httpFolder } from "../files/http-folder.web.ts";
import { NGRAMS, readNgramsIn, type StoredNgrams } from "./ngrams.ts";
import { webAddress } from "./web-address.ts";

export async function readNgrams(addressOrId: string): Promise<StoredNgrams> {
  const folder = httpFolder(webAddress(addressOrId, self.location.href).address, {});
  const found = await readNgramsIn(folder);
  if (found !== null) return found;
  throw new CllmError("not-found", `${folder.path} has no ${NGRAMS}; give a folder that cllm ngrams wrote`);
}
