/**
 * What the server counts, as Prometheus reads it. Labels come from short lists (endpoints, models, statuses), never from
 * what clients send. Knows no HTTP.
 */
import { Counter, Gauge, Histogram, Registry } from "prom-client";
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
  /** How `text` is to be read. */
  readonly contentType: string;
  text(models: readonly ModelStatus[], stallMs?: number): Promise<string>;
}

const SECONDS = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300];
const TOKENS = [1, 1.25, 1.5, 2, 3, 4, 6, 8, 12, 16, 32];
const ACCEPTED = [1, 2, 3, 4, 6, 8, 12, 16, 32];
const MEMORY = 0.9; // of the running mean

export function createMetrics(): Metrics {
  const registers = [new Registry()];
  const [registry] = registers as [Registry];
  const counter = <L extends string>(name: string, help: string, labelNames: readonly L[]): Counter<L> =>
    new Counter({ name, help, labelNames, registers });
  const gauge = <L extends string>(name: string, help: string, labelNames: readonly L[]): Gauge<L> =>
    new Gauge({ name, help, labelNames, registers });
  const histogram = (name: string, help: string, buckets: readonly number[]): Histogram<"model"> =>
    new Histogram({ name, help, labelNames: ["model"], buckets: [...buckets], registers });

  const requests = counter("cllm_requests_total", "Requests answered.", ["endpoint", "status"]);
  const why = "Generations that ended early, by the error's code.";
  const failures = counter("cllm_generations_failed_total", why, ["model", "code"]);
  const promptTokens = counter("cllm_prompt_tokens_total", "Tokens of prompts.", ["model"]);
  const cached = "Tokens of prompts that were in the KV cache already.";
  const cachedTokens = counter("cllm_cached_prompt_tokens_total", cached, ["model"]);
  const newTokens = counter("cllm_completion_tokens_total", "Tokens written.", ["model"]);
  const forwards = counter("cllm_forwards_total", "Decode passes, prefill apart.", ["model"]);
  const perForward = histogram("cllm_tokens_per_forward", "Tokens per decode pass of a generation.", TOKENS);
  const accepted = histogram("cllm_accepted_tokens", "Tokens that a decode pass accepted.", ACCEPTED);
  const first = histogram("cllm_time_to_first_token_seconds", "From a request's arrival to its first token.", SECONDS);
  const whole = histogram("cllm_request_seconds", "From a request's arrival to the end of its answer.", SECONDS);
  const running = gauge("cllm_requests_running", "Requests that a model works on.", ["model"]);
  const waiting = gauge("cllm_requests_waiting", "Requests that wait for a model.", ["model"]);
  const loaded = gauge("cllm_model_loaded", "Whether a model is in memory.", ["model"]);
  const loads = counter("cllm_model_loads_total", "How often a model was loaded.", ["model"]);
  const stall = gauge("cllm_event_loop_stall_seconds", "Longest time that the event loop stood still.", []);
  let meanSeconds = 1;

  return {
    answered: (endpoint, status) => requests.inc({ endpoint, status }),
    generated(model, stats) {
      promptTokens.inc({ model }, stats.promptTokens);
      cachedTokens.inc({ model }, stats.cachedTokens);
      newTokens.inc({ model }, stats.newTokens);
      forwards.inc({ model }, stats.forwards);
      if (stats.forwards > 0) perForward.observe({ model }, stats.tokensPerForward);
      for (const tokens of stats.accepted) accepted.observe({ model }, tokens);
    },
    failed: (model, code) => failures.inc({ model, code }),
    firstToken: (model, seconds) => first.observe({ model }, seconds),
    finished(model, seconds) {
      whole.observe({ model }, seconds);
      meanSeconds = MEMORY * meanSeconds + (1 - MEMORY) * seconds;
    },
    get meanSeconds() {
      return meanSeconds;
    },
    contentType: registry.contentType,
    text(models, stallMs) {
      loads.reset(); // the models count for themselves
      for (const status of models) {
        const { name: model } = status;
        running.set({ model }, status.running);
        waiting.set({ model }, status.waiting);
        loaded.set({ model }, Number(status.loaded));
        loads.inc({ model }, status.loads);
      }
      if (stallMs !== undefined) stall.set(stallMs / 1000);
      return registry.metrics();
    },
  };
}
