/**
 * Arrays of a case as grammars: items one after the other, how many of them match something, and that all differ where there are few
 * values. Knows no keyword.
 */
import { CllmError } from "../../error.ts";
import { among, choice, EMPTY, type Expression, NOTHING, repeat, sequence, text } from "../expression.ts";
import { type ArrayCase, type Case, type Contained, isNumberOf, itemOf } from "./cases.ts";
import type { Node, Nodes } from "./nodes.ts";
import { written } from "./text.ts";

/** What arrays and objects need of the whole. */
export interface Emitter {
  readonly nodes: Nodes;
  /** The rule of a node. */
  call(node: Node): Expression;
  /** A rule by its name, whose inside is made once. */
  rule(name: string, make: () => Expression): Expression;
  cases(node: Node): readonly Case[];
  isEmpty(node: Node): boolean;
}

const COMMA = text(", ");
const MOST_UNIQUE = 10; // values of items that have to differ: each set of them is a state
const MOST_APART = 8; // items that have to differ, where no value can be two of them
const MOST_CONTAINED = 4;
const MOST_PLACES = 500; // of an array whose items are counted

export function arrayExpression(each: ArrayCase, emitter: Emitter, name: string): Expression {
  if (each.least > each.most) return NOTHING;
  const unique = each.unique !== null && each.most > 1 && !differAnyway(each, emitter);
  const inside = unique
    ? differing(each, emitter, name)
    : each.contains.length > 0
      ? counted(each, emitter, name)
      : plain(each, emitter);
  return sequence(text("["), inside, text("]"));
}

/** Items one after the other. */
function plain({ prefix, items, least, most }: ArrayCase, { call }: Emitter): Expression {
  const item = (i: number): Expression => call(itemOf({ prefix, items }, i));
  // What follows the first i items: from the last of the prefix backwards.
  const after = Math.max(Math.min(prefix.length, most), 1);
  const more = sequence(COMMA, item(prefix.length));
  let rest: Expression = most > after ? repeat(more, Math.max(0, least - after), most - after) : EMPTY;
  if (after < least && most <= after) rest = NOTHING;
  for (let i = after - 1; i >= 1; i--) {
    const next = sequence(COMMA, item(i), rest);
    rest = i < least ? next : choice(next, EMPTY);
  }
  const some = most === 0 ? NOTHING : sequence(item(0), rest);
  return least === 0 ? choice(some, EMPTY) : some;
}

/** Each item either counts for what the array must contain or need not; where too many may not count, the others do not match. */
function counted(each: ArrayCase, emitter: Emitter, name: string): Expression {
  const { contains, least, most, prefix } = each;
  if (contains.length > MOST_CONTAINED)
    throw new CllmError(
      "usage",
      `the schema has more than ${MOST_CONTAINED} contains that must hold at once at ${name.slice(0, 200)}`,
    );
  const fixed = contains.reduce((last, { from }) => Math.max(last, from), Math.max(prefix.length, least));
  const room = most === Number.POSITIVE_INFINITY ? fixed : most;
  if (room > MOST_PLACES)
    throw new CllmError(
      "usage",
      `the schema has contains beside ${room} items at ${name.slice(0, 200)}; at most ${MOST_PLACES} can be counted`,
    );
  const limit = (one: Contained) => (one.most === Number.POSITIVE_INFINITY ? one.least : one.most);
  const rest = (i: number, counts: readonly number[]): Expression =>
    emitter.rule(`${name} after ${i} items, ${counts.join(" and ")} counted`, () => {
      const parts: Expression[] = [];
      if (i >= least && contains.every((one, j) => counts[j]! >= one.least)) parts.push(EMPTY);
      if (i >= most) return among(parts);
      let ways: { nodes: Node[]; counts: number[] }[] = [{ nodes: [itemOf(each, i)], counts: [] }];
      for (const [j, one] of contains.entries()) {
        const count = counts[j]!;
        const counts_ = i >= one.from;
        const full = count >= limit(one);
        const never = one.most === Number.POSITIVE_INFINITY || !counts_ ? [] : [emitter.nodes.not(one.node)];
        ways = ways.flatMap((way) => [
          { nodes: [...way.nodes, ...never], counts: [...way.counts, count] },
          ...(counts_ && !full ? [{ nodes: [...way.nodes, one.node], counts: [...way.counts, count + 1] }] : []),
        ]);
      }
      for (const way of ways) {
        const node = emitter.nodes.all(way.nodes);
        if (emitter.isEmpty(node)) continue;
        parts.push(
          sequence(i === 0 ? EMPTY : COMMA, emitter.call(node), rest(Math.min(i + 1, Math.max(room, 1)), way.counts)),
        );
      }
      return among(parts);
    });
  return rest(
    0,
    contains.map(() => 0),
  );
}

/** Whether no value can be two of the items. */
function differAnyway(each: ArrayCase, { nodes, isEmpty }: Emitter): boolean {
  if (each.most > MOST_APART) return false;
  const items = Array.from({ length: each.most }, (_, i) => itemOf(each, i));
  return items.every((a, i) => items.slice(i + 1).every((b) => isEmpty(nodes.all([a, b]))));
}

/** Items of few values, of which each may come once. */
function differing(each: ArrayCase, emitter: Emitter, name: string): Expression {
  const { prefix, least, most, unique, contains } = each;
  const places = Array.from({ length: Math.min(most, prefix.length + 1) }, (_, i) =>
    valuesOf(itemOf(each, i), emitter),
  );
  const values = [...new Set(places.flatMap((found) => found ?? []))];
  if (places.includes(null) || values.length > MOST_UNIQUE || contains.length > 0)
    throw new CllmError(
      "usage",
      `the schema has uniqueItems at ${unique}, which decoding can keep to for items of at most ${MOST_UNIQUE} values, ` +
        "such as an enum; take it out, and check the answer for it",
    );
  const rest = (i: number, used: number): Expression =>
    emitter.rule(`${name} after ${i} items, without values ${used}`, () => {
      const parts: Expression[] = i >= least ? [EMPTY] : [];
      if (i < most)
        for (const value of places[Math.min(i, places.length - 1)]!) {
          const bit = 1 << values.indexOf(value);
          if ((used & bit) === 0) parts.push(sequence(i === 0 ? EMPTY : COMMA, text(value), rest(i + 1, used | bit)));
        }
      return among(parts);
    });
  return rest(0, 0);
}

/** All values of a node as they are written, or null where they are many. */
function valuesOf(node: Node, { cases }: Emitter): string[] | null {
  const found = new Set<string>();
  for (const each of cases(node)) {
    const values = each.refused === undefined ? finite(each) : null;
    if (values === null) return null;
    for (const value of values) found.add(written(value));
  }
  return [...found];
}

function finite(each: Case): readonly unknown[] | null {
  switch (each.type) {
    case "null":
      return [null];
    case "boolean":
      return each.values;
    case "string":
      return each.matching.length + each.unlike.length === 0 ? each.values : null;
    case "number": {
      const { values, low, high, whole } = each;
      if (values === null && !(whole === true && high.value - low.value <= MOST_UNIQUE)) return null;
      const all = values ?? Array.from({ length: MOST_UNIQUE + 2 }, (_, i) => Math.ceil(low.value) + i);
      return all.filter((value) => isNumberOf(each, value));
    }
    default:
      return null;
  }
}
