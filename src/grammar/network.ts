/**
 * A grammar as a network of states: edges that read a byte, edges that read nothing, and calls of rules with the state to
 * return to (a recursive transition network, Woods 1970). Built from expressions within a limit, so that a grammar that
 * explodes ends in an error. Knows no tokens.
 */
import { CllmError } from "../error.ts";
import type { Expression, Source } from "./expression.ts";
import { type Lengths, ruleOf, shortest } from "./shortest.ts";
import { utf8Ranges } from "./utf8.ts";
import type { Work } from "./work.ts";

/** States beyond which a grammar is refused: a repetition of repetitions. Ordinary schemas have a few thousand. */
export const MAX_STATES = 200_000;

const COST_OF_STATE = 2;

export interface Network {
  /** Byte edges of each state, flat: low, high, target and so on. */
  readonly bytes: readonly (readonly number[])[];
  /** Targets of edges that read nothing. */
  readonly free: readonly (readonly number[])[];
  /** Calls, flat: the first state of the rule, the state to return to. */
  readonly calls: readonly (readonly number[])[];
  /** Whether a rule ends here. */
  readonly ends: readonly boolean[];
  readonly start: number;
  /** A shortest text of the grammar. */
  readonly shortestText: Uint8Array;
}

/** Throws `usage` for a grammar that no text matches, that explodes, or whose rules call themselves first. */
export function buildNetwork(source: Source, work: Work): Network {
  const lengths = shortest(source, work);
  const { root, rules } = source;
  ruleOf(rules, root);
  if (lengths.of({ kind: "rule", name: root }) === Number.POSITIVE_INFINITY)
    throw new CllmError("usage", `no text matches the format: ${unmatched(source, lengths)}; change it there`);
  const builder = new Builder(source, lengths, work);
  const start = builder.ruleStart(root);
  builder.finish();
  return { ...builder, start, shortestText: lengths.text(ruleOf(rules, root)) };
}

/** The innermost rule that no text matches, for the error. */
function unmatched({ root, rules }: Source, lengths: Lengths): string {
  const seen = new Set<string>();
  let place = root;
  const visit = (expression: Expression): void => {
    if (lengths.of(expression) !== Number.POSITIVE_INFINITY) return;
    if (expression.kind === "rule" && !seen.has(expression.name)) {
      seen.add(expression.name);
      place = expression.name;
      visit(ruleOf(rules, expression.name));
    } else if (expression.kind === "repeat") visit(expression.of);
    else if (expression.kind === "sequence" || expression.kind === "choice")
      for (const part of expression.parts) visit(part);
  };
  visit({ kind: "rule", name: root });
  return `${place} can never be satisfied`;
}

class Builder {
  readonly bytes: number[][] = [];
  readonly free: number[][] = [];
  readonly calls: number[][] = [];
  readonly ends: boolean[] = [];
  readonly #work: Work;
  readonly #source: Source;
  readonly #lengths: Lengths;
  readonly #starts = new Map<string, number>();
  readonly #waiting: string[] = [];
  #place = "";

  constructor(source: Source, lengths: Lengths, work: Work) {
    this.#work = work;
    this.#source = source;
    this.#lengths = lengths;
  }

  /** The first state of a rule, whose inside is built by `finish`. */
  ruleStart(name: string): number {
    let start = this.#starts.get(name);
    if (start === undefined) {
      ruleOf(this.#source.rules, name);
      start = this.#state();
      this.#starts.set(name, start);
      this.#waiting.push(name);
    }
    return start;
  }

  finish(): void {
    for (let name = this.#waiting.pop(); name !== undefined; name = this.#waiting.pop()) {
      this.#place = name;
      const end = this.#state();
      this.ends[end] = true;
      this.#build(ruleOf(this.#source.rules, name), this.#starts.get(name)!, end);
    }
    this.#refuseLeftRecursion();
  }

  #state(): number {
    if (this.ends.length >= MAX_STATES)
      throw new CllmError(
        "usage",
        `the format is too large: ${this.#place} takes it past ${MAX_STATES} states; repeat less there`,
      );
    this.#work.spend(COST_OF_STATE, this.#place);
    this.bytes.push([]);
    this.free.push([]);
    this.calls.push([]);
    return this.ends.push(false) - 1;
  }

