/**
 * The shortest text of each rule of a grammar, and with it which parts no text can match: those are left out of what is
 * compiled, so that no choice leads into a dead end. Knows no tokens.
 */
import { CllmError } from "../error.ts";
import type { Expression, Source } from "./expression.ts";
import { utf8 } from "./utf8.ts";
import type { Work } from "./work.ts";

/** Lengths in bytes; infinite for what no finite text matches. */
export interface Lengths {
  of(expression: Expression): number;
  /** The shortest text that matches, where there is one. */
  text(expression: Expression): Uint8Array;
}

/** Fixed point over the rules: each starts as unmatched and gets shorter until nothing changes (Knuth 1977). */
export function shortest({ rules }: Source, work: Work): Lengths {
  const lengths = new Map<string, number>();
  const of = (expression: Expression): number => {
    switch (expression.kind) {
      case "bytes":
        return expression.bytes.length;
      case "byte":
        return expression.ranges.length > 0 ? 1 : Number.POSITIVE_INFINITY;
      case "set":
        return expression.ranges.length > 0 ? utf8Length(expression.ranges[0]![0]) : Number.POSITIVE_INFINITY;
      case "sequence":
        return expression.parts.reduce((sum, part) => sum + of(part), 0);
      case "choice":
        return expression.parts.reduce((least, part) => Math.min(least, of(part)), Number.POSITIVE_INFINITY);
      case "repeat":
        return expression.least === 0 ? 0 : expression.least * of(expression.of);
      case "automaton":
        return wayThrough(expression).length;
      case "rule":
        return lengths.get(expression.name) ?? Number.POSITIVE_INFINITY;
    }
  };
  type Through = { readonly length: number; readonly way: readonly Expression[] };
  const ways = new Map<Expression, Through>();
  /** The edges of a shortest way; they call no rules, so it stays what it is. */
  const wayThrough = (expression: Extract<Expression, { kind: "automaton" }>): Through => {
    let found = ways.get(expression);
    if (found === undefined) {
      found = shortestWay(expression, of);
      ways.set(expression, found);
    }
    return found;
  };
  const callers = new Map<string, Set<string>>();
  const sizes = new Map<string, number>();
  for (const [name, expression] of rules) {
    const { called: all, size } = calledBy(expression);
    sizes.set(name, size);
    for (const called of all) {
      const known = callers.get(called);
      if (known === undefined) callers.set(called, new Set([name]));
      else known.add(name);
    }
  }
  const waiting = new Set([...rules.keys()].reverse()); // rules mostly call those behind them
  for (const name of waiting) {
    waiting.delete(name);
    const expression = rules.get(name)!;
    work.spend(sizes.get(name)! / 10, name);
    const length = of(expression);
    if (length >= (lengths.get(name) ?? Number.POSITIVE_INFINITY)) continue;
    lengths.set(name, length);
    for (const caller of callers.get(name) ?? []) waiting.add(caller);
  }
  const write = (expression: Expression, to: number[]): void => {
    switch (expression.kind) {
      case "bytes":
        for (const byte of expression.bytes) to.push(byte);
        break;
      case "byte":
        to.push(expression.ranges[0]![0]);
        break;
      case "set":
        for (const byte of utf8(String.fromCodePoint(expression.ranges[0]![0]))) to.push(byte);
        break;
      case "sequence":
        for (const part of expression.parts) write(part, to);
        break;
      case "choice":
        write(
          expression.parts.reduce((a, b) => (of(b) < of(a) ? b : a)),
          to,
        );
        break;
      case "repeat":
        for (let i = 0; i < expression.least; i++) write(expression.of, to);
        break;
      case "automaton":
        for (const over of wayThrough(expression).way) write(over, to);
        break;
      case "rule":
        write(ruleOf(rules, expression.name), to);
        break;
    }
  };
  return {
    of,
    text(expression) {
      const bytes: number[] = [];
      write(expression, bytes);
      return Uint8Array.from(bytes);
    },
  };
}

/** The rules that an expression calls, and of how many parts it is. */
function calledBy(expression: Expression): { called: ReadonlySet<string>; size: number } {
  let size = 0;
  const found = new Set<string>();
  const waiting = [expression];
  for (let next = waiting.pop(); next !== undefined; next = waiting.pop()) {
    size++;
    if (next.kind === "rule") found.add(next.name);
    else if (next.kind === "repeat") waiting.push(next.of);
    else if (next.kind === "sequence" || next.kind === "choice") for (const part of next.parts) waiting.push(part);
  }
  return { called: found, size };
}

/** States are looked at again whenever a shorter way to them is found (Moore 1957). */
function shortestWay(
  { states, edges, ends }: Extract<Expression, { kind: "automaton" }>,
  of: (expression: Expression) => number,
): { length: number; way: Expression[] } {
  const out: (typeof edges)[number][][] = Array.from({ length: states }, () => []);
  for (const edge of edges) out[edge.from]!.push(edge);
  const length = new Float64Array(states).fill(Number.POSITIVE_INFINITY);
  const by = new Array<(typeof edges)[number] | undefined>(states);
  length[0] = 0;
  const queue = [0];
  for (let i = 0; i < queue.length; i++)
    for (const edge of out[queue[i]!]!) {
      const next = length[edge.from]! + of(edge.over);
      if (next >= length[edge.to]!) continue;
      length[edge.to] = next;
      by[edge.to] = edge;
      queue.push(edge.to);
    }
  let end = -1;
  for (const [i, isEnd] of ends.entries()) if (isEnd && (end < 0 || length[i]! < length[end]!)) end = i;
  if (end < 0) return { length: Number.POSITIVE_INFINITY, way: [] };
  const way: Expression[] = [];
  for (let edge = by[end]; edge !== undefined; edge = edge.from === 0 ? undefined : by[edge.from]) way.push(edge.over);
  return { length: length[end]!, way: way.reverse() };
}

/** The expression of a rule; throws `usage` where there is none. */
export function ruleOf(rules: Source["rules"], name: string): Expression {
  const found = rules.get(name);
  if (found === undefined) throw new CllmError("usage", `the grammar has no rule ${name}, which another rule calls`);
  return found;
}

function utf8Length(point: number): number {
  if (point <= 0x7f) return 1;
  if (point <= 0x7ff) return 2;
  return point <= 0xffff ? 3 : 4;
}
