/**
 * The demo's page: a question, the query as one-by-one and as parallel decoding write it, replayed slowed down, and the rows. All of it
 * runs in the page's workers; nothing is sent anywhere.
 */
import { DEMONSTRATION, DEMONSTRATION_QUESTIONS } from "../tasks/text-to-sql/demonstration.ts";
import { databaseScript, sqlOfCompletion, textToSqlPrompt } from "../tasks/text-to-sql/schema.ts";
import type { SqlAnswer, SqlQuestion } from "./demo-sql.web.ts";
import { type Lane, laneOf, passCount } from "./lane.web.ts";
import { offerOwnModel } from "./try-model.web.ts";
import { loadInWorker, type WorkerModel } from "./worker.web.ts";

const QUERY_MS = 3000;
/** What the slower one of the two takes on the screen. */
const REPLAY_MS = 2500;
const MAX_NEW_TOKENS = 96;
/** Of each decoder, in turn: the one that took neither most nor least time is shown. */
const RUNS = 3;

const element = <E extends HTMLElement>(id: string): E => document.getElementById(id) as E;
const status = element("status");
const question = element<HTMLInputElement>("question");
const script = element<HTMLTextAreaElement>("script");
const ask = element<HTMLButtonElement>("ask");
const answer = element("answer");
const say = (text: string): void => {
  status.textContent = text;
};
const lanes = { ar: laneOf("One by one", "h2"), cllm: laneOf("In parallel", "h2") };
const newWorker = (): Worker => new Worker(new URL("./model-worker.js", import.meta.url), { type: "module" });

interface Step {
  readonly text: string;
  readonly atMs: number;
}

interface Written {
  readonly steps: readonly Step[];
  readonly text: string;
  readonly tokens: number;
  readonly passes: number;
  readonly ms: number;
}

let sqlWorker: Worker | null = null;
let questions = 0;

/** Asks SQLite; ends it where it does not answer in time. */
function query(sql: string | null): Promise<SqlAnswer> {
  sqlWorker ??= new Worker(new URL("./demo-sql.js", import.meta.url), { type: "module" });
  const worker = sqlWorker;
  const id = questions++;
  return new Promise((resolve) => {
    const give = (answer: SqlAnswer): void => {
      clearTimeout(timer);
      worker.removeEventListener("message", receive);
      resolve(answer);
    };
    const receive = ({ data }: MessageEvent<SqlAnswer>): void => {
      if (data.id === id) give(data);
    };
    const end = (error: string): void => {
      worker.terminate();
      sqlWorker = null;
      give({ id, ok: false, error });
    };
    const timer = setTimeout(
      () => end("the query took too long and was ended"),
      questions === 1 ? 10 * QUERY_MS : QUERY_MS,
    );
    worker.addEventListener("message", receive);
    worker.addEventListener("error", () => end("SQLite could not be loaded"), { once: true });
    worker.postMessage({ id, script: script.value, query: sql } satisfies SqlQuestion);
  });
}

/** The prompt about the tables that the script makes; an error as text where it makes none. */
async function promptOf(text: string): Promise<{ readonly prompt: string } | { readonly error: string }> {
  const tables = await query(null);
  if (!tables.ok) return { error: `The database cannot be made: ${tables.error}` };
  const byName = new Map<string, { name: string }[]>();
  for (const [table, column] of tables.rows as [string, string][])
    byName.set(table, [...(byName.get(table) ?? []), { name: column }]);
  if (byName.size === 0) return { error: "The database has no table." };
  return {
    prompt: textToSqlPrompt(
      [...byName].map(([name, columns]) => ({ name, columns })),
      text,
    ),
  };
}

async function write(model: WorkerModel, prompt: string, decoder: "ar" | "jacobi"): Promise<Written> {
  const stream = model.stream({ prompt, decoder, maxNewTokens: MAX_NEW_TOKENS, cachePrompt: false });
  const steps: Step[] = [];
  let ms = 0;
  for (;;) {
    const { done, value } = await stream.next();
    if (done) {
      const { stats } = value;
      return { steps, text: value.text, tokens: stats.newTokens, passes: stats.forwards + 1, ms };
    }
    ms += value.pass?.ms ?? 0;
    if (value.text !== "") steps.push({ text: value.text, atMs: ms });
  }
}

const middle = (runs: readonly Written[]): Written =>
  runs.toSorted((a, b) => a.ms - b.ms)[(runs.length - 1) >> 1] as Written;

