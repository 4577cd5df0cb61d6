/**
 * Who may use a model now: so many at once, the others wait. Clients take turns, so that one that sends many requests waits
 * for its own, not everybody for it. Knows nothing of models.
 */
import { CllmError } from "../error.ts";

export interface QueueOptions {
  /** Requests that run at once. */
  readonly maxRunning: number;
  /** Requests that may wait. One more is refused with `busy`. */
  readonly maxWaiting: number;
}

export interface Queue {
  readonly running: number;
  readonly waiting: number;
  /** Waits for a turn; what it gives ends it, once. Throws `busy`, and `aborted` where the signal fires first. */
  acquire(client: string, signal: AbortSignal): Promise<() => void>;
}

interface Waiter {
  readonly grant: () => void;
}

export function createQueue({ maxRunning, maxWaiting }: QueueOptions): Queue {
  const clients = new Map<string, Waiter[]>(); // whose turn is next comes first; none of the lists is empty
  let running = 0;
  let waiting = 0;

  function advance(): void {
    while (running < maxRunning) {
      const first = clients.entries().next();
      if (first.done) return;
      const [client, waiters] = first.value;
      const { grant } = waiters.shift()!;
      clients.delete(client);
      if (waiters.length > 0) clients.set(client, waiters);
      waiting--;
      running++;
      grant();
    }
  }

  function permit(): () => void {
    let held = true;
    return () => {
      if (!held) return;
      held = false;
      running--;
      advance();
    };
  }

  function leave(client: string, waiter: Waiter): void {
    const waiters = clients.get(client)!.filter((other) => other !== waiter);
    if (waiters.length === 0) clients.delete(client);
    else clients.set(client, waiters); // keeps the client's place
    waiting--;
  }

  return {
    get running() {
      return running;
    },
    get waiting() {
      return waiting;
    },
    acquire(client, signal) {
      return new Promise((resolve, reject) => {
        const fail = (): void => reject(new CllmError("aborted", "the request was aborted while it waited"));
        if (signal.aborted) return fail();
        if (running >= maxRunning && waiting >= maxWaiting) {
          const next = "send the request again later";
          return reject(
            new CllmError("busy", `${waiting} requests wait already, and at most ${maxWaiting} may; ${next}`),
          );
        }
        const abort = (): void => {
          leave(client, waiter);
          fail();
        };
        const waiter: Waiter = {
          grant: () => {
            signal.removeEventListener("abort", abort);
            resolve(permit());
          },
        };
        signal.addEventListener("abort", abort, { once: true });
        const waiters = clients.get(client);
        if (waiters === undefined) clients.set(client, [waiter]);
        else waiters.push(waiter);
        waiting++;
        advance();
      });
    },
  };
}
