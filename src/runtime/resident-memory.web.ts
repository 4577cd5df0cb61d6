/** Training keeps numbers on a device, and browsers train nothing. The twin of `resident-memory.ts`. */
import { CllmError } from "../error.ts";
import type { DeviceMemory } from "./resident-memory.ts";

export async function openResidentMemory(): Promise<DeviceMemory> {
  throw new CllmError("unsupported", "browsers do not train; train in Node");
}
