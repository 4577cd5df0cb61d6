/**
 * Finite automata over characters, for what a single expression cannot say: texts that match two patterns, that do not match one, or
 * that match one and have a length. Deterministic, by the subset construction (Rabin and Scott 1959), within limits that end what
 * explodes. Knows no notation and no tokens.
 */
import { CllmError } from "../error.ts";
import { both, complement, type Expression, type Range, set } from "./expression.ts";
import type { At } from "./work.ts";

/** State 0 is the first. A character without an edge leads nowhere. */
export interface Automaton {
  /** Per state, flat and in order: low, high, target and so on. */
  readonly edges: readonly (readonly number[])[];
  readonly ends: readonly boolean[];
}

const MAX_STATES = 10_000;
const NONE = -1;
const CHARACTERS: readonly Range[] = complement([[0xd800, 0xdfff]]);

export const NO_TEXT: Automaton = { edges: [[]], ends: [false] };
export const ANY_TEXT: Automaton = { edges: [CHARACTERS.flatMap(([low, high]) => [low, high, 0])], ends: [true] };

/** Texts of an expression without rules. `at` is named where it explodes. */
export function automatonOf(expression: Expression, at: At): Automaton {
  const counter = new Counter(at);
  const graph = new Graph(counter);
  const start = graph.state();
  const end = graph.state();
  graph.build(expression, start, end);
  const closure = (states: Iterable<number>): number[] => {
    const seen = new Set(states);
    for (const state of seen) {
      counter.work(3);
      for (const next of graph.free[state]!) seen.add(next);
    }
    return [...seen].sort((a, b) => a - b);
  };
  return explore([start], {
    counter,
    key: (states) => states.join(),
    normal: closure,
    ends: (states) => states.includes(end),
    edges: (states) => split(states.map((state) => graph.edges[state]!)),
  });
}

/** Texts of the one and of the other. */
export function intersection(a: Automaton, b: Automaton, at: At): Automaton {
  return product(a, b, at, (x, y) => x && y);
}

/** Texts of the one that are not texts of the other. */
export function difference(a: Automaton, b: Automaton, at: At): Automaton {
  return product(a, b, at, (x, y) => x && !y);
}

export function union(a: Automaton, b: Automaton, at: At): Automaton {
  return product(a, b, at, (x, y) => x || y);
}

/** All texts of so many characters. */
export function lengths(least: number, most: number, at: At): Automaton {
  const last = Number.isFinite(most) ? most : least;
  if (least > most) return NO_TEXT;
  new Counter(at).states(last);
  const all = (target: number) => CHARACTERS.flatMap(([low, high]) => [low, high, target]);
  const edges = Array.from({ length: last + 1 }, (_, i) => (i < last ? all(i + 1) : most === last ? [] : all(i)));
  return { edges, ends: edges.map((_, i) => i >= least) };
}

/** These texts, as a tree. */
export function texts(list: Iterable<string>): Automaton {
  const nexts: Map<number, number>[] = [new Map()];
  const ends = [false];
  for (const text of list) {
    let at = 0;
    for (const character of text) {
      const point = character.codePointAt(0)!;
      let next = nexts[at]!.get(point);
      if (next === undefined) {
        next = nexts.push(new Map()) - 1;
        ends.push(false);
        nexts[at]!.set(point, next);
      }
      at = next;
    }
    ends[at] = true;
  }
  const edges = nexts.map((next) => [...next].sort(([a], [b]) => a - b).flatMap(([point, to]) => [point, point, to]));
  return { edges, ends };
}

export function matches({ edges, ends }: Automaton, text: string): boolean {
  let at = 0;
  for (const character of text) {
    const point = character.codePointAt(0)!;
    const from = edges[at]!;
    let next = NONE;
    for (let e = 0; e < from.length && next === NONE; e += 3)
      if (point >= from[e]! && point <= from[e + 1]!) next = from[e + 2]!;
    if (next === NONE) return false;
    at = next;
  }
  return ends[at]!;
}

/** Whether no text matches. */
export function isNothing({ ends }: Automaton): boolean {
  return !ends.includes(true);
}

/** The same texts as an expression. */
export function expressionOf({ edges, ends }: Automaton): Expression {
  const found: { from: number; over: Expression; to: number }[] = [];
  for (const [from, flat] of edges.entries()) {
    const targets = new Map<number, Range[]>();
    for (let e = 0; e < flat.length; e += 3) {
      const to = flat[e + 2]!;
      const ranges = targets.get(to);
      if (ranges === undefined) targets.set(to, [[flat[e]!, flat[e + 1]!]]);
      else ranges.push([flat[e]!, flat[e + 1]!]);
    }
    for (const [to, ranges] of targets) found.push({ from, over: set(...ranges), to });
  }
  return { kind: "automaton", states: edges.length, edges: found, ends };
}

