/** Medusa heads by the address of their folder, or a hub id. The twin of `read-heads.ts`. */
import { httpFolder } from "../../files/http-folder.web.ts";
import type { ModelConfig } from "../../model/config.ts";
import { webAddress } from "../web-address.ts";
import { openHeadsIn, type StoredHeads } from "./heads.ts";

export function readHeads(
  addressOrId: string,
  config: Pick<ModelConfig, "hiddenSize" | "vocabSize">,
): Promise<StoredHeads> {
  return openHeadsIn(httpFolder(webAddress(addressOrId, self.location.href).address, {}), config);
}
