/**
 * From a device's name to the device, and for `auto` to the processor where a GPU cannot be used or is not worth it. Knows which
 * devices there are, and nothing of their inside.
 */
import { CllmError } from "../error.ts";
import { DEFAULT_DEVICE } from "./devices/default.ts";
import type { Device } from "./devices/device.ts";

/** `auto` takes the GPU where there is one that is exact and faster, else the processor. */
export type WantedDevice = "cpu" | "webgpu" | "auto";

/** Throws `unsupported` where it is not there. A page loads what a GPU needs only with the first model that asks for one. */
async function openDevice(name: "cpu" | "webgpu"): Promise<Device> {
  if (name === "cpu") return DEFAULT_DEVICE;
  const { openWebgpu } = await import("./devices/webgpu.ts");
  return await openWebgpu();
}

/**
 * What `use` makes on the device that is asked for. Where it throws `unsupported` or `engine` for `auto`, it is called again with the
 * processor, and `onNote` and the result say why. `use` frees what it has made before it throws.
 */
export async function onDevice<T>(
  wanted: WantedDevice,
  use: (device: Device) => Promise<T>,
  onNote?: (line: string) => void,
): Promise<{ readonly made: T; readonly device: Device; readonly why: string | null }> {
  if (wanted !== "auto") {
    const device = await openDevice(wanted);
    return { made: await use(device), device, why: null };
  }
  try {
    const device = await openDevice("webgpu");
    return { made: await use(device), device, why: null };
  } catch (error) {
    if (!(error instanceof CllmError) || !(error.code === "unsupported" || error.code === "engine")) throw error;
    onNote?.(`device auto takes cpu: ${error.message}`);
    return { made: await use(DEFAULT_DEVICE), device: DEFAULT_DEVICE, why: error.message };
  }
}
