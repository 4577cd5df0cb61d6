/**
 * The hub access token if none is named: from the environment, or as `hf auth login` stores it. The same places in the
 * same order as in Hugging Face's Python library. Sends nothing.
 */
import { homedir } from "node:os";
import { join } from "node:path";
import { CllmError } from "../../error.ts";
import { readText } from "../../files/text.ts";

/** Far more than a token takes. */
const MAX_TOKEN_BYTES = 64 * 1024;

/**
 * `HF_TOKEN`, else `HUGGING_FACE_HUB_TOKEN`, else the file that `HF_TOKEN_PATH` names, else `token` in `HF_HOME` or the
 * cache folder of Hugging Face. None where `HF_HUB_DISABLE_IMPLICIT_TOKEN` is set or the file cannot be read: most
 * repositories are public. Throws `usage` for what is no token.
 */
export async function implicitToken(): Promise<string | null> {
  const { HF_HUB_DISABLE_IMPLICIT_TOKEN, HF_TOKEN_PATH } = process.env;
  if (/^(1|true|yes|on)$/i.test(HF_HUB_DISABLE_IMPLICIT_TOKEN ?? "")) return null;
  for (const origin of ["HF_TOKEN", "HUGGING_FACE_HUB_TOKEN"]) {
    const value = process.env[origin]?.trim();
    if (value) return checkedToken(value, origin);
  }
  const path = atHome(HF_TOKEN_PATH || join(huggingFaceHome(), "token"));
  const value = await readText(path, MAX_TOKEN_BYTES).then(
    (text) => text.trim(),
    () => "",
  );
  return value === "" ? null : checkedToken(value, path);
}

/** The token. Throws `usage` if it cannot be a token; `origin` says where it comes from. */
export function checkedToken(token: string, origin: string): string {
  if (/^hf_[\x21-\x7e]+$/.test(token)) return token;
  const message = `a hub access token starts with "hf_", and what ${origin} holds does not`;
  throw new CllmError("usage", `${message}; run hf auth login again, or set HF_TOKEN`);
}

function huggingFaceHome(): string {
  const { HF_HOME, XDG_CACHE_HOME } = process.env;
  return HF_HOME || join(XDG_CACHE_HOME || join(homedir(), ".cache"), "huggingface");
}

/** The path with `~` for the user's folder written out. */
function atHome(path: string): string {
  return path.replace(/^~(?=$|[/\\])/, () => homedir());
}