function product(a: Automaton, b: Automaton, at: At, whether: (a: boolean, b: boolean) => boolean): Automaton {
  const needed = [!whether(false, true), !whether(true, false)]; // the sides without which nothing matches
  const dead = (states: readonly number[]) => states.some((state, side) => state === NONE && needed[side]);
  const counter = new Counter(at);
  return explore([0, 0], {
    counter,
    key: ([x, y]) => `${x} ${y}`,
    normal: (state) => state,
    ends: ([x, y]) => whether(x !== NONE && a.ends[x!]!, y !== NONE && b.ends[y!]!),
    edges: ([x, y]) => {
      const ours = x === NONE ? [] : a.edges[x!]!;
      const theirs = y === NONE ? [] : b.edges[y!]!;
      return sideBySide(ours, theirs).filter(({ states }) => !dead(states));
    },
  });
}

interface Exploration {
  readonly counter: Counter;
  key(state: readonly number[]): string;
  normal(state: readonly number[]): readonly number[];
  ends(state: readonly number[]): boolean;
  edges(state: readonly number[]): readonly { readonly range: Range; readonly states: readonly number[] }[];
}

/** All states that can be reached, without those from which no end can. */
function explore(start: readonly number[], { counter, key, normal, ends, edges }: Exploration): Automaton {
  const first = normal(start);
  const numbers = new Map([[key(first), 0]]);
  const states = [first];
  const found: { edges: number[][]; ends: boolean[] } = { edges: [], ends: [] };
  for (let at = 0; at < states.length; at++) {
    const flat: number[] = [];
    for (const { range, states: reached } of edges(states[at]!)) {
      counter.work(1 + reached.length);
      const next = normal(reached);
      const name = key(next);
      let number = numbers.get(name);
      if (number === undefined) {
        number = states.push(next) - 1;
        counter.states(number);
        numbers.set(name, number);
      }
      const last = flat.length - 3;
      if (last >= 0 && flat[last + 2] === number && flat[last + 1]! + 1 === range[0]) flat[last + 1] = range[1];
      else flat.push(range[0], range[1], number);
    }
    found.edges.push(flat);
    found.ends.push(ends(states[at]!));
  }
  return trimmed(found);
}

function trimmed({ edges, ends }: Automaton): Automaton {
  const into: number[][] = edges.map(() => []);
  for (const [from, flat] of edges.entries()) for (let e = 2; e < flat.length; e += 3) into[flat[e]!]!.push(from);
  const alive = new Set<number>();
  for (const [state, end] of ends.entries()) if (end) alive.add(state);
  for (const state of alive) for (const from of into[state]!) alive.add(from);
  if (!alive.has(0)) return NO_TEXT;
  const kept = [...alive].sort((a, b) => a - b);
  const numbers = new Map(kept.map((state, i) => [state, i]));
  return {
    edges: kept.map((state) => {
      const flat: number[] = [];
      const from = edges[state]!;
      for (let e = 0; e < from.length; e += 3) {
        const to = numbers.get(from[e + 2]!);
        if (to !== undefined) flat.push(from[e]!, from[e + 1]!, to);
      }
      return flat;
    }),
    ends: kept.map((state) => ends[state]!),
  };
}

/** Edges of several states as ranges that none of them cuts, with all that each leads to. */
function split(all: readonly (readonly number[])[]): { range: Range; states: number[] }[] {
  const borders = new Map<number, { begin: number[]; end: number[] }>();
  const at = (point: number) => {
    let border = borders.get(point);
    if (border === undefined) {
      border = { begin: [], end: [] };
      borders.set(point, border);
    }
    return border;
  };
  for (const flat of all)
    for (let e = 0; e < flat.length; e += 3) {
      at(flat[e]!).begin.push(flat[e + 2]!);
      at(flat[e + 1]! + 1).end.push(flat[e + 2]!);
    }
  const points = [...borders.keys()].sort((a, b) => a - b);
  const open = new Map<number, number>();
  const found: { range: Range; states: number[] }[] = [];
  for (const [i, point] of points.entries()) {
    const { begin, end } = borders.get(point)!;
    for (const target of begin) open.set(target, (open.get(target) ?? 0) + 1);
    for (const target of end) {
      const left = open.get(target)! - 1;
      if (left === 0) open.delete(target);
      else open.set(target, left);
    }
    if (open.size > 0) found.push({ range: [point, points[i + 1]! - 1], states: [...open.keys()] });
  }
  return found;
}

