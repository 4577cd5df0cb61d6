/**
 * What a draft adapter brings to a task's questions: whether every text is that of the unchanged model, tokens per pass by numbers of
 * verify and draft rows, and tokens per second of `auto` against `ar`, all in one run and question by question. `auto` drafts from its
 * own earlier answers too; `--memory 0` switches that off.
 *
 * The adapters that do not ship yet are found below the recipes' folders: `--draft-adapter runs/spider-draft/draft/best`.
 */
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { commitOfCheckout, machineName } from "../src/cli/machine.ts";
import { tokensPerForward } from "../src/decode/tokens-per-forward.ts";
import { CllmError } from "../src/error.ts";
import { bootstrap } from "../src/eval/statistics.ts";
import type { DecoderName, GenerateOptions, LanguageModel, NamedDecoder, Precision } from "../src/index.ts";
import { load } from "../src/index.ts";
import { defaultThreads } from "../src/runtime/host.ts";
import { openTask } from "../src/tasks/open-task.ts";
import { dataFolder, flags, modelPath, report } from "./conditions.ts";

const settings = flags({
  ...{ task: "spider", adapter: "spider-target", "draft-adapter": "", precision: "int8", threads: defaultThreads() },
  ...{ limit: 0, rows: "16/16", "sampled-limit": 50, seeds: 5, temperature: 0.8, "max-new-tokens": 0 },
  ...{ ways: "plain-auto,auto,multiblock", memory: 16, save: false, "save-as": "" },
});
if (settings["draft-adapter"] === "")
  throw new CllmError("usage", "--draft-adapter is missing: name the folder of one");

/** What stands beside the model: the draft adapter, which brings its n-grams, those n-grams alone, or nothing. */
type Beside = "adapter" | "ngrams" | "nothing";

/** Decoders, each on the model with something beside it. */
interface Way {
  readonly id: string;
  /** As a table says it. */
  readonly name: string;
  readonly beside: Beside;
  readonly decoder: DecoderName | NamedDecoder;
  readonly accepted: number[];
  /** Tokens and milliseconds of each question, those of the prompt's pass apart. */
  readonly work: { tokens: number; ms: number }[];
  differing: number;
}
const way = (id: string, name: string, beside: Beside, decoder: Way["decoder"]): Way => ({
  ...{ id, name, beside, decoder, accepted: [], work: [], differing: 0 },
});
const known = {
  "plain-auto": way("plain-auto", "`auto` without the adapter", "nothing", "auto"),
  "ngrams-auto": way("ngrams-auto", "`auto` with the adapter's n-grams alone", "ngrams", "auto"),
  auto: way("auto", "`auto`", "adapter", "auto"),
  multiblock: way("multiblock", "`multiblock`", "adapter", "multiblock"),
};
const asked = settings.ways.split(",");
const ways = [
  way("ar", "`ar`", "nothing", "ar"),
  ...Object.entries(known).flatMap(([name, each]) => (asked.includes(name) ? [each] : [])),
  ...(settings.rows === "none" ? [] : settings.rows.split(",")).map((pair) => {
    const [blockSize = 16, draftRows = 16, alternatives = 4] = pair.split("/").map(Number);
    const beside = alternatives === 0 ? "" : `, ${alternatives} other candidates`;
    const name = `\`jacobi\`, ${blockSize} rows verify and ${draftRows} draft${beside}`;
    const id = `jacobi-${blockSize}-${draftRows}-${alternatives}`;
    return way(id, name, "adapter", { name: "jacobi", blockSize, draftRows, alternatives });
  }),
];

const chat = settings.task === "gsm8k" ? ({ promptFormat: "chat", shots: 0 } as const) : {};
await using task = await openTask(settings.task, { dataDir: dataFolder(), ...chat });
const { length } = task.examples;
const wanted = settings.limit === 0 ? length : Math.min(settings.limit, length);
const examples = Array.from({ length: wanted }, (_, i) => task.examples[Math.floor(((i + 0.5) * length) / wanted)]!);

const shared = {
  precision: settings.precision as Precision,
  ...{ threads: settings.threads, suffixMemory: settings.memory },
  ...(settings.adapter !== "" && settings.adapter !== "none" && { adapter: settings.adapter }),
};
await using plain = await load(modelPath(), shared);
await using drafting = await load(modelPath(), { ...shared, draftAdapter: settings["draft-adapter"] });
await using knowing = asked.includes("ngrams-auto")
  ? await load(modelPath(), { ...shared, ngrams: settings["draft-adapter"] })
  : null;
const models: Readonly<Record<Beside, LanguageModel>> = {
  ...{ nothing: plain, adapter: drafting, ngrams: knowing ?? plain },
};
const modelOf = ({ beside }: Way): LanguageModel => models[beside];

