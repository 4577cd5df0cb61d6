/** An adapter by the address of its folder, or a hub id. The twin of `read-adapter.ts`. */
import { httpFolder } from "../../files/http-folder.web.ts";
import { webAddress } from "../web-address.ts";
import { readAdapterIn } from "./adapter.ts";
import type { Adapter } from "./types.ts";

export function readAdapter(addressOrId: string): Promise<Adapter> {
  return readAdapterIn(httpFolder(webAddress(addressOrId, self.location.href).address, {}));
}
