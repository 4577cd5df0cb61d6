/**
 * Answers that have a form: how much faster they come than one token at a time, what choosing among allowed tokens costs, how
 * long a schema takes to compile, whether every decoder writes the same, and whether answers validate. `--parts` picks some.
 * `--suite` is a checkout of github.com/json-schema-org/JSON-Schema-Test-Suite. With `--journal FILE --minutes 8` the long parts
 * (exact, suite) run in pieces: the same command goes on. `--model models/text-to-sql` has passes that cost little.
 */
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { Ajv2020 } from "ajv/dist/2020.js";
import { CllmError, type Format, type LanguageModel, load, PLAIN_DECODERS } from "../src/index.ts";
import { flags, median, mixedPrompts, modelPath, report } from "./conditions.ts";
import { openJournal } from "./journal.ts";

const settings = flags({
  parts: "compile,speed,mask,exact,suite",
  limit: 200,
  seeds: 5,
  rounds: 5,
  suite: "",
  refused: false,
  journal: "",
  minutes: 600,
  model: "",
  "max-new-tokens": 96,
  threads: 2,
});
const parts = settings.parts.split(",");
const LANES = 4; // schemas of the suite that are answered at once

const person = (name: string): object => ({
  type: "object",
  properties: {
    [name]: { type: "string", maxLength: 24 },
    last_name: { type: "string", maxLength: 24 },
    email_address: { type: "string", format: "email" },
    age_in_years: { type: "integer", minimum: 0, maximum: 120 },
    home_city: { type: "string", maxLength: 24 },
    country_code: { enum: ["DE", "FR", "GB", "IT", "US"] },
    is_active: { type: "boolean" },
    membership_level: { enum: ["basic", "silver", "gold"] },
    number_of_orders: { type: "integer", minimum: 0, maximum: 9999 },
    preferred_language: { enum: ["English", "French", "German", "Italian"] },
  },
  required: [
    ...[name, "last_name", "email_address", "age_in_years", "home_city", "country_code", "is_active"],
    ...["membership_level", "number_of_orders", "preferred_language"],
  ],
  additionalProperties: false,
});
const form: Format = { type: "json_schema", schema: person("first_name") };
const ask = (content: string) => ({ messages: [{ role: "user" as const, content }] });
const PEOPLE = ["a teacher from Rome", "a retired sailor", "a student in Berlin", "a chef in Lyon", "a nurse in Leeds"];

/** Tokens per second with ten fields, one at a time and with `auto`, in turn. */
async function speed(model: LanguageModel): Promise<object> {
  const rates: Record<"ar" | "auto", number[]> = { ar: [], auto: [] };
  const ratios: number[] = [];
  let passes = 0;
  let tokens = 0;
  for (let round = -1; round < settings.rounds; round++) {
    for (const who of PEOPLE) {
      const request = {
        ...ask(`Fill in a customer record for ${who}.`),
        format: form,
        maxNewTokens: 256,
        cachePrompt: false,
      };
      const slow = (await model.generate({ ...request, decoder: "ar" })).stats;
      const fast = (await model.generate({ ...request, decoder: "auto" })).stats;
      if (round < 0) continue; // warm-up
      rates.ar.push(slow.tokensPerSecond);
      rates.auto.push(fast.tokensPerSecond);
      ratios.push(fast.tokensPerSecond / slow.tokensPerSecond);
      passes += fast.forwards;
      tokens += fast.newTokens - fast.prefillTokens;
    }
  }
  const figures = {
    ar: median(rates.ar),
    auto: median(rates.auto),
    ratio: median(ratios),
    tokensPerForward: tokens / passes,
  };
  console.log(
    `ten fields: ${figures.auto.toFixed(1)} tokens/s by auto, ${figures.ar.toFixed(1)} by ar: ${figures.ratio.toFixed(2)}x`,
  );
  return figures;
}

