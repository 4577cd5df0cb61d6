/**
 * `cllm cache`: lists the prepared models that are kept, with their sizes, and removes them. Downloads of the hub are kept
 * elsewhere, where other programs find them too. Opens no model.
 */
import * as z from "zod";
import { listPrepared, type PreparedModel, preparedFolder, removePrepared } from "../../runtime/prepared-cache.ts";
import { type CheckpointSettings, type Command, checkpointFields, defineCommand } from "../command.ts";
import { formatBytes } from "../format.ts";

type Action = "list" | "clear";

interface CacheSettings extends Pick<CheckpointSettings, "cacheDir"> {
  readonly action: Action;
  readonly unusedDays: number | undefined;
}

const DAY_MS = 24 * 3600 * 1000;

export const cache: Command = defineCommand<CacheSettings>({
  name: "cache",
  summary: "List or clear the models that are kept prepared for this machine",
  details:
    "A model is prepared when it is loaded for the first time, and loads in a moment from then on. What is cleared is prepared " +
    "again when it is needed.",
  fields: {
    action: z.enum(["list", "clear"]).default("list").meta({ description: "list, or clear" }),
    unusedDays: z.number().min(0).optional().meta({
      description: "clear: only those that were not used for so many days",
      placeholder: "days",
    }),
    cacheDir: checkpointFields.cacheDir,
  },
  argument: "action",
  argumentOnly: true,
  examples: [
    ["cllm cache", "what is kept, and where"],
    ["cllm cache clear", "remove all of it"],
    ["cllm cache clear --unused-days 30", "only what was not used for a month"],
  ],
  unused: ({ action }) => (action === "list" ? { unusedDays: "it chooses what clear removes" } : {}),
  async run({ action, unusedDays = 0, cacheDir }, terminal) {
    const folder = preparedFolder(cacheDir);
    const all = await listPrepared(folder);
    const before = Date.now() - unusedDays * DAY_MS;
    const chosen = action === "list" ? all : all.filter(({ usedAt }) => usedAt.getTime() <= before);
    if (action === "clear") await removePrepared(chosen);
    const bytes = chosen.reduce((sum, model) => sum + model.bytes, 0);
    if (terminal.json) {
      terminal.write(`${JSON.stringify({ action, folder, bytes, models: chosen })}\n`);
      return;
    }
    if (action === "clear") {
      terminal.write(`removed ${count(chosen)}, ${formatBytes(bytes)}\n`);
      return;
    }
    terminal.write(`${folder}: ${count(all)}, ${formatBytes(bytes)}\n${all.map(line).join("")}`);
  },
});

const count = (models: readonly PreparedModel[]): string =>
  `${models.length} prepared ${models.length === 1 ? "model" : "models"}`;

function line({ name, bytes, usedAt }: PreparedModel): string {
  const used = usedAt.getTime() === 0 ? "never" : usedAt.toISOString().slice(0, 16).replace("T", " ");
  return `  ${formatBytes(bytes).padStart(9)}  used ${used.padEnd(16)}  ${name}\n`;
}