/** Shows both at once, each at its own pace, slowed down by the same factor. */
async function replay(pairs: readonly (readonly [Lane, Written])[]): Promise<void> {
  const still = matchMedia("(prefers-reduced-motion: reduce)").matches;
  const slowdown = REPLAY_MS / Math.max(...pairs.map(([, { ms }]) => ms));
  element("slowdown").textContent =
    `Replayed ${Math.round(slowdown)} times slower. One colour: the tokens of one pass.`;
  await Promise.all(
    pairs.map(async ([lane, { steps, tokens, passes, ms }]) => {
      lane.clear();
      let shown = 0;
      for (const step of steps) {
        const wait = (step.atMs - shown) * slowdown;
        if (!still) await new Promise((resolve) => setTimeout(resolve, wait));
        shown = step.atMs;
        lane.add(step.text);
      }
      lane.say(`${passCount(passes)} · ${tokens} tokens · ${ms.toFixed(0)} ms`);
    }),
  );
}

function table(columns: readonly string[], rows: readonly unknown[][]): HTMLElement {
  const all = document.createElement("table");
  const addRow = (cells: readonly unknown[], kind: "th" | "td"): void => {
    const row = all.insertRow();
    for (const value of cells) {
      const cell = document.createElement(kind);
      cell.textContent = value === null ? "NULL" : String(value);
      row.append(cell);
    }
  };
  addRow(columns, "th");
  for (const row of rows) addRow(row, "td");
  return all;
}

async function race(model: WorkerModel): Promise<void> {
  const text = question.value.trim();
  if (text === "") return question.focus();
  ask.disabled = true;
  answer.replaceChildren();
  try {
    const made = await promptOf(text);
    if ("error" in made) return say(made.error);
    say("Decoding");
    const runs: { readonly ar: Written; readonly cllm: Written }[] = [];
    for (let run = 0; run < RUNS; run++) {
      runs.push({
        ar: await write(model, made.prompt, "ar"),
        cllm: await write(model, made.prompt, "jacobi"),
      });
    }
    const ar = middle(runs.map((run) => run.ar));
    const cllm = middle(runs.map((run) => run.cllm));
    await replay([
      [lanes.ar, ar],
      [lanes.cllm, cllm],
    ]);
    const same = ar.text === cllm.text ? "Both wrote the same query." : "The two queries differ, which is a bug.";
    const result = await query(sqlOfCompletion(cllm.text));
    const count = result.ok ? ` ${result.rows.length} ${result.rows.length === 1 ? "row" : "rows"}.` : "";
    const ratio = ar.ms / cllm.ms;
    const speed = ratio > 1.05 ? `, ${ratio.toFixed(1)} times as fast` : "";
    say(`${same} One by one took ${ar.passes} passes, in parallel ${cllm.passes}${speed}.${count}`);
    if (result.ok) answer.append(table(result.columns, result.rows));
    else answer.textContent = `SQLite: ${result.error}`;
    answer.tabIndex = answer.scrollWidth > answer.clientWidth ? 0 : -1; // by keyboard where it scrolls
  } catch (error) {
    say(error instanceof Error ? error.message : String(error));
  } finally {
    ask.disabled = false;
  }
}

async function start(): Promise<void> {
  element("lanes").append(lanes.ar.element, lanes.cllm.element);
  offerOwnModel(newWorker);
  script.value = databaseScript(DEMONSTRATION);
  for (const { question: each } of DEMONSTRATION_QUESTIONS) {
    const option = document.createElement("option");
    option.value = each;
    element("questions").append(option);
  }
  question.value = DEMONSTRATION_QUESTIONS[0]!.question;
  const bar = element<HTMLProgressElement>("progress");
  const model = await loadInWorker("./model", {
    engineFiles: "./engine/",
    worker: newWorker(),
    onProgress: ({ stage, done, total }) => {
      say(
        { download: "Loading the model", quantize: "Preparing", compile: "Compiling", calibrate: "Measuring" }[stage],
      );
      if (stage !== "download" || total < 1e6) return;
      bar.max = total;
      bar.value = done;
    },
  });
  bar.hidden = true;
  say("Ready. Everything runs in this page; nothing is sent anywhere.");
  ask.disabled = false;
  element<HTMLFormElement>("form").addEventListener("submit", (event) => {
    event.preventDefault();
    void race(model);
  });
  if ("serviceWorker" in navigator && isSecureContext)
    await navigator.serviceWorker.register("./offline.js").catch(() => {});
}

start().catch((error: unknown) => {
  element("progress").hidden = true;
  say(error instanceof Error ? error.message : String(error));
});