/** Milliseconds of a pass of one token, with any text and with a form; both write as many tokens, in turn. */
async function mask(model: LanguageModel): Promise<object> {
  const times: Record<"plain" | "formed", number[]> = { plain: [], formed: [] };
  for (let round = -1; round < settings.rounds; round++)
    for (const who of PEOPLE) {
      const request = { ...ask(`Fill in a customer record for ${who}.`), decoder: "ar" as const, maxNewTokens: 120 };
      for (const [name, more] of [
        ["formed", { format: form }],
        ["plain", { ignoreEos: true }],
      ] as const) {
        const { decodeMs, forwards } = (await model.generate({ ...request, ...more })).stats;
        if (round >= 0) times[name].push(decodeMs / forwards);
      }
    }
  const [plain, formed] = [median(times.plain), median(times.formed)];
  console.log(
    `a pass of one token: ${plain.toFixed(2)} ms, with a form ${formed.toFixed(2)} ms: ${((formed / plain - 1) * 100).toFixed(1)} %`,
  );
  return { plain, formed, share: formed / plain - 1 };
}

/** Milliseconds before the first pass that a schema adds: new ones, and one that was there before. */
async function compile(model: LanguageModel): Promise<object> {
  const time = async (schema: object): Promise<number> => {
    const start = performance.now();
    // Too little room for the answer: the request ends when the schema is compiled.
    await model.generate({ prompt: "x", maxNewTokens: 1, format: { type: "json_schema", schema } }).catch(() => {});
    return performance.now() - start;
  };
  const first = await time(person("n"));
  const fresh: number[] = [];
  const again: number[] = [];
  for (let i = 0; i < 20; i++) {
    fresh.push(await time(person(`name_${i}`)));
    again.push(await time(person(`name_${i}`)));
  }
  const figures = { first, fresh: median(fresh), again: median(again) };
  console.log(
    `a schema: ${first.toFixed(1)} ms with the model's tokens, ${figures.fresh.toFixed(1)} ms then, ${figures.again.toFixed(2)} ms again`,
  );
  return figures;
}

/** Answers of every decoder beside those of `ar`, prompt by prompt. */
async function exact(model: LanguageModel): Promise<object> {
  const { limit, seeds, "max-new-tokens": maxNewTokens } = settings;
  const formats: readonly Format[] = [
    {
      type: "json_schema",
      schema: {
        type: "object",
        properties: {
          name: { type: "string", maxLength: 12 },
          age: { type: "integer", minimum: 0, maximum: 120 },
          level: { enum: ["basic", "silver", "gold"] },
        },
        required: ["name", "age", "level"],
      },
    },
    { type: "json" },
    { type: "regex", pattern: "[A-Z][a-z ]{5,60}\\." },
    {
      type: "json_schema",
      schema: { type: "array", items: { type: "string", maxLength: 12 }, minItems: 2, maxItems: 6 },
    },
  ];
  const runs = [0, ...Array.from({ length: seeds }, (_, i) => i + 1)];
  const room = model.config.contextLength - maxNewTokens;
  const prompts = mixedPrompts(2 * limit)
    .filter((input) => model.promptIds(input).length < room)
    .slice(0, limit);
  const journal = openJournal(settings.journal, settings.minutes, {
    ...{ part: "exact", model: model.name, precision: model.precision, seeds, maxNewTokens },
  });
  const done = await journal.run(
    prompts.map((_, i) => String(i)),
    async (_, i) => {
      const count = { answers: 0, differing: 0 };
      for (const seed of runs) {
        const sampling =
          seed === 0 ? {} : { temperature: 0.8, topP: 0.95, seed, ...(i % 3 === 0 && { repetitionPenalty: 1.1 }) };
        const request = { ...prompts[i]!, ...sampling, format: formats[i % formats.length]!, maxNewTokens };
        const expected = (await model.generate({ ...request, decoder: "ar" })).tokens.join();
        for (const decoder of PLAIN_DECODERS.filter((name) => name !== "ar")) {
          count.answers++;
          if ((await model.generate({ ...request, decoder })).tokens.join() === expected) continue;
          count.differing++;
          console.log(`prompt ${i}, seed ${seed}: ${decoder} differs`);
        }
      }
      return count;
    },
  );
  const [answers, differing] = [total(done, "answers"), total(done, "differing")];
  console.log(`${done.length} prompts: ${differing} of ${answers} answers differ from those of ar`);
  return { prompts: done.length, answers, differing };
}

