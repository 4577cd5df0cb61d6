/**
 * Who may use a model now: so many at once, the others wait. Addresses share it evenly, and so do the clients of an
 * address: the client with the fewest running goes next. If the queue is full, the client with the most waiting gives
 * up a place. By hand, because queues such as p-queue know priorities and no clients. Knows nothing of models.
 */
import { CllmError } from "../error.ts";

export interface QueueOptions {
  /** Requests that run at once. */
  readonly maxRunning: number;
  /** Requests that may wait. One more is refused with `busy`. */
  readonly maxWaiting: number;
}

/** Who asks. */
export interface Client {
  readonly address: string;
  /** One of those who ask from there: a connection, or what it says to be. */
  readonly name: string;
}

export interface Queue {
  readonly running: number;
  readonly waiting: number;
  /** Waits for a turn; what it gives ends it, once. Throws `busy`, and `aborted` where the signal fires first. */
  acquire(client: Client, signal: AbortSignal): Promise<() => void>;
}

interface Waiter {
  grant(): void;
  refuse(error: CllmError): void;
}

/** What an address, or one of its clients, has of the queue. */
interface Share {
  running: number;
  waiting: number;
}
interface Member extends Share {
  readonly waiters: Waiter[];
}
interface Group extends Share {
  readonly members: Map<string, Member>;
}

export function createQueue({ maxRunning, maxWaiting }: QueueOptions): Queue {
  const groups = new Map<string, Group>(); // who had a turn goes to the end
  const all: Share = { running: 0, waiting: 0 };

  /** Adds to what a client has, and forgets clients that have nothing. */
  function count({ address, name }: Client, what: keyof Share, by: 1 | -1): Member {
    const group = groups.get(address) ?? { running: 0, waiting: 0, members: new Map<string, Member>() };
    const member = group.members.get(name) ?? { running: 0, waiting: 0, waiters: [] };
    for (const share of [all, group, member]) share[what] += by;
    if (member.running + member.waiting > 0) group.members.set(name, member);
    else group.members.delete(name);
    if (group.running + group.waiting > 0) groups.set(address, group);
    else groups.delete(address);
    return member;
  }

  function advance(): void {
    while (all.running < maxRunning && all.waiting > 0) {
      const [address, group] = next(groups);
      const [name, member] = next(group.members);
      groups.delete(address);
      groups.set(address, group);
      group.members.delete(name);
      group.members.set(name, member);
      const waiter = member.waiters.shift()!;
      count({ address, name }, "running", 1);
      count({ address, name }, "waiting", -1);
      waiter.grant();
    }
  }

  /**
   * Makes a place for one more of `client` if others have more than their share of the waiting places; false if none
   * has.
   */
  function makePlace({ address, name }: Client): boolean {
    const [longest, group] = longestOf(groups);
    const own = groups.get(address);
    const elsewhere = group.waiting > (own?.waiting ?? 0) + 1;
    const within = elsewhere ? group : own;
    if (within === undefined || within.waiting === 0) return false;
    const [other, member] = longestOf(within.members);
    if (!elsewhere && member.waiting <= (within.members.get(name)?.waiting ?? 0) + 1) return false;
    const waiter = member.waiters.pop()!;
    count({ address: elsewhere ? longest : address, name: other }, "waiting", -1);
    waiter.refuse(busy(`${maxWaiting} requests wait, and others have fewer of them`));
    return true;
  }

  function turn(client: Client): () => void {
    let held = true;
    return () => {
      if (!held) return;
      held = false;
      count(client, "running", -1);
      advance();
    };
  }

  return {
    get running() {
      return all.running;
    },
    get waiting() {
      return all.waiting;
    },
    acquire(client, signal) {
      return new Promise((resolve, reject) => {
        const aborted = (): CllmError => new CllmError("aborted", "the request was aborted while it waited");
        if (signal.aborted) return reject(aborted());
        if (all.running >= maxRunning && all.waiting >= maxWaiting && (maxWaiting === 0 || !makePlace(client)))
          return reject(busy(`${all.waiting} requests wait already, and at most ${maxWaiting} may`));
        const { waiters } = count(client, "waiting", 1);
        const leave = (): void => {
          waiters.splice(waiters.indexOf(waiter), 1);
          count(client, "waiting", -1);
          reject(aborted());
        };
        const waiter: Waiter = {
          grant() {
            signal.removeEventListener("abort", leave);
            resolve(turn(client));
          },
          refuse(error) {
            signal.removeEventListener("abort", leave);
            reject(error);
          },
        };
        waiters.push(waiter);
        signal.addEventListener("abort", leave, { once: true });
        advance();
      });
    },
  };
}

/** Of those who wait the one with the fewest that run, the first of several. */
function next<S extends Share>(shares: ReadonlyMap<string, S>): [string, S] {
  const waiting = [...shares].filter(([, share]) => share.waiting > 0);
  return waiting.reduce((best, each) => (each[1].running < best[1].running ? each : best));
}

/** The one with the most that wait, the last of several. */
function longestOf<S extends Share>(shares: ReadonlyMap<string, S>): [string, S] {
  return [...shares].reduce((best, each) => (each[1].waiting >= best[1].waiting ? each : best));
}

const busy = (what: string): CllmError => new CllmError("busy", `${what}; send the request again later`);