  #build(expression: Expression, from: number, to: number): void {
    switch (expression.kind) {
      case "bytes": {
        this.#chain(
          Array.from(expression.bytes, (byte) => [byte, byte] as const),
          from,
          to,
        );
        break;
      }
      case "byte":
        for (const [low, high] of expression.ranges) this.bytes[from]!.push(low, high, to);
        break;
      case "set":
        for (const range of expression.ranges) for (const bytes of utf8Ranges(range)) this.#chain(bytes, from, to);
        break;
      case "sequence": {
        let at = from;
        for (const [i, part] of expression.parts.entries()) {
          const next = i === expression.parts.length - 1 ? to : this.#state();
          this.#build(part, at, next);
          at = next;
        }
        if (expression.parts.length === 0) this.free[from]!.push(to);
        break;
      }
      case "choice":
        for (const part of expression.parts) {
          if (this.#lengths.of(part) === Number.POSITIVE_INFINITY) continue;
          const begin = this.#state(); // so that a loop in one part leads into no other
          this.free[from]!.push(begin);
          this.#build(part, begin, to);
        }
        break;
      case "repeat":
        this.#repeat(expression, from, to);
        break;
      case "automaton": {
        const states = expression.ends.map(() => this.#state());
        this.free[from]!.push(states[0]!);
        for (const { from: a, over, to: b } of expression.edges) this.#build(over, states[a]!, states[b]!);
        for (const [i, end] of expression.ends.entries()) if (end) this.free[states[i]!]!.push(to);
        break;
      }
      case "rule":
        this.calls[from]!.push(this.ruleStart(expression.name), to);
        break;
    }
  }

  #repeat({ of, least, most }: Extract<Expression, { kind: "repeat" }>, from: number, to: number): void {
    let at = from;
    for (let i = 0; i < least; i++) {
      const next = this.#state();
      this.#build(of, at, next);
      at = next;
    }
    const possible = this.#lengths.of(of) !== Number.POSITIVE_INFINITY;
    if (possible && most === Number.POSITIVE_INFINITY) {
      const loop = this.#state();
      this.free[at]!.push(loop);
      const back = this.#state();
      this.#build(of, loop, back);
      this.free[back]!.push(loop);
      at = loop;
    } else if (possible) {
      for (let i = least; i < most; i++) {
        this.free[at]!.push(to);
        const next = this.#state();
        this.#build(of, at, next);
        at = next;
      }
    }
    this.free[at]!.push(to);
  }

  #chain(ranges: readonly (readonly [number, number])[], from: number, to: number): void {
    let at = from;
    for (const [i, [low, high]] of ranges.entries()) {
      const next = i === ranges.length - 1 ? to : this.#state();
      this.bytes[at]!.push(low, high, next);
      at = next;
    }
    if (ranges.length === 0) this.free[from]!.push(to);
  }

  /** A rule that calls itself before it reads anything would call itself for ever. */
  #refuseLeftRecursion(): void {
    const nameOf = new Map([...this.#starts].map(([name, start]) => [start, name]));
    const nullable = (start: number) => this.#lengths.of({ kind: "rule", name: nameOf.get(start) as string }) === 0;
    const done = new Set<number>();
    const path: number[] = [];
    const visit = (start: number): void => {
      if (path.includes(start))
        throw new CllmError(
          "usage",
          `rule ${nameOf.get(start)} of the format calls itself before anything else; let it read something first`,
        );
      if (done.has(start)) return;
      path.push(start);
      const seen = new Set<number>([start]);
      const queue = [start];
      const reach = (state: number): void => {
        if (!seen.has(state)) {
          seen.add(state);
          queue.push(state);
        }
      };
      for (let state = queue.pop(); state !== undefined; state = queue.pop()) {
        for (const next of this.free[state]!) reach(next);
        const calls = this.calls[state]!;
        for (let i = 0; i < calls.length; i += 2) {
          visit(calls[i]!);
          if (nullable(calls[i]!)) reach(calls[i + 1]!);
        }
      }
      path.pop();
      done.add(start);
    };
    for (const start of this.#starts.values()) visit(start);
  }
}
