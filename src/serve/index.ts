/**
 * `cllm/serve`: OpenAI's HTTP as a Hono app, to mount in a server of one's own, over models of this process or in workers; and
 * the server of the command.
 */

export { CllmError, type ErrorCode } from "../error.ts";
export { type AppOptions, createApp } from "./app.ts";
export { type Backend, inThisProcess, type ServedRequest } from "./backend.ts";
export { isLoopback } from "./guards.ts";
export { createModels, type ModelEntry, type Models, type ModelsOptions } from "./models.ts";
export { modelEntries, type ServedModel, servedModels } from "./served-models.ts";
export { type ListenOptions, listen, type RunningServer } from "./server.ts";
