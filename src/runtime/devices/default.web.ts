/** Where a model runs in a browser. The twin of `default.ts`. */
import type { Device } from "./device.ts";
import { web } from "./web.ts";

export const DEFAULT_DEVICE: Device = web;
