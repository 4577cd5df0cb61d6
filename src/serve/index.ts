/** What the command needs of the server, in one place, so that other commands do without all of it. */
export { isLoopback } from "./guards.ts";
export { createModels } from "./models.ts";
export { modelEntries, servedModels } from "./served-models.ts";
export { listen } from "./server.ts";
