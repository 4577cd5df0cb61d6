/**
 * The playground: the form, the two runs one after the other, and their replay together. Wires the other modules; what can
 * be thought about without a page is in them.
 */
import { listModels, readDatabase, requestOf, runQuery, ServerError, streamPasses } from "./client.js";
import {
  asksDatabase,
  byId,
  fillModels,
  formFollowsModel,
  prepareForm,
  readForm,
  writeDefaults,
  writeForm,
} from "./form.js";
import { readLink, writeLink } from "./link.js";
import { createPane } from "./pane.js";
import { createRace } from "./race.js";
import { endTimes, figures, firstDifference, SLOWDOWNS, slowdownFor } from "./run.js";
import { showDatabase, showRows } from "./sql.js";

/** @typedef {import("./run.js").Pass} Pass */
/** @typedef {import("./link.js").Settings} Settings */

const button = (/** @type {string} */ id) => /** @type {HTMLButtonElement} */ (byId(id));
const value = (/** @type {string} */ id) => /** @type {HTMLInputElement} */ (byId(id)).value;
const say = (/** @type {string} */ text) => {
  byId("status").textContent = text;
};
const sayError = (/** @type {unknown} */ error) => {
  byId("error").textContent = error === null ? "" : error instanceof Error ? error.message : String(error);
};

const WARM_UP_TOKENS = 8;
const AR = "Autoregressive";
/** What has run before on this page, so that it is warm. */
const warm = new Set();
/** @type {import("./client.js").DemonstrationDatabase | null} */
let database = null;
/** @type {AbortController | null} */
let running = null;
/** @type {ReturnType<typeof createRace> | null} */
let race = null;
let raceMs = 0;
let connected = false;

const panes = ["ar", "parallel"].map((id) => {
  const template = /** @type {HTMLTemplateElement} */ (byId("pane"));
  const root = /** @type {HTMLElement} */ (/** @type {Element} */ (template.content.firstElementChild).cloneNode(true));
  root.id = id;
  byId("panes").append(root);
  return createPane(root, { id, stepped: () => race?.pause() });
});
const [arPane, parallelPane] = /** @type {[typeof panes[0], typeof panes[0]]} */ (/** @type {unknown} */ (panes));

/**
 * Runs one decoder and gives its passes; shows them as they come.
 * @param {Settings} settings
 * @param {string} decoder
 * @param {AbortSignal} signal
 * @param {(passes: readonly Pass[]) => void} show
 */
async function passesOf(settings, decoder, signal, show) {
  /** @type {Pass[]} */
  const passes = [];
  let frame = 0;
  try {
    for await (const event of streamPasses(requestOf(settings, decoder, database), value("key"), signal)) {
      const last = passes.at(-1);
      if (event.pass !== null) passes.push({ ...event.pass, text: event.text });
      else if (last !== undefined) passes[passes.length - 1] = { ...last, text: last.text + event.text };
      frame ||= requestAnimationFrame(() => {
        frame = 0;
        show(passes);
      });
    }
  } finally {
    cancelAnimationFrame(frame);
  }
  const last = passes.pop();
  if (last !== undefined) passes.push({ ...last, guesses: [] }); // what it guessed beyond the end
  show(passes);
  return passes;
}

/** @param {Settings} settings @param {AbortSignal} signal */
async function compare(settings, signal) {
  const { decoder, model, blockSize, maxTokens } = settings;
  race?.pause();
  race = null;
  button("play").disabled = true;
  showRows(null);
  const name = `Parallel: ${decoder}, block of ${blockSize}`;
  arPane.setTitle(AR);
  parallelPane.setTitle(name);
  for (const pane of panes) {
    pane.setPasses([]);
    pane.setState("waits for its turn");
  }
  byId("results").hidden = false;
  say("Running");
  if (byId("panes").getBoundingClientRect().top > window.innerHeight / 2) byId("status").scrollIntoView();

  for (const each of ["ar", decoder]) {
    const what = JSON.stringify([model, each, blockSize]);
    if (warm.has(what)) continue;
    say(`Warming up ${model}, ${each}; a model that is not loaded yet is loaded now`);
    await passesOf({ ...settings, maxTokens: Math.min(maxTokens, WARM_UP_TOKENS) }, each, signal, () => {});
    warm.add(what);
  }
  /** @param {typeof arPane} pane @param {string} each */
  const measure = async (pane, each) => {
    pane.setState("runs, alone");
    say(`Running ${each}, alone`);
    const run = await passesOf(settings, each, signal, (passes) => pane.setPasses(passes));
    pane.setState("measured");
    return run;
  };
  const ar = await measure(arPane, "ar");
  const parallel = await measure(parallelPane, decoder);
  startRace(ar, parallel);
  say(verdictOf(ar, parallel));
  if (settings.form !== "database") return;
  const sql = parallel.map(({ text }) => text).join("");
  try {
    showRows(await runQuery(sql, value("key"), signal));
  } catch (error) {
    if (!signal.aborted) refused(error); // the runs are measured all the same
  }
}

