/**
 * One request from its queue to its last token: waits for the model's turn, runs its choices one after the other, and is over
 * for its reader when the client goes away or the time is up, whatever the model does. Knows bodies and models, no HTTP.
 */
import { CllmError } from "../error.ts";
import type { RunEvent } from "./backend.ts";
import type { Asked } from "./bodies.ts";
import { Mailbox } from "./mailbox.ts";
import type { Metrics } from "./metrics.ts";
import type { Models } from "./models.ts";
import type { Client } from "./queue.ts";

export interface RunContext {
  readonly models: Models;
  readonly metrics: Metrics;
  readonly client: Client;
  /** When the request arrived, as `performance.now()` tells time. */
  readonly since: number;
  readonly timeoutMs: number;
  /** Fires when the client no longer waits for the answer. */
  readonly gone: AbortSignal;
  /** Fires when the server no longer waits for answers. */
  readonly closing?: AbortSignal | undefined;
}

/** A pass of a choice, or its end. */
export interface ServedEvent extends RunEvent {
  readonly index: number;
}

/**
 * Begins at once, and goes on as fast as the model writes, however slowly it is read. Reading throws `timeout` once the
 * time is up, and what waiting, loading and decoding throw. A reader that breaks cancels.
 *
 * The reader never waits for the model to notice. The model's turn does: only `work` ends it, when the model is done
 * with the request.
 */
export function generate(asked: Asked, context: RunContext): Mailbox<ServedEvent> {
  const { models, metrics, client, since, timeoutMs, gone, closing } = context;
  const { model, requests } = asked;
  const stop = new AbortController();
  const events = new Mailbox<ServedEvent>({ onLeave: () => leave() });
  const seconds = (): number => (performance.now() - since) / 1000;
  let over = false;

  function finish(error: unknown): void {
    if (over) return;
    over = true;
    clearTimeout(timer);
    gone.removeEventListener("abort", leave);
    closing?.removeEventListener("abort", cut);
    if (error === null) {
      metrics.finished(model, seconds());
      events.close();
    } else {
      metrics.failed(model, error instanceof CllmError ? error.code : "internal");
      events.fail(error);
    }
  }
  function giveUp(error: CllmError): void {
    finish(error);
    stop.abort();
  }
  const leave = (): void => giveUp(new CllmError("aborted", "the request was aborted by its client"));
  const cut = (): void => giveUp(new CllmError("unavailable", "the server is shutting down; ask another one"));
  const timer = setTimeout(() => giveUp(timeout(timeoutMs)), Math.max(0, timeoutMs - (performance.now() - since)));
  gone.addEventListener("abort", leave);
  closing?.addEventListener("abort", cut);

  async function work(): Promise<void> {
    const lease = await models.lease(model, client, stop.signal);
    metrics.began(model, seconds());
    let begun = false;
    try {
      for (const [index, request] of requests.entries()) {
        for await (const event of lease.run(request, stop.signal)) {
          if (!begun) metrics.firstToken(model, seconds());
          begun = true;
          if (event.generation !== undefined) metrics.generated(model, event.generation);
          events.push({ index, ...event });
        }
      }
    } finally {
      lease.release();
    }
  }
  if (gone.aborted) leave();
  else if (closing?.aborted) cut();
  else work().then(() => finish(null), finish);
  return events;
}

function timeout(ms: number): CllmError {
  const next = "ask for fewer tokens, or raise --timeout";
  return new CllmError("timeout", `the request was not answered within ${ms / 1000} s; ${next}`);
}
