/** What names a model in a browser: an address below which its files lie or that of a GGUF file, or a hub id. Knows no network. */
import { CllmError } from "../error.ts";
import { hubName, parseHubId } from "./hub/id.ts";

const HUB = "https://huggingface.co";

/**
 * The address of the folder, or of a GGUF file in it, and what people call the model. `base` is the address that relative ones start
 * from.
 */
export function webAddress(
  text: string,
  base: string,
  revision?: string | undefined,
): { readonly address: string; readonly name: string } {
  const isAddress = /^(\.{0,2}\/|https?:)/i.test(text);
  const isHubs = !isAddress || /^https?:\/\/(?:www\.)?(?:huggingface\.co|hf\.co)\//i.test(text);
  const id = isHubs ? parseHubId(text, HUB) : null;
  if (id !== null) {
    if (id.tag !== null) {
      const next = `name the file, as in ${id.repo}/model.${id.tag}.gguf`;
      throw new CllmError("unsupported", `browsers cannot look for ${id.tag} among the files of ${id.repo}; ${next}`);
    }
    const at = encodeURIComponent(id.revision ?? revision ?? "main");
    const folder = `${HUB}/${id.repo}/resolve/${at}`;
    if (id.file === null) return { address: folder, name: id.repo };
    return { address: `${folder}/${id.file.split("/").map(encodeURIComponent).join("/")}`, name: hubName(id) };
  }
  if (!isAddress) {
    const next = "give an address such as /models/mine or https://example.org/mine, or a hub id";
    throw new CllmError("not-found", `${text || "the empty name"} is neither an address nor a hub id; ${next}`);
  }
  const { href, pathname } = new URL(text, base);
  return {
    address: href.replace(/\/+$/, ""),
    name: decodeURIComponent(pathname.replace(/\/+$/, "").replace(/^.*\//, "")),
  };
}
