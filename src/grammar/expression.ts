/**
 * Grammars as expressions: literals, sets of characters, sequences, choices, repetitions and rules that may call each other.
 * Every notation (JSON Schema, regular expressions, EBNF, tags) is read into this one form. Knows no notation and no tokens.
 */

import type { Range } from "./utf8.ts";
import { utf8 } from "./utf8.ts";

export type { Range };

export type Expression =
  /** These bytes, one after the other; none for the empty text. */
  | { readonly kind: "bytes"; readonly bytes: Uint8Array }
  /** One byte of these ranges. */
  | { readonly kind: "byte"; readonly ranges: readonly Range[] }
  /** One character, as UTF-8. Ranges are sorted and apart; surrogates stand for nothing. */
  | { readonly kind: "set"; readonly ranges: readonly Range[] }
  | { readonly kind: "sequence"; readonly parts: readonly Expression[] }
  /** One of these; none of them is nothing at all, which no text matches. */
  | { readonly kind: "choice"; readonly parts: readonly Expression[] }
  | { readonly kind: "repeat"; readonly of: Expression; readonly least: number; readonly most: number }
  /** From state 0 along edges to a state that ends. Edges call no rules. */
  | {
      readonly kind: "automaton";
      readonly states: number;
      readonly edges: readonly { readonly from: number; readonly over: Expression; readonly to: number }[];
      readonly ends: readonly boolean[];
    }
  | { readonly kind: "rule"; readonly name: string };

/** What a text must match: the rule `root`, which may call the others. */
export interface Source {
  readonly root: string;
  readonly rules: ReadonlyMap<string, Expression>;
}

const LAST = 0x10ffff;
export const EMPTY: Expression = { kind: "bytes", bytes: new Uint8Array(0) };
export const NOTHING: Expression = { kind: "choice", parts: [] };

export const text = (literal: string): Expression => ({ kind: "bytes", bytes: utf8(literal) });
export const sequence = (...parts: readonly Expression[]): Expression => ({ kind: "sequence", parts });
/** As `choice` and `sequence`, of a list however long. */
export const among = (parts: readonly Expression[]): Expression =>
  parts.length === 1 ? parts[0]! : { kind: "choice", parts };
export const chain = (parts: readonly Expression[]): Expression =>
  parts.length === 0 ? EMPTY : { kind: "sequence", parts };
export const choice = (...parts: readonly Expression[]): Expression =>
  parts.length === 1 ? parts[0]! : { kind: "choice", parts };
export const repeat = (of: Expression, least: number, most: number = Number.POSITIVE_INFINITY): Expression => ({
  kind: "repeat",
  of,
  least,
  most,
});
export const optional = (of: Expression): Expression => repeat(of, 0, 1);
export const rule = (name: string): Expression => ({ kind: "rule", name });
export const set = (...ranges: readonly Range[]): Expression => ({ kind: "set", ranges: normal(ranges) });

/** Ranges sorted, joined where they touch, empty ones gone. */
export function normal(ranges: readonly Range[]): Range[] {
  const sorted = ranges.filter(([low, high]) => low <= high).sort(([a], [b]) => a - b);
  const joined: [number, number][] = [];
  for (const [low, high] of sorted) {
    const last = joined.at(-1);
    if (last !== undefined && low <= last[1] + 1) last[1] = Math.max(last[1], high);
    else joined.push([low, high]);
  }
  return joined;
}

/** All characters that are in none of the ranges. */
export function complement(ranges: readonly Range[]): Range[] {
  const rest: Range[] = [];
  let from = 0;
  for (const [low, high] of normal(ranges)) {
    if (low > from) rest.push([from, low - 1]);
    from = high + 1;
  }
  if (from <= LAST) rest.push([from, LAST]);
  return rest;
}

/** The characters that are in both. */
export function both(a: readonly Range[], b: readonly Range[]): Range[] {
  return complement([...complement(a), ...complement(b)]);
}
