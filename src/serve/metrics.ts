/**
 * What the server counts, as Prometheus reads it. Labels come from short lists (endpoints, models, statuses), never from
 * what clients send. What means the same as a metric of vLLM has its name and its label `model_name`, so that routers and
 * dashboards for vLLM find it. Knows no HTTP.
 */
import { Counter, Gauge, Histogram, Registry } from "prom-client";
import type { ServedGeneration } from "./backend.ts";
import type { ModelStatus } from "./models.ts";

export interface Metrics {
  /** A request was answered, with this status. */
  answered(endpoint: string, status: number): void;
  /** A choice was written. */
  generated(model: string, generation: Pick<ServedGeneration, "stats" | "finishReason">): void;
  /** A request has its turn. */
  began(model: string, seconds: number): void;
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
const PER_TOKEN = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 1];
const LENGTHS = [1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 10_000, 20_000, 50_000, 100_000];
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
  /** A histogram that vLLM has too. */
  const shared = (name: string, help: string, buckets: readonly number[]): Histogram<"model_name"> =>
    new Histogram({ name: `vllm:${name}`, help, labelNames: ["model_name"], buckets: [...buckets], registers });

  const requests = counter("cllm_requests_total", "Requests answered.", ["endpoint", "status"]);
  const why = "Generations that ended early, by the error's code.";
  const failures = counter("cllm_generations_failed_total", why, ["model", "code"]);
  const promptTokens = counter("vllm:prompt_tokens_total", "Tokens of prompts.", ["model_name"]);
  const cached = "Tokens of prompts that were in the KV cache already.";
  const cachedTokens = counter("cllm_cached_prompt_tokens_total", cached, ["model"]);
  const newTokens = counter("vllm:generation_tokens_total", "Tokens written.", ["model_name"]);
  const ended = counter("vllm:request_success_total", "Choices written, by why they ended.", [
    "model_name",
    "finished_reason",
  ]);
  const forwards = counter("cllm_forwards_total", "Decode passes, prefill apart.", ["model"]);
  const predicted = counter("cllm_predicted_tokens_total", "Tokens of predictions, by whether answers have them.", [
    "model",
    "accepted",
  ]);
  const perForward = histogram("cllm_tokens_per_forward", "Tokens per decode pass of a generation.", TOKENS);
  const accepted = histogram("cllm_accepted_tokens", "Tokens that a decode pass accepted.", ACCEPTED);
  const first = shared("time_to_first_token_seconds", "From a request's arrival to its first token.", SECONDS);
  const whole = shared("e2e_request_latency_seconds", "From a request's arrival to the end of its answer.", SECONDS);
  const queued = shared("request_queue_time_seconds", "From a request's arrival to its turn.", SECONDS);
  const prefill = shared("request_prefill_time_seconds", "Of a prompt's passes.", SECONDS);
  const decode = shared("request_decode_time_seconds", "Of all decode passes of a choice.", SECONDS);
  const perToken = shared("request_time_per_output_token_seconds", "Decode time per token after the first.", PER_TOKEN);
  const prompts = shared("request_prompt_tokens", "Tokens of a prompt.", LENGTHS);
  const lengths = shared("request_generation_tokens", "Tokens of a choice.", LENGTHS);
  const running = gauge("vllm:num_requests_running", "Requests that a model works on.", ["model_name"]);
  const waiting = gauge("vllm:num_requests_waiting", "Requests that wait for a model.", ["model_name"]);
  const loaded = gauge("cllm_model_loaded", "Whether a model is in memory.", ["model"]);
  const loads = counter("cllm_model_loads_total", "How often a model was loaded.", ["model"]);
  const stall = gauge("cllm_event_loop_stall_seconds", "Longest time that the event loop stood still.", []);
  let meanSeconds = 1;

  return {
    answered: (endpoint, status) => requests.inc({ endpoint, status }),
    generated(model, { stats, finishReason }) {
      const named = { model_name: model };
      promptTokens.inc(named, stats.promptTokens);
      cachedTokens.inc({ model }, stats.cachedTokens);
      newTokens.inc(named, stats.newTokens);
      ended.inc({ ...named, finished_reason: finishReason });
      prompts.observe(named, stats.promptTokens);
      lengths.observe(named, stats.newTokens);
      prefill.observe(named, stats.prefillMs / 1000);
      decode.observe(named, stats.decodeMs / 1000);
      if (stats.newTokens > 1) perToken.observe(named, stats.decodeMs / 1000 / (stats.newTokens - 1));
      forwards.inc({ model }, stats.forwards);
      predicted.inc({ model, accepted: "true" }, stats.acceptedPredictionTokens);
      predicted.inc({ model, accepted: "false" }, stats.rejectedPredictionTokens);
      if (stats.forwards > 0) perForward.observe({ model }, stats.tokensPerForward);
      for (const tokens of stats.accepted) accepted.observe({ model }, tokens);
    },
    failed: (model, code) => failures.inc({ model, code }),
    began: (model, seconds) => queued.observe({ model_name: model }, seconds),
    firstToken: (model, seconds) => first.observe({ model_name: model }, seconds),
    finished(model, seconds) {
      whole.observe({ model_name: model }, seconds);
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
        running.set({ model_name: model }, status.running);
        waiting.set({ model_name: model }, status.waiting);
        loaded.set({ model }, Number(status.loaded));
        loads.inc({ model }, status.loads);
      }
      if (stallMs !== undefined) stall.set(stallMs / 1000);
      return registry.metrics();
    },
  };
}
