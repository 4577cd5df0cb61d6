/** Where a model runs if nobody says. Its twin for browsers is `default.web.ts`. */
import { cpu } from "./cpu.ts";
import type { Device } from "./device.ts";

export const DEFAULT_DEVICE: Device = cpu;
