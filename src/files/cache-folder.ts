/** Where this program keeps what it can make again. Knows nothing of what that is. */
import { homedir, platform } from "node:os";
import { join } from "node:path";

/** `CLLM_CACHE`, else the platform's folder for caches. */
export function defaultCacheFolder(): string {
  const { CLLM_CACHE, XDG_CACHE_HOME, LOCALAPPDATA } = process.env;
  if (CLLM_CACHE) return CLLM_CACHE;
  if (platform() === "darwin") return join(homedir(), "Library", "Caches", "cllm");
  if (platform() === "win32" && LOCALAPPDATA) return join(LOCALAPPDATA, "cllm");
  return join(XDG_CACHE_HOME || join(homedir(), ".cache"), "cllm");
}
