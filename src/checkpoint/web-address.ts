/** What names a model in a browser: an address below which its files lie, or a hub id. Knows no network. */
import { CllmError } from "../error.ts";
import { parseHubId } from "./hub/id.ts";

const HUB = "https://huggingface.co";

/** The address of the folder, and what people call the model. `base` is the address that relative ones start from. */
export function webAddress(
  text: string,
  base: string,
  revision?: string | undefined,
): { readonly address: string; readonly name: string } {
  const isAddress = /^(\.{0,2}\/|https?:)/i.test(text);
  const isHubs = !isAddress || /^https?:\/\/(?:www\.)?(?:huggingface\.co|hf\.co)\//i.test(text);
  const id = isHubs ? parseHubId(text, HUB) : null;
  if (id !== null) {
    if (id.file !== null || id.tag !== null) {
      throw new CllmError(
        "unsupported",
        `${text} is a GGUF file, which browsers do not read; name a repository with safetensors`,
      );
    }
    const at = encodeURIComponent(id.revision ?? revision ?? "main");
    return { address: `${HUB}/${id.repo}/resolve/${at}`, name: id.repo };
  }
  if (!isAddress) {
    const next = "give an address such as /models/mine or https://example.org/mine, or a hub id";
    throw new CllmError("not-found", `${text || "the empty name"} is neither an address nor a hub id; ${next}`);
  }
  if (/\.gguf$/i.test(text)) {
    throw new CllmError(
      "unsupported",
      `${text} is a GGUF file, which browsers do not read; give a folder with safetensors`,
    );
  }
  const { href, pathname } = new URL(text, base);
  return {
    address: href.replace(/\/+$/, ""),
    name: decodeURIComponent(pathname.replace(/\/+$/, "").replace(/^.*\//, "")),
  };
}