let sampled = 0;
let sampledDiffering = 0;
for (const [index, example] of [examples[0]!, ...examples].entries()) {
  const request: GenerateOptions = {
    ...example.input([]),
    stop: example.stop,
    maxNewTokens: settings["max-new-tokens"] || example.maxNewTokens,
    cachePrompt: false,
  };
  const turned = ways.map((_, i) => ways[(i + index) % ways.length]!);
  const texts = new Map<Way, string>();
  for (const each of turned) {
    const memoryScope = index === 0 ? "warm-up" : each.id; // each way remembers its own answers, and no question twice
    const { tokens, stats } = await modelOf(each).generate({ ...request, decoder: each.decoder, memoryScope });
    texts.set(each, tokens.join());
    if (index === 0) continue; // calibrates and warms up
    each.accepted.push(...stats.accepted);
    each.work.push({ tokens: stats.newTokens - stats.prefillTokens, ms: stats.decodeMs });
  }
  for (const each of ways) {
    if (index === 0 || texts.get(each) === texts.get(ways[0]!)) continue;
    each.differing++;
    console.log(`${example.id}: ${each.name} differs`);
  }
  if (index > 0 && index <= settings["sampled-limit"]) {
    for (let seed = 0; seed < settings.seeds; seed++) {
      const drawn = { ...request, temperature: settings.temperature, seed };
      const { tokens } = await plain.generate({ ...drawn, decoder: "ar" });
      for (const decoder of ["jacobi", "auto"] as const) {
        sampled++;
        const found = (await drafting.generate({ ...drawn, decoder })).tokens;
        if (found.join() === tokens.join()) continue;
        sampledDiffering++;
        console.log(`${example.id}, seed ${seed}: ${decoder} differs`);
      }
    }
  }
  if (process.stderr.isTTY) process.stderr.write(`\r${index}/${examples.length} `);
}

const [ar] = ways as [Way];
const rate = (work: Way["work"], drawn: Iterable<number> = work.keys()): number => {
  let [tokens, ms] = [0, 0];
  for (const i of drawn) {
    tokens += work[i]!.tokens;
    ms += work[i]!.ms;
  }
  return (1000 * tokens) / ms;
};
const figures = ways.map(({ name, accepted, work, differing }) => ({
  decoder: name,
  tokensPerPass: tokensPerForward(accepted),
  tokensPerSecond: rate(work),
  againstAr: bootstrap(work.length, (drawn) => rate(work, drawn) / rate(ar.work, drawn)),
  differing,
}));
for (const { decoder, tokensPerPass, tokensPerSecond, againstAr, differing } of figures) {
  const [ratio, low, high] = [againstAr.estimate, againstAr.low, againstAr.high].map((value) => value.toFixed(2));
  const numbers = `${tokensPerPass.toFixed(2)} tokens per pass, ${tokensPerSecond.toFixed(0)} per second, ${ratio} (${low} to ${high}) of ar`;
  console.log(`${decoder.padEnd(40)} ${numbers}, ${differing} of ${examples.length} texts differ`);
}
if (sampled > 0) console.log(`sampled at ${settings.temperature}: ${sampledDiffering} of ${sampled} texts differ`);
if (settings.save) {
  const name = settings["save-as"] || `lossless-${settings.task}`;
  const file = join(import.meta.dirname, `results/${name}.json`);
  const given = process.argv.slice(2).filter((flag) => flag !== "--save");
  const drawn = `Sampled at ${settings.temperature}, ${sampledDiffering} of ${sampled} texts differ.`;
  const texts = sampled === 0 ? "Nothing was sampled in this run." : drawn;
  const digits = (value: number): number => Number(value.toFixed(2));
  const result = {
    title: `A draft adapter on ${settings.task}`,
    model: `SmolLM2-135M-Instruct (Q4_1 file)${shared.adapter === undefined ? "" : ` with the adapter ${shared.adapter}`}`,
    ...{ precision: settings.precision, n: examples.length, machine: machineName(), commit: commitOfCheckout() },
    date: new Date().toISOString().slice(0, 10),
    command: ["npm run bench -- lossless", ...given].join(" "),
    note: `Each question goes to every decoder in turn. \`auto\` remembers earlier answers, in ${settings.memory} MB. Intervals are of 95 %. ${texts}`,
    columns: {
      decoder: "decoder",
      tokensPerForward: "tokens per pass",
      speedup: "speed-up over the model's `ar`",
      differing: "texts that differ",
    },
    rows: ways.map(({ id }, i) => {
      const { decoder, tokensPerPass, againstAr, differing } = figures[i]!;
      const { estimate, low, high } = againstAr;
      const speedup = id === "ar" ? 1 : { value: digits(estimate), low: digits(low), high: digits(high) };
      return { id, decoder, tokensPerForward: digits(tokensPerPass), speedup, differing };
    }),
  };
  writeFileSync(file, `${JSON.stringify(result, null, 2)}\n`);
  console.log(`wrote ${file}`);
}
report("lossless", settings, {
  questions: examples.length,
  figures,
  sampled: { texts: sampled, differing: sampledDiffering },
});
process.exitCode = sampledDiffering + ways.reduce((sum, { differing }) => sum + differing, 0) > 0 ? 1 : 0;
