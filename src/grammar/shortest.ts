/**
 * The shortest text of each rule of a grammar, and with it which parts no text can match: those are left out of what is
 * compiled, so that no choice leads into a dead end. Knows no tokens.
 */
import { CllmError } from "../error.ts";
import type { Expression, Source } from "./expression.ts";
import { utf8 } from "./utf8.ts";

/** Lengths in bytes; infinite for what no finite text matches. */
export interface Lengths {
  of(expression: Expression): number;
  /** The shortest text that matches, where there is one. */
  text(expression: Expression): Uint8Array;
}

/** Fixed point over the rules: each starts as unmatched and gets shorter until nothing changes (Knuth 1977). */
export function shortest({ rules }: Source): Lengths {
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
  const lastFirst = [...rules].reverse(); // rules mostly call those behind them
  for (let changed = true; changed; ) {
    changed = false;
    for (const [name, expression] of lastFirst) {
      const length = of(expression);
      if (length >= (lengths.get(name) ?? Number.POSITIVE_INFINITY)) continue;
      lengths.set(name, length);
      changed = true;
    }
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
