/**
 * An engine on the device that is asked for: sees whether it decodes exactly, and where any device will do, whether it is worth taking.
 * Knows nothing of a device's inside.
 */
import { CllmError } from "../error.ts";
import type { ModelConfig } from "../model/config.ts";
import type { Weights } from "../model/weights.ts";
import { DEFAULT_DEVICE } from "./devices/default.ts";
import type { Device } from "./devices/device.ts";
import { createEngine, type Engine, type EngineOptions } from "./engine.ts";
import { onDevice, type WantedDevice } from "./open-device.ts";

export interface OpenedEngine extends Engine {
  /** Why `auto` took the processor; null where it did not, or was not asked. */
  readonly deviceWhy: string | null;
}

export interface OpenEngineOptions extends Omit<EngineOptions, "device"> {
  readonly device: WantedDevice;
  /** Told why `auto` takes the processor, and what a device lacks. */
  readonly onNote?: ((line: string) => void) | undefined;
}

/**
 * Throws what `createEngine` throws, and `unsupported` where the device that is asked for is not there or does not decode exactly.
 *
 * @example
 * await using engine = await openEngine(config, weights, { precision: "int8", device: "auto", onNote: console.warn });
 */
export async function openEngine(
  config: ModelConfig,
  weights: Weights,
  { device: wanted, onNote, ...options }: OpenEngineOptions,
): Promise<OpenedEngine> {
  const { made, why } = await onDevice(
    wanted,
    async (device) => {
      if (device === DEFAULT_DEVICE) return createEngine(config, weights, options);
      if (wanted === "auto" && options.precision !== "f16") await requireFaster(device, config, weights, options);
      const engine = await createEngine(config, weights, { ...options, device });
      try {
        const { prove } = await import("./probe.ts");
        await prove(engine, device);
      } catch (error) {
        await engine.dispose();
        throw error;
      }
      if ((options.slots ?? 1) > 1 && !device.shares) {
        onNote?.("on a GPU, passes of several sequences do not share a run; they run one after the other");
      }
      return engine;
    },
    onNote,
  );
  return { ...made, deviceWhy: why };
}

/** Layers that tell how fast a device is. */
const SLICE = 2;
const ROWS = 16;
const ROUNDS = 3;

/** Throws `unsupported` where the first layers of the model and its vocabulary take the device longer than the processor. */
async function requireFaster(
  device: Device,
  config: ModelConfig,
  weights: Weights,
  { precision, threads, signal }: Pick<EngineOptions, "precision" | "threads" | "signal">,
): Promise<void> {
  const slice = { ...config, layers: Math.min(SLICE, config.layers) };
  const ids = new Int32Array(Math.min(ROWS, config.contextLength));
  const fastest = async (on: Device): Promise<number> => {
    const options = { precision, device: on, ...(threads !== undefined && { threads }), ...(signal && { signal }) };
    await using engine = await createEngine(slice, weights, options);
    await using session = engine.session();
    let least = Number.POSITIVE_INFINITY;
    for (let round = 0; round <= ROUNDS; round++) {
      const start = performance.now();
      await session.forward(ids);
      if (round > 0) least = Math.min(least, performance.now() - start); // the first one compiles
      session.truncate(0);
    }
    return least;
  };
  const [there, here] = [await fastest(device), await fastest(DEFAULT_DEVICE)];
  if (there < here) return;
  const times = `${there.toFixed(1)} ms on ${device.name} and ${here.toFixed(1)} ms on ${DEFAULT_DEVICE.name}`;
  throw new CllmError("unsupported", `a pass of ${ids.length} tokens through ${slice.layers} layers takes ${times}`);
}
