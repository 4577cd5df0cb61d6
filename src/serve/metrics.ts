/**
 * What the server counts, as Prometheus reads it: a few counters, gauges and histograms, written out by hand. Labels come
 * from short lists (endpoints, models, statuses), never from what clients send. Knows no HTTP.
 */
import type { Stats } from "../generate/types.ts";
import type { ModelStatus } from "./models.ts";

export interface Metrics {
  /** A request was answered, with this status. */
  answered(endpoint: string, status: number): void;
  /** A choice was written. */
  generated(model: string, stats: Stats): void;
  /** A generation ended early, by this error's code. */
  failed(model: string, code: string): void;
  firstToken(model: string, seconds: number): void;
  /** A whole answer was given. */
  finished(model: string, seconds: number): void;
  /** Mean seconds of the last answers. */
  readonly meanSeconds: number;
  text(models: readonly ModelStatus[], stallMs?: number): string;
}

const SECONDS = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300];
const TOKENS = [1, 1.25, 1.5, 2, 3, 4, 6, 8, 12, 16, 32];
const ACCEPTED = [1, 2, 3, 4, 6, 8, 12, 16, 32];
const MEMORY = 0.9; // of the running mean

type Labels = Readonly<Record<string, string | number>>;

export function createMetrics(): Metrics {
  const requests = counter("cllm_requests_total", "Requests answered.");
  const failures = counter("cllm_generations_failed_total", "Generations that ended early, by the error's code.");
  const promptTokens = counter("cllm_prompt_tokens_total", "Tokens of prompts.");
  const cachedTokens = counter(
    "cllm_cached_prompt_tokens_total",
    "Tokens of prompts that were in the KV cache already.",
  );
  const newTokens = counter("cllm_completion_tokens_total", "Tokens written.");
  const forwards = counter("cllm_forwards_total", "Decode passes, prefill apart.");
  const perForward = histogram("cllm_tokens_per_forward", "Tokens per decode pass of a generation.", TOKENS);
  const accepted = histogram("cllm_accepted_tokens", "Tokens that a decode pass accepted.", ACCEPTED);
  const first = histogram("cllm_time_to_first_token_seconds", "From a request's arrival to its first token.", SECONDS);
  const whole = histogram("cllm_request_seconds", "From a request's arrival to the end of its answer.", SECONDS);
  const written = [
    requests,
    failures,
    promptTokens,
    cachedTokens,
    newTokens,
    forwards,
    perForward,
    accepted,
    first,
    whole,
  ];
  let meanSeconds = 1;

  return {
    answered: (endpoint, status) => requests.add({ endpoint, status }, 1),
    generated(model, stats) {
      promptTokens.add({ model }, stats.promptTokens);
      cachedTokens.add({ model }, stats.cachedTokens);
      newTokens.add({ model }, stats.newTokens);
      forwards.add({ model }, stats.forwards);
      if (stats.forwards > 0) perForward.observe({ model }, stats.tokensPerForward);
      for (const tokens of stats.accepted) accepted.observe({ model }, tokens);
    },
    failed: (model, code) => failures.add({ model, code }, 1),
    firstToken: (model, seconds) => first.observe({ model }, seconds),
    finished(model, seconds) {
      whole.observe({ model }, seconds);
      meanSeconds = MEMORY * meanSeconds + (1 - MEMORY) * seconds;
    },
    get meanSeconds() {
      return meanSeconds;
    },
    text(models, stallMs) {
      const gauges = [
        gauge("cllm_requests_running", "Requests that a model works on.", models, ({ running }) => running),
        gauge("cllm_requests_waiting", "Requests that wait for a model.", models, ({ waiting }) => waiting),
        gauge("cllm_model_loaded", "Whether a model is in memory.", models, ({ loaded }) => Number(loaded)),
        gauge("cllm_model_loads_total", "How often a model was loaded.", models, ({ loads }) => loads, "counter"),
      ];
      const name = "cllm_event_loop_stall_seconds";
      const stall = head(name, "Longest time that the event loop did not go round.", "gauge");
      if (stallMs !== undefined) gauges.push(`${stall}${name} ${stallMs / 1000}\n`);
      return [...written.map((metric) => metric.text()), ...gauges].join("");
    },
  };
}

const labelsOf = (labels: Labels): string =>
  Object.entries(labels)
    .map(([name, value]) => `${name}="${String(value).replaceAll(/[\\"\n]/g, (c) => (c === "\n" ? "\\n" : `\\${c}`))}"`)
    .join(",");

const head = (name: string, help: string, type: string): string => `# HELP ${name} ${help}\n# TYPE ${name} ${type}\n`;

function gauge(
  name: string,
  help: string,
  models: readonly ModelStatus[],
  value: (model: ModelStatus) => number,
  type = "gauge",
): string {
  const lines = models.map((model) => `${name}{${labelsOf({ model: model.name })}} ${value(model)}\n`);
  return head(name, help, type) + lines.join("");
}

function counter(name: string, help: string) {
  const values = new Map<string, number>();
  return {
    add(labels: Labels, by: number): void {
      const key = labelsOf(labels);
      values.set(key, (values.get(key) ?? 0) + by);
    },
    text: (): string =>
      head(name, help, "counter") + [...values].map(([key, value]) => `${name}{${key}} ${value}\n`).join(""),
  };
}

function histogram(name: string, help: string, bounds: readonly number[]) {
  const values = new Map<string, { readonly counts: number[]; sum: number; count: number }>();
  return {
    observe(labels: Labels, value: number): void {
      const key = labelsOf(labels);
      const known = values.get(key) ?? { counts: bounds.map(() => 0), sum: 0, count: 0 };
      values.set(key, known);
      for (const [i, bound] of bounds.entries()) if (value <= bound) known.counts[i]!++;
      known.sum += value;
      known.count++;
    },
    text(): string {
      let text = head(name, help, "histogram");
      for (const [key, { counts, sum, count }] of values) {
        for (const [i, bound] of bounds.entries()) text += `${name}_bucket{${key},le="${bound}"} ${counts[i]}\n`;
        text += `${name}_bucket{${key},le="+Inf"} ${count}\n${name}_sum{${key}} ${sum}\n${name}_count{${key}} ${count}\n`;
      }
      return text;
    },
  };
}
