/**
 * This repository's library, as built into `dist`, on the float32 safetensors of the data folder, or on a file in it.
 */
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";

export async function open({ data, threads, precision, file = "." }) {
  const entry = new URL("../../../dist/index.js", import.meta.url);
  if (!existsSync(entry)) throw new Error("dist/index.js is missing: run `npm run build` in the repository's root.");
  const { load } = await import(entry.href);
  const model = await load(join(data, file), { precision, threads, offline: true, suffixMemory: 0 });
  return {
    version: JSON.parse(readFileSync(new URL("../../../package.json", import.meta.url), "utf8")).version,
    async generate({ messages }, maxNewTokens) {
      const start = performance.now();
      const { tokens, stats } = await model.generate({ messages, decoder: "ar", maxNewTokens, ignoreEos: true });
      return {
        tokens: Array.from(tokens),
        promptTokens: stats.promptTokens,
        cachedTokens: stats.cachedTokens,
        prefillMs: stats.prefillMs,
        decodeMs: stats.decodeMs,
        totalMs: performance.now() - start,
      };
    },
    close: () => model.dispose(),
  };
}