/** @param {readonly Pass[]} ar @param {readonly Pass[]} parallel */
function verdictOf(ar, parallel) {
  const different = firstDifference(ar, parallel);
  if (different !== null)
    return `The two differ from token ${different + 1} on, which must not happen: please report it.`;
  const [slow, fast] = [figures(ar), figures(parallel)];
  const same = `The same ${slow.tokens === 1 ? "token" : `${slow.tokens} tokens`}`;
  if (slow.ms === 0 || fast.ms === 0) return `${same}; too few to compare.`;
  const times = (slow.ms / fast.ms).toFixed(2);
  return `${same}: ${fast.passes} ${fast.passes === 1 ? "pass" : "passes"} instead of ${slow.passes}, ${fast.ms.toFixed(0)} ms instead of ${slow.ms.toFixed(0)} ms, ${times} times the speed.`;
}

/** @param {readonly Pass[]} ar @param {readonly Pass[]} parallel */
function startRace(ar, parallel) {
  const ends = [endTimes(ar), endTimes(parallel)];
  raceMs = Math.max(...ends.map((times) => times.at(-1) ?? 0));
  race = createRace(
    panes.map((pane, i) => ({ ends: /** @type {number[]} */ (ends[i]), show: pane.show })),
    (playing, atEnd) => {
      button("play").textContent = playing ? "Pause" : "Replay";
      for (const pane of panes) pane.setState(playing ? "replayed" : atEnd ? "measured" : "step by step");
    },
  );
  button("play").disabled = false;
  followSlowdown();
  if (matchMedia("(prefers-reduced-motion: reduce)").matches) race.toEnd();
  else race.play();
}

function followSlowdown() {
  const chosen = value("slowdown");
  const fitting = slowdownFor(raceMs);
  const auto = /** @type {HTMLOptionElement} */ (byId("slowdown").firstElementChild);
  auto.textContent = raceMs === 0 ? "a speed to follow" : `a speed to follow: ${speed(fitting)}`;
  race?.setSlowdown(chosen === "auto" ? fitting : Number(chosen));
}

/** @param {number} slowdown */
function speed(slowdown) {
  return slowdown === 1 ? "as it ran" : `${slowdown} times slower than it ran`;
}

async function run() {
  if (running !== null) return;
  const settings = readForm();
  sayError(null);
  if (settings.model === "") return sayError("There is no model to ask.");
  if (settings.question.trim() === "") {
    byId("question").focus();
    return sayError("Type a question first.");
  }
  const link = writeLink(settings);
  history.replaceState(null, "", link);
  /** @type {HTMLAnchorElement} */ (byId("link")).href = link;
  byId("link").hidden = false;
  const controller = new AbortController();
  running = controller;
  button("run").disabled = true;
  button("stop").disabled = false;
  try {
    await compare(settings, controller.signal);
  } catch (error) {
    say(controller.signal.aborted ? "Stopped." : "");
    for (const pane of panes) pane.setState("not measured");
    if (!controller.signal.aborted) refused(error);
  } finally {
    running = null;
    button("run").disabled = false;
    button("stop").disabled = true;
  }
}

/** @param {unknown} error */
function refused(error) {
  sayError(error);
  if (error instanceof ServerError && error.status === 401) byId("key").focus();
}

/** Reads what the server has; again when a key is typed. */
async function connect() {
  sayError(null);
  try {
    const models = await listModels(value("key"));
    fillModels(models);
    database = models.some(({ name }) => asksDatabase(name)) ? await readDatabase(value("key")) : null;
    if (database !== null) {
      showDatabase(database, (question) => {
        /** @type {HTMLTextAreaElement} */ (byId("question")).value = question;
        say("The question is filled in; Run asks it.");
        byId("run").focus();
      });
    }
    if (!connected) followLink();
    connected = true;
    followModel();
  } catch (error) {
    refused(error);
  }
}

function followLink() {
  const settings = readLink(location.hash);
  if (settings !== null) {
    const missing = writeForm(settings);
    if (missing !== null) sayError(`The link is for ${missing}, which this server does not have.`);
    say("The link's settings are filled in; Run repeats its run.");
  }
  followModel();
}

function followModel() {
  byId("database").hidden = database === null || !asksDatabase(readForm().model);
}

prepareForm();
writeDefaults();
byId("slowdown").append(
  new Option("a speed to follow", "auto"),
  ...SLOWDOWNS.map((factor) => new Option(speed(factor), String(factor))),
);
byId("run-form").addEventListener("submit", (event) => {
  event.preventDefault();
  void run();
});
byId("question").addEventListener("keydown", (event) => {
  if (event.key !== "Enter" || !(event.ctrlKey || event.metaKey)) return;
  event.preventDefault();
  /** @type {HTMLFormElement} */ (byId("run-form")).requestSubmit();
});
byId("stop").addEventListener("click", () => running?.abort());
byId("play").addEventListener("click", () => (race?.playing ? race.pause() : race?.play()));
byId("slowdown").addEventListener("change", followSlowdown);
byId("model").addEventListener("change", () => {
  formFollowsModel();
  followModel();
});
byId("key").addEventListener("change", () => void connect());
byId("key").addEventListener("keydown", (event) => {
  if (event.key !== "Enter") return;
  event.preventDefault(); // it is not the form that is sent
  byId("question").focus(); // so that the key changes
});
addEventListener("hashchange", followLink);
await connect();
