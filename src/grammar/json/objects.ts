/**
 * Objects of a case as grammars: named properties in their order, then others by the class of their name, then one that must be
 * there by its class. Knows no keyword.
 */
import { CllmError } from "../../error.ts";
import { expressionOf, isNothing, matches } from "../automaton.ts";
import { among, EMPTY, type Expression, NOTHING, repeat, sequence, text } from "../expression.ts";
import type { Emitter } from "./arrays.ts";
import { layer, type ObjectCase, type Witness } from "./cases.ts";
import type { Names } from "./names.ts";
import { escaped, otherKey, pair, quoted } from "./text.ts";

const MOST_PROPERTIES = 1000;
const MOST_COUNTED = 64; // properties of an object whose number is limited
const MOST_PATTERNS = 6;
const COMMA = text(", ");

export interface ObjectOptions {
  /** Write no properties that the schema does not name, unless it says what they are. */
  readonly strict: boolean;
  readonly names: Names;
}

export function objectExpression(each: ObjectCase, emitter: Emitter, options: ObjectOptions, name: string): Expression {
  const [witness, ...more] = each.some;
  if (witness === undefined) return withNames(each, null, emitter, options, name);
  // The property that must be there is one with a known name, or another one behind all others.
  const { names } = options;
  const known = knownNames(each);
  const language = names.ofWitness(witness);
  const parts = known
    .filter((each_) => matches(language, each_))
    .map((own, i) => {
      const own_ = layer({ named: new Map([[own, witness.node]]) });
      const chosen = {
        ...each,
        some: more,
        layers: [...each.layers, own_],
        required: new Set([...each.required, own]),
      };
      return emitter.isEmpty(names.valueOf(chosen, own))
        ? NOTHING
        : objectExpression(chosen, emitter, options, `${name} with property ${i}`);
    });
  const fits = names
    .classes(each, known, name)
    .some(({ automaton }) => !isNothing(names.common(automaton, language, name)));
  if (fits && more.length > 0)
    throw new CllmError(
      "usage",
      `the schema needs several properties by patterns of their names at ${witness.place}; name them`,
    );
  if (fits) parts.push(withNames({ ...each, some: [] }, witness, emitter, options, `${name} with another property`));
  return among(parts);
}

function knownNames({ layers, required }: ObjectCase): string[] {
  return [...new Set([...layers.flatMap(({ named }) => [...named.keys()]), ...required])];
}

function withNames(
  each: ObjectCase,
  witness: Witness | null,
  emitter: Emitter,
  { strict, names }: ObjectOptions,
  place: string,
): Expression {
  const { required, least, most } = each;
  const known = knownNames(each);
  const properties = known
    .map((name) => ({ name, node: names.valueOf(each, name) }))
    .filter(({ name, node }) => node.kind !== "nothing" || required.has(name));
  if (properties.some(({ node }) => node.kind === "nothing")) return NOTHING;
  const counted = least > required.size || most < Number.POSITIVE_INFINITY;
  const limit = counted ? MOST_COUNTED : MOST_PROPERTIES;
  if (properties.length > limit)
    throw new CllmError(
      "usage",
      `the schema has ${properties.length} properties at ${place}; at most ${limit} are taken`,
    );
  const closed = strict && each.layers.some(({ lists }) => lists) && each.layers.every(({ other }) => other === null);
  const [extra, last] = others(each, known, witness, closed, emitter, names, place);
  // A key may be written twice, which counts once: only a first property is sure to be one.
  if (least > Math.max(1, required.size) && extra !== null)
    throw new CllmError(
      "usage",
      `the schema has minProperties ${least} at ${place} without naming as many required properties; name them`,
    );
  const values = properties.map(({ name, node }) => pair(text(JSON.stringify(name)), emitter.call(node)));
  const end = last === null ? 0 : 1;
  /** What may follow where the properties before `i` are decided and `count` were written. */
  const rest = (i: number, count: number): Expression =>
    emitter.rule(
      `${place} after ${i} properties${count === 0 ? ", none written" : counted ? `, ${count} written` : ""}`,
      () => {
        const comma = count === 0 ? EMPTY : COMMA;
        const parts: Expression[] = [];
        if (i < values.length) {
          if (count < most) parts.push(sequence(comma, values[i]!, rest(i + 1, counted ? count + 1 : 1)));
          if (!required.has(properties[i]!.name)) parts.push(rest(i + 1, count));
          return among(parts);
        }
        const room = most - count - end;
        if (room < 0) return NOTHING;
        if (count + end >= least || !counted) parts.push(last === null ? EMPTY : sequence(comma, last));
        if (extra !== null && room > 0) {
          const some = sequence(comma, extra, repeat(sequence(COMMA, extra), 0, room - 1));
          parts.push(last === null ? some : sequence(some, COMMA, last));
        }
        return among(parts);
      },
    );
  return sequence(text("{"), rest(0, 0), text("}"));
}

/** Any property whose name is not known, and the one that must come last; null where there is none. */
function others(
  each: ObjectCase,
  known: readonly string[],
  witness: Witness | null,
  closed: boolean,
  emitter: Emitter,
  names: Names,
  place: string,
): [Expression | null, Expression | null] {
  const patterns = new Set(each.layers.flatMap((own) => own.patterns.map(({ pattern }) => pattern.source)));
  if (patterns.size > MOST_PATTERNS)
    throw new CllmError(
      "usage",
      `the schema has ${patterns.size} patternProperties at ${place}; at most ${MOST_PATTERNS} are taken`,
    );
  if (patterns.size === 0 && each.names.length === 0 && witness === null) {
    const node = emitter.nodes.all(each.layers.flatMap(({ other }) => (other === null ? [] : [other])));
    return [closed || emitter.isEmpty(node) ? null : pair(otherKey(known), emitter.call(node)), null];
  }
  const classes = names.classes(each, known, place);
  const key = (automaton: Parameters<typeof expressionOf>[0]) => quoted(escaped(expressionOf(automaton)));
  const free = classes
    .filter(({ automaton, node, said }) => (said || !closed) && !isNothing(automaton) && !emitter.isEmpty(node))
    .map(({ automaton, node }) => pair(key(automaton), emitter.call(node)));
  const extra = free.length === 0 ? null : among(free);
  if (witness === null) return [extra, null];
  const language = names.ofWitness(witness);
  const last = classes.flatMap(({ automaton, node }) => {
    const own = names.common(automaton, language, place);
    const value = emitter.nodes.all([node, witness.node]);
    return isNothing(own) || emitter.isEmpty(value) ? [] : [pair(key(own), emitter.call(value))];
  });
  return [extra, among(last)];
}
