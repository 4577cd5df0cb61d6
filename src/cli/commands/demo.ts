/**
 * `cllm demo`, and `npm start`: the CLLM that comes with the package on questions of a small database; with --model, any
 * model's decoders side by side; with --train, a small CLLM made from nothing. Knows only which of them is asked for.
 */
import { existsSync } from "node:fs";
import * as z from "zod";
import { CllmError } from "../../error.ts";
import { type Command, defineCommand, type ModelSettings, modelFields } from "../command.ts";
import { loadModel, SHIPPED_MODEL } from "../model.ts";

interface DemoSettings extends ModelSettings {
  readonly question: readonly string[];
  readonly train: boolean;
  readonly out: string;
  readonly maxNewTokens: number;
}

export const demo: Command = defineCommand<DemoSettings>({
  name: "demo",
  summary: "Show a CLLM beside autoregressive decoding, or any model's decoders side by side",
  details:
    "Without --model it takes the text-to-SQL model that comes with cllm, asks a small database, and needs no network.",
  fields: {
    ...modelFields,
    question: z
      .array(z.string().min(1))
      .default([])
      .meta({ description: "ask this of the database instead; may be repeated", placeholder: "text" }),
    train: z
      .boolean()
      .default(false)
      .meta({ description: "make a small CLLM from nothing first, in some five minutes" }),
    out: z
      .string()
      .min(1)
      .default("runs/demo")
      .meta({ description: "where --train makes its models; an interrupted run goes on", placeholder: "folder" }),
    maxNewTokens: z
      .int()
      .min(1)
      .default(96)
      .meta({ description: "most tokens to write", placeholder: "tokens", short: "n" }),
  },
  examples: [
    ["cllm demo", "what npm start runs"],
    ['cllm demo --question "Which stages have a capacity over 1000? Show the name."', "one's own question"],
    ["cllm demo --train", "pre-train, collect, train, and both decoders before and after"],
    ["cllm demo --model model.gguf --max-new-tokens 48", "all decoders on three prompts to another model"],
  ],
  unused: ({ train }) =>
    train
      ? {
          precision: "--train compares in fp32",
          adapter: "--train makes its own models",
          draftAdapter: "--train makes its own models",
          medusaHeads: "--train makes its own models",
          ngrams: "--train makes its own models",
          revision: "--train makes its own models",
          maxNewTokens: "--train asks its own questions",
        }
      : { out: "it is for --train" },
  async run({ question, train, out, maxNewTokens, ...settings }, terminal) {
    const [first] = question;
    if (settings.model !== undefined && (train || first !== undefined)) {
      const flag = train ? "--train" : "--question";
      throw new CllmError("usage", `${flag} is for the model that comes with cllm; leave --model away`);
    }
    if (train && first !== undefined)
      throw new CllmError("usage", "--train asks its own questions; leave --question away");
    if (train) {
      const { demonstrateTraining } = await import("../demo/training.ts");
      await demonstrateTraining(settings, out, terminal);
      return;
    }
    if (settings.model === undefined && !existsSync(SHIPPED_MODEL))
      throw new CllmError("not-found", `the model that comes with cllm is not at ${SHIPPED_MODEL}; give --model`);
    await using model = await loadModel({ ...settings, model: settings.model ?? SHIPPED_MODEL }, terminal);
    if (settings.model !== undefined) {
      const { demonstrateDecoders } = await import("../demo/decoders.ts");
      await demonstrateDecoders(model, maxNewTokens, terminal);
      return;
    }
    const { demonstrateTextToSql } = await import("../demo/text-to-sql.ts");
    await demonstrateTextToSql(model, question, maxNewTokens, terminal);
  },
});
