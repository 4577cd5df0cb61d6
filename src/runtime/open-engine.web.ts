/** An engine in a browser: WebAssembly, whatever is asked for but a GPU. The twin of `open-engine.ts`. */
import { CllmError } from "../error.ts";
import type { ModelConfig } from "../model/config.ts";
import type { Weights } from "../model/weights.ts";
import { createEngine } from "./engine.ts";
import type { OpenEngineOptions, OpenedEngine } from "./open-engine.ts";

export async function openEngine(
  config: ModelConfig,
  weights: Weights,
  { device, onNote: _, ...options }: OpenEngineOptions,
): Promise<OpenedEngine> {
  if (device !== "webgpu") {
    const deviceWhy = device === "auto" ? "GPUs are not used in browsers" : null;
    return { ...(await createEngine(config, weights, options)), deviceWhy };
  }
  throw new CllmError("unsupported", "device webgpu is not built for browsers; omit device, which runs in WebAssembly");
}
