/**
 * `cllm/serve`: OpenAI's HTTP as a Hono app, to mount in a server of one's own, over models of this process or in workers; and
 * the server of the command.
 */

export { CllmError, type ErrorCode } from "../error.ts";
export type { QueryError, QueryFailure } from "../tasks/sqlite.ts";
export { type AppOptions, createApp, type RequestEntry } from "./app.ts";
export {
  type Backend,
  inThisProcess,
  type PassEvent,
  type RunEvent,
  type RunsOn,
  type ServedGeneration,
  type ServedRequest,
  type TokenText,
  type WatchedPass,
} from "./backend.ts";
export { isLoopback } from "./guards.ts";
export {
  createModels,
  type Lease,
  type ModelEntry,
  type ModelStatus,
  type Models,
  type ModelsOptions,
  type StartModel,
} from "./models.ts";
export type { AskDatabase, QueryAnswer, QueryTable } from "./query.ts";
export type { Client } from "./queue.ts";
export { type BesideModels, modelEntries, type ServedModel, servedModels } from "./served-models.ts";
export { type ListenOptions, listen, type RunningServer } from "./server.ts";
export type { LoadSettings } from "./wire.ts";
