/** An engine in a browser: WebAssembly, whatever is asked for but a GPU. The twin of `open-engine.ts`. */
import { CllmError } from "../error.ts";
import type { ModelConfig } from "../model/config.ts";
import type { Weights } from "../model/weights.ts";
import { createEngine, type Engine } from "./engine.ts";
import type { OpenEngineOptions } from "./open-engine.ts";

export async function openEngine(
  config: ModelConfig,
  weights: Weights,
  { device, onNote: _, ...options }: OpenEngineOptions,
): Promise<Engine> {
  if (device !== "webgpu") return createEngine(config, weights, options);
  throw new CllmError("unsupported", "device webgpu is not built for browsers; omit device, which runs in WebAssembly");
}