/** Edges of two states as ranges that neither cuts, with what each leads to. */
function sideBySide(a: readonly number[], b: readonly number[]): { range: Range; states: readonly number[] }[] {
  const points = new Set<number>();
  for (const flat of [a, b])
    for (let e = 0; e < flat.length; e += 3) {
      points.add(flat[e]!);
      points.add(flat[e + 1]! + 1);
    }
  const sorted = [...points].sort((x, y) => x - y);
  const found: { range: Range; states: readonly number[] }[] = [];
  let [i, j] = [0, 0];
  for (const [p, low] of sorted.entries()) {
    const high = (sorted[p + 1] ?? low) - 1;
    if (high < low) continue;
    while (i < a.length && a[i + 1]! < low) i += 3;
    while (j < b.length && b[j + 1]! < low) j += 3;
    const x = i < a.length && a[i]! <= low ? a[i + 2]! : NONE;
    const y = j < b.length && b[j]! <= low ? b[j + 2]! : NONE;
    if (x !== NONE || y !== NONE) found.push({ range: [low, high], states: [x, y] });
  }
  return found;
}

/** Ends what explodes. */
class Counter {
  readonly #at: At;

  constructor(at: At) {
    this.#at = at;
  }

  states(count: number): void {
    if (count <= MAX_STATES) return;
    throw new CllmError(
      "usage",
      `the texts at ${this.#at.place.slice(0, 200)} take more than ${MAX_STATES} states; repeat less there, or give fewer patterns`,
    );
  }

  work(count: number): void {
    this.#at.work.spend(count, this.#at.place);
  }
}

/** An expression as states with edges, of which some read nothing. */
class Graph {
  readonly edges: number[][] = [];
  readonly free: number[][] = [];
  readonly #counter: Counter;

  constructor(counter: Counter) {
    this.#counter = counter;
  }

  state(): number {
    this.#counter.work(1);
    this.free.push([]);
    return this.edges.push([]) - 1;
  }

  build(expression: Expression, from: number, to: number): void {
    switch (expression.kind) {
      case "bytes":
        this.#characters(new TextDecoder().decode(expression.bytes), from, to);
        break;
      case "set":
        for (const [low, high] of both(expression.ranges, CHARACTERS)) this.edges[from]!.push(low, high, to);
        break;
      case "sequence": {
        const last = expression.parts.reduce((at, part) => this.#next(part, at), from);
        this.free[last]!.push(to);
        break;
      }
      case "choice":
        for (const part of expression.parts) {
          const begin = this.state();
          this.free[from]!.push(begin);
          this.build(part, begin, to);
        }
        break;
      case "repeat":
        this.#repeat(expression, from, to);
        break;
      case "automaton": {
        const states = Array.from({ length: expression.states }, () => this.state());
        this.free[from]!.push(states[0]!);
        for (const { from: a, over, to: b } of expression.edges) this.build(over, states[a]!, states[b]!);
        for (const [i, end] of expression.ends.entries()) if (end) this.free[states[i]!]!.push(to);
        break;
      }
      default:
        throw new CllmError("usage", `an automaton has no ${expression.kind}; write characters`);
    }
  }

  #next(expression: Expression, from: number): number {
    const next = this.state();
    this.build(expression, from, next);
    return next;
  }

  #characters(text: string, from: number, to: number): void {
    let at = from;
    for (const character of text) {
      const point = character.codePointAt(0)!;
      const next = this.state();
      this.edges[at]!.push(point, point, next);
      at = next;
    }
    this.free[at]!.push(to);
  }

  #repeat({ of, least, most }: Extract<Expression, { kind: "repeat" }>, from: number, to: number): void {
    let at = from;
    for (let i = 0; i < least; i++) at = this.#next(of, at);
    if (most === Number.POSITIVE_INFINITY) {
      const loop = this.state();
      this.free[at]!.push(loop);
      this.free[this.#next(of, loop)]!.push(loop);
      at = loop;
    } else
      for (let i = least; i < most; i++) {
        this.free[at]!.push(to);
        at = this.#next(of, at);
      }
    this.free[at]!.push(to);
  }
}
