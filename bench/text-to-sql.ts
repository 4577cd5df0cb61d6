/**
 * The model that ships, on its held-out questions: how many answers give the rows of the right query, before and after
 * consistency training; tokens per pass of Jacobi decoding; and tokens per second of `auto` against autoregressive decoding of
 * the same model, in one interleaved run. The same of its target with a draft adapter, where there is one.
 */
import { existsSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { measure, summarize, warmUp } from "../src/cli/measure.ts";
import { load, type Precision } from "../src/index.ts";
import { gradeSql } from "../src/tasks/sql-grader.ts";
import { openSqlite } from "../src/tasks/sqlite.ts";
import { readHeldOut } from "../src/tasks/text-to-sql/held-out.ts";
import { sqlOfCompletion } from "../src/tasks/text-to-sql/schema.ts";
import { flags, report } from "./conditions.ts";

const shipped = fileURLToPath(new URL("../models/text-to-sql", import.meta.url));
const settings = flags({
  cllm: shipped,
  ar: fileURLToPath(new URL("../models/text-to-sql-target", import.meta.url)),
  "draft-adapter": "text-to-sql-draft",
  "held-out": join(shipped, "held-out.jsonl"),
  precisions: "fp32",
  limit: 400,
  "max-new-tokens": 96,
  runs: 1,
  threads: 2,
});
const questions = (await readHeldOut(settings["held-out"])).slice(0, settings.limit);
const inputs = questions.map(({ prompt }) => ({ prompt }));
const decoders = ["ar", "jacobi", "auto"] as const;

async function isRight(index: number, text: string): Promise<boolean> {
  const question = questions[index]!;
  using database = await openSqlite(question.database);
  return (await gradeSql(database, sqlOfCompletion(text), question.sql)).correct;
}

interface Contender {
  readonly name: string;
  readonly path: string;
  readonly draftAdapter?: string;
}
const CONTENDERS: readonly Contender[] = [
  { name: "target", path: settings.ar },
  { name: "target with its draft adapter", path: settings.ar, draftAdapter: settings["draft-adapter"] },
  { name: "cllm", path: settings.cllm },
];

/** One model through all decoders. */
async function measured({ path, draftAdapter }: Contender, precision: Precision) {
  const own = draftAdapter === undefined ? {} : { draftAdapter };
  await using model = await load(path, {
    precision,
    threads: settings.threads,
    offline: true,
    suffixMemory: 0,
    ...own,
  });
  const shared = { maxNewTokens: settings["max-new-tokens"] };
  for await (const _ of warmUp(model, inputs, decoders, shared));
  const measurements = [];
  const right = new Set<number>();
  const byKind = new Map<string, [right: number, all: number]>();
  for await (const event of measure(model, inputs, decoders, settings.runs, shared)) {
    if (event.kind !== "measured") continue;
    const { measurement } = event;
    measurements.push(measurement);
    const { decoder, prompt, generation } = measurement;
    if (decoder !== "ar" || right.has(prompt)) continue;
    const correct = await isRight(prompt, generation.text);
    if (correct) right.add(prompt);
    const kind = questions[prompt]!.kind;
    const [before, all] = byKind.get(kind) ?? [0, 0];
    byKind.set(kind, [before + Number(correct), all + 1]);
  }
  const decoded = summarize(measurements, decoders);
  const weakest = [...byKind].filter(([, [r, all]]) => r < all).sort(([, a], [, b]) => a[0] - a[1] - (b[0] - b[1]));
  return { accuracy: right.size / questions.length, decoders: decoded, weakest: weakest.slice(0, 8) };
}

const figures: Record<string, unknown> = { questions: questions.length };
for (const precision of settings.precisions.split(",") as Precision[]) {
  for (const contender of CONTENDERS) {
    const { name, path, draftAdapter } = contender;
    if (draftAdapter === "") continue;
    if (!existsSync(path)) {
      console.log(`${name}: no model at ${path}; npm run model:text-to-sql makes it`);
      continue;
    }
    const result = await measured(contender, precision);
    figures[`${name} ${precision}`] = result;
    console.log(
      `\n${name}, ${precision}: ${(100 * result.accuracy).toFixed(1)} % of ${questions.length} questions right`,
    );
    for (const {
      name: decoder,
      tokensPerForward,
      tokensPerSecond,
      speedup,
      speedupQuartiles,
      mismatches,
    } of result.decoders) {
      const spread = speedupQuartiles.map((value) => value.toFixed(2)).join(" to ");
      console.log(
        `  ${decoder.padEnd(7)} ${tokensPerForward.toFixed(2).padStart(6)} tokens/pass ${tokensPerSecond.toFixed(0).padStart(6)} tokens/s  ` +
          `${speedup.toFixed(2)}x (${spread})  ${mismatches} differ`,
      );
    }
    const missed = result.weakest.map(([kind, [right, all]]) => `${kind} ${right}/${all}`).join(", ");
    if (missed !== "") console.log(`  weakest: ${missed}`);
  }
}
report("text-to-sql", settings, figures);