/** Answers to the schemas of the test suite, one to each that is not refused. */
async function suite(model: LanguageModel): Promise<object> {
  const folder = join(settings.suite, "tests", "draft2020-12");
  const ajv = new Ajv2020({ strict: false, ownProperties: true, validateFormats: false, logger: false });
  const schemas = readdirSync(folder)
    .filter((name) => name.endsWith(".json"))
    .flatMap((name) => {
      const groups = JSON.parse(readFileSync(join(folder, name), "utf8")) as {
        description: string;
        schema: object | boolean;
        tests: Asked["tests"];
      }[];
      return groups.map(({ description, schema, tests }) => ({ schema, tests, name: `${name}: ${description}` }));
    });
  const journal = openJournal(settings.journal, settings.minutes, {
    ...{ part: "suite", model: model.name, precision: model.precision },
    ...{ maxNewTokens: settings["max-new-tokens"], questions: QUESTIONS.length },
  });
  const done = await journal.run(
    schemas.map(({ name }, i) => `${i} ${name}`),
    async (name, i) => ({ name, ...(await answerTo(schemas[i]!, model, ajv)) }),
    settings.parts === "suite" ? LANES : 1,
  );
  const count = { unreadable: 0, refused: 0, cut: 0, whole: 0, invalid: 0 };
  for (const { name, end, text } of done) {
    count[end]++;
    if (end === "invalid") console.log(`does not validate: ${name}: ${text}`);
    if (end === "refused" && settings.refused) console.log(`${name}: ${text}`);
  }
  console.log(
    `${count.whole + count.invalid} whole answers: ${count.invalid} do not validate; ${count.cut} were cut by the budget; ` +
      `${count.refused} schemas were refused by name; of ${count.unreadable} ajv fails the suite's own tests or needs other files`,
  );
  return count;
}

interface Answered {
  readonly end: "unreadable" | "refused" | "cut" | "whole" | "invalid";
  readonly text: string;
}

/** The next one is asked where the budget ends the answer. */
const QUESTIONS = [
  { question: "Write a short JSON value." },
  { question: "How much is 3 + 4? Write the number only." },
  { question: "Write an empty list.", temperature: 1, seed: 1 },
  { question: "Write {} and nothing else.", temperature: 1.5, seed: 2 },
];

interface Asked {
  readonly schema: object | boolean;
  readonly tests: readonly { readonly data: unknown; readonly valid: boolean }[];
}

async function answerTo({ schema, tests }: Asked, model: LanguageModel, ajv: Ajv2020): Promise<Answered> {
  let validate: ReturnType<typeof ajv.compile>;
  try {
    validate = ajv.compile(schema);
    const wrong = tests.find(({ data, valid }) => validate(data) !== valid);
    if (wrong !== undefined)
      return { end: "unreadable", text: `ajv fails the suite's own test: ${JSON.stringify(wrong)}` };
  } catch (error) {
    return { end: "unreadable", text: String(error) };
  }
  let cut = "";
  try {
    for (const { question, ...sampling } of QUESTIONS) {
      const { parsed, finishReason, text } = await model.generate({
        ...ask(question),
        ...sampling,
        format: { type: "json_schema", schema, strict: false },
        maxNewTokens: settings["max-new-tokens"],
        repetitionPenalty: 1.3,
      });
      if (finishReason !== "length") return { end: validate(parsed) ? "whole" : "invalid", text };
      cut = text;
    }
    return { end: "cut", text: cut };
  } catch (error) {
    if (!(error instanceof CllmError && error.code === "usage")) throw error;
    return { end: "refused", text: error.message };
  }
}

const total = <K extends string>(all: readonly Record<K, number>[], key: K): number =>
  all.reduce((sum, each) => sum + each[key], 0);

await using model = await load(settings.model || modelPath(), {
  threads: settings.threads,
  slots: settings.parts === "suite" ? LANES : 1,
});
const figures: Record<string, unknown> = {};
for (const [name, part] of Object.entries({ compile, speed, mask, exact, suite }))
  if (parts.includes(name) && !(name === "suite" && settings.suite === "")) figures[name] = await part(model);
report("structured", settings, figures, model.name);
const { exact: compared, suite: validated } = figures as { exact?: { differing: number }; suite?: { invalid: number } };
process.exitCode = (compared?.differing ?? 0) + (validated?.invalid ?? 0) > 0 ? 1 : 0;
