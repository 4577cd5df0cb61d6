/** All commands, in the order of the help. */
import type { Command } from "./command.ts";
import { batch } from "./commands/batch.ts";
import { bench } from "./commands/bench.ts";
import { cache } from "./commands/cache.ts";
import { chat } from "./commands/chat.ts";
import { collect } from "./commands/collect.ts";
import { defineCompletion } from "./commands/completion.ts";
import { demo } from "./commands/demo.ts";
import { evaluate } from "./commands/eval.ts";
import { exportModel } from "./commands/export.ts";
import { generate } from "./commands/generate.ts";
import { info } from "./commands/info.ts";
import { merge } from "./commands/merge.ts";
import { serve } from "./commands/serve.ts";
import { trainModel } from "./commands/train.ts";
import { trajectory } from "./commands/trajectory.ts";

const library: readonly Command[] = [
  generate,
  chat,
  bench,
  evaluate,
  info,
  trajectory,
  collect,
  batch,
  merge,
  trainModel,
  exportModel,
  serve,
  cache,
  demo,
];

export const commands: readonly Command[] = [...library, defineCompletion(library)];
