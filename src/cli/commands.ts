/**
 * All commands, in the order of the help. Each is a module of its own that is read when it is needed, because reading all of them
 * takes longer than most commands take to begin.
 */
import type { Command } from "./command.ts";

const library: Readonly<Record<string, () => Promise<Command>>> = {
  generate: async () => (await import("./commands/generate.ts")).generate,
  chat: async () => (await import("./commands/chat.ts")).chat,
  bench: async () => (await import("./commands/bench.ts")).bench,
  eval: async () => (await import("./commands/eval.ts")).evaluate,
  info: async () => (await import("./commands/info.ts")).info,
  trajectory: async () => (await import("./commands/trajectory.ts")).trajectory,
  collect: async () => (await import("./commands/collect.ts")).collect,
  batch: async () => (await import("./commands/batch.ts")).batch,
  merge: async () => (await import("./commands/merge.ts")).merge,
  ngrams: async () => (await import("./commands/ngrams.ts")).ngrams,
  train: async () => (await import("./commands/train.ts")).trainModel,
  export: async () => (await import("./commands/export.ts")).exportModel,
  serve: async () => (await import("./commands/serve.ts")).serve,
  cache: async () => (await import("./commands/cache.ts")).cache,
  demo: async () => (await import("./commands/demo.ts")).demo,
};

/** All of them: for the list of commands, near misses and completion. */
export async function allCommands(): Promise<readonly Command[]> {
  const { defineCompletion } = await import("./commands/completion.ts");
  const commands = await Promise.all(Object.values(library).map((read) => read()));
  return [...commands, defineCompletion(commands)];
}

/** Those that a command line can mean: one where it begins with its name, none for the version alone, else all. */
export async function commandsFor(args: readonly string[]): Promise<readonly Command[]> {
  const [first = ""] = args;
  if (args.length === 1 && (first === "--version" || first === "-V")) return [];
  return Object.hasOwn(library, first) ? [await library[first]!()] : allCommands();
}
