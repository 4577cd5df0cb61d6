/** What only browsers have. This file is the types and what Node says to them; the twin `browser.web.ts` does the work. */
import { CllmError } from "../error.ts";

const inNode = (name: string): CllmError =>
  new CllmError("unsupported", `${name} is for browsers; Node has the engine and its files by itself`);

/**
 * Where the engine's files are: the address of a folder with `ort-wasm-simd-threaded.wasm` and `ort-wasm-simd-threaded.mjs` of
 * the version of onnxruntime-web that this package names. To be called before the first model is loaded. Default: where
 * onnxruntime-web itself looks.
 *
 * @example engineFilesAt("/assets/onnxruntime/");
 */
export function engineFilesAt(_address: string): void {
  throw inNode("engineFilesAt");
}

/** Removes all checkpoints that the browser keeps for this site. */
export function forgetCheckpoints(): Promise<void> {
  return Promise.reject(inNode("forgetCheckpoints"));
}
