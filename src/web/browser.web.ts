/** What only browsers have. The twin of `browser.ts`, which documents it. */
import { forgetAddresses } from "../files/http-pieces.web.ts";

export { engineFilesAt } from "../runtime/ort.web.ts";

export function forgetCheckpoints(): Promise<void> {
  return forgetAddresses();
}
