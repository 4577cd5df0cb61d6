/**
 * The demo's second part: a model of the visitor's, by its hub id or address, whose decoders write one text after the other, each in a
 * lane of its own. The text stays in the page; only the model's files are fetched. Knows no SQL.
 */
import { type Lane, laneOf, passCount } from "./lane.web.ts";
import { loadInWorker, type WorkerModel } from "./worker.web.ts";

/** What is shown, in the order in which they run. */
const DECODERS = [
  ["ar", "One by one"],
  ["jacobi", "Jacobi"],
  ["lookahead", "Lookahead"],
  ["prompt-lookup", "Prompt lookup"],
  ["auto", "Auto"],
] as const;
const MAX_NEW_TOKENS = 64;
const STAGES = { download: "Loading", quantize: "Preparing", compile: "Compiling", calibrate: "Measuring" } as const;

const element = <E extends HTMLElement>(id: string): E => document.getElementById(id) as E;

/** Makes the form work. */
export function offerOwnModel(newWorker: () => Worker): void {
  const form = element<HTMLFormElement>("try-form");
  const id = element<HTMLInputElement>("try-id");
  const text = element<HTMLTextAreaElement>("try-text");
  const button = element<HTMLButtonElement>("try-run");
  const bar = element<HTMLProgressElement>("try-progress");
  const say = (line: string): void => {
    element("try-status").textContent = line;
  };
  let loaded: { readonly name: string; readonly model: WorkerModel } | null = null;
  let running: AbortController | null = null;

  async function modelNamed(name: string, signal: AbortSignal): Promise<WorkerModel> {
    if (loaded?.name === name) return loaded.model;
    loaded?.model.end();
    loaded = null;
    const model = await loadInWorker(name, {
      ...{ engineFiles: "./engine/", worker: newWorker(), signal },
      onProgress: ({ stage, what, done, total }) => {
        say(stage === "download" ? `${STAGES.download} ${what}` : STAGES[stage]);
        bar.hidden = total === 0;
        bar.max = Math.max(1, total);
        bar.value = done;
      },
    });
    loaded = { name, model };
    return model;
  }

  async function run(name: string, signal: AbortSignal): Promise<void> {
    const lanes = element("try-lanes");
    lanes.replaceChildren();
    say(`Loading ${name}`);
    const model = await modelNamed(name, signal).finally(() => {
      bar.hidden = true;
    });
    const prompt = text.value;
    const input = model.hasChatTemplate ? { messages: [{ role: "user" as const, content: prompt }] } : { prompt };
    const texts: string[] = [];
    const made: [(typeof DECODERS)[number], Lane][] = DECODERS.map((each) => [each, laneOf(each[1], "h3")]);
    lanes.append(...made.map(([, lane]) => lane.element));
    for (const [[decoder, title], lane] of made) {
      say(`${title} is writing`);
      const stream = model.stream({ ...input, decoder, maxNewTokens: MAX_NEW_TOKENS, cachePrompt: false, signal });
      for (;;) {
        const { done, value } = await stream.next();
        if (!done) {
          lane.add(value.text);
          continue;
        }
        const { newTokens, forwards, tokensPerSecond } = value.stats;
        lane.say(`${passCount(forwards + 1)} · ${newTokens} tokens · ${tokensPerSecond.toFixed(0)} tokens/s`);
        texts.push(value.text);
        break;
      }
    }
    say(
      texts.every((each) => each === texts[0])
        ? "All wrote the same text."
        : "The texts differ, which is a bug: please report it.",
    );
  }

  form.addEventListener("submit", (event) => {
    event.preventDefault();
    if (running !== null) return running.abort();
    const name = id.value.trim();
    if (name === "") return id.focus();
    const controller = new AbortController();
    running = controller;
    button.textContent = "Stop";
    run(name, controller.signal)
      .catch((error: unknown) => {
        const aborted = controller.signal.aborted;
        say(aborted ? "Stopped." : error instanceof Error ? error.message : String(error));
      })
      .finally(() => {
        running = null;
        button.textContent = "Run";
      });
  });
  button.disabled = false;
}
