/**
 * One request from its queue to its last token: waits for the model's turn, runs its choices one after the other, and ends
 * early when the client goes away or the time is up. Knows bodies and models, no HTTP.
 */
import { CllmError } from "../error.ts";
import type { PassEvent, ServedGeneration } from "./backend.ts";
import type { Asked } from "./bodies.ts";
import { eager } from "./mailbox.ts";
import type { Metrics } from "./metrics.ts";
import type { Lease, Models } from "./models.ts";

export interface RunContext {
  readonly models: Models;
  readonly metrics: Metrics;
  readonly client: string;
  /** When the request arrived, as `performance.now()` tells time. */
  readonly since: number;
  readonly timeoutMs: number;
  /** Fires when nobody waits for the answer any more. */
  readonly gone: AbortSignal;
}

/** A pass of a choice, or its end. */
export interface ServedEvent {
  readonly index: number;
  readonly event?: PassEvent;
  readonly generation?: ServedGeneration;
}

/** Throws `timeout` once the time is up, and what waiting, loading and decoding throw. `return` cancels. */
export async function* generate(asked: Asked, context: RunContext): AsyncGenerator<ServedEvent, void, void> {
  const { models, metrics, client, since, timeoutMs, gone } = context;
  const { model, requests } = asked;
  const stop = new AbortController();
  const abort = (): void => stop.abort();
  let late = false;
  const timer = setTimeout(
    () => {
      late = true;
      abort();
    },
    Math.max(0, timeoutMs - (performance.now() - since)),
  );
  gone.addEventListener("abort", abort, { once: true });
  if (gone.aborted) abort();

  const seconds = (): number => (performance.now() - since) / 1000;
  let lease: Lease | null = null;
  try {
    lease = await models.lease(model, client, stop.signal);
    const { run, release } = lease;
    const events = eager(choices(run, requests, stop.signal, release), abort);
    let begun = false;
    for await (const served of events) {
      if (!begun) metrics.firstToken(model, seconds());
      begun = true;
      if (served.generation !== undefined) metrics.generated(model, served.generation.stats);
      yield served;
    }
    metrics.finished(model, seconds());
  } catch (error) {
    const known = late ? timeout(timeoutMs) : error;
    metrics.failed(model, known instanceof CllmError ? known.code : "internal");
    throw known;
  } finally {
    clearTimeout(timer);
    gone.removeEventListener("abort", abort);
    lease?.release();
  }
}

/** All choices, one after the other; the turn is over once the last one is written, whoever still reads. */
async function* choices(
  run: Lease["run"],
  requests: Asked["requests"],
  signal: AbortSignal,
  release: () => void,
): AsyncGenerator<ServedEvent, void, void> {
  try {
    for (const [index, request] of requests.entries()) {
      const passes = run(request, signal);
      for (;;) {
        const { done, value } = await passes.next();
        if (done) {
          yield { index, generation: value };
          break;
        }
        yield { index, event: value };
      }
    }
  } finally {
    release();
  }
}

function timeout(ms: number): CllmError {
  const next = "ask for fewer tokens, or raise --timeout";
  return new CllmError("timeout", `the request was not answered within ${ms / 1000} s; ${next}`);
}
