/** What devices are called. Knows none of them, so that public types can name one without the engine's own types. */
export type DeviceName = "cpu" | "webgpu" | "wasm";
