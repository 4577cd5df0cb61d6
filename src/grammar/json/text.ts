/**
 * JSON texts as grammars: strings, numbers, keys and fixed values, written on one line with one space behind each comma and
 * colon (RFC 8259). Knows no schema.
 */
import { expressionOf, texts } from "../automaton.ts";
import {
  among,
  both,
  choice,
  complement,
  type Expression,
  optional,
  type Range,
  repeat,
  sequence,
  set,
  text,
} from "../expression.ts";

const FEW = 8;
const DIGIT: Expression = set([0x30, 0x39]);
const HEX: Expression = set([0x30, 0x39], [0x41, 0x46], [0x61, 0x66]);
/** Characters that a string holds as they are. */
const PLAIN: readonly Range[] = complement([
  [0, 0x1f],
  [0x22, 0x22],
  [0x5c, 0x5c],
  [0xd800, 0xdfff],
]);
const SHORT: readonly (readonly [number, string])[] = [
  [0x08, "\\b"],
  [0x09, "\\t"],
  [0x0a, "\\n"],
  [0x0c, "\\f"],
  [0x0d, "\\r"],
  [0x22, '\\"'],
  [0x5c, "\\\\"],
];

/** Any character of a string, escaped or not. */
export const CHARACTER: Expression = choice(
  set(...PLAIN),
  sequence(text("\\"), set(...[...'"\\/bfnrt'].map((each): Range => [each.charCodeAt(0), each.charCodeAt(0)]))),
  sequence(
    text("\\u"),
    choice(
      sequence(set([0x30, 0x39], [0x41, 0x43], [0x61, 0x63], [0x45, 0x46], [0x65, 0x66]), HEX, HEX, HEX),
      sequence(set([0x44, 0x44], [0x64, 0x64]), set([0x30, 0x37]), HEX, HEX),
      sequence(
        ...[set([0x44, 0x44], [0x64, 0x64]), set([0x38, 0x39], [0x41, 0x42], [0x61, 0x62]), HEX, HEX, text("\\u")],
        ...[set([0x44, 0x44], [0x64, 0x64]), set([0x43, 0x46], [0x63, 0x66]), HEX, HEX],
      ),
    ),
  ),
);

/** A language over characters, as a JSON string writes it. */
export function escaped(expression: Expression): Expression {
  switch (expression.kind) {
    case "set": {
      const { ranges } = expression;
      const holds = (point: number) => ranges.some(([low, high]) => low <= point && point <= high);
      const controls = Array.from({ length: 32 }, (_, i) => i).filter(
        (i) => holds(i) && !SHORT.some(([at]) => at === i),
      );
      return choice(
        set(...both(ranges, PLAIN)),
        ...SHORT.filter(([point]) => holds(point)).map(([, written]) => text(written)),
        ...controls.map((point) => text(`\\u${point.toString(16).padStart(4, "0")}`)),
      );
    }
    case "sequence":
    case "choice":
      return { kind: expression.kind, parts: expression.parts.map(escaped) };
    case "repeat":
      return { ...expression, of: escaped(expression.of) };
    case "automaton":
      return { ...expression, edges: expression.edges.map((edge) => ({ ...edge, over: escaped(edge.over) })) };
    default:
      return expression;
  }
}

export const quoted = (inside: Expression): Expression => sequence(text('"'), inside, text('"'));
export const listed = (first: Expression, more: Expression): Expression =>
  sequence(first, repeat(sequence(text(", "), more), 0));
export const pair = (key: Expression, value: Expression): Expression => sequence(key, text(": "), value);

/** One value, exactly. */
export function written(value: unknown): string {
  if (Array.isArray(value)) return `[${value.map(written).join(", ")}]`;
  if (typeof value === "object" && value !== null)
    return `{${Object.entries(value)
      .map(([key, each]) => `${JSON.stringify(key)}: ${written(each)}`)
      .join(", ")}}`;
  return JSON.stringify(value);
}

/** One of these values, which are numbers, strings or words. Many of them share how they begin, so that few ways are open at once. */
export function oneOf(values: readonly (string | number | boolean | null)[]): Expression {
  return values.length > FEW
    ? expressionOf(texts(values.map(written)))
    : among(values.map((each) => text(written(each))));
}

/** A key that is none of `names`. It is written without escapes, so that no two ways of writing are one key. */
export function otherKey(names: readonly string[]): Expression {
  const free = repeat(set(...PLAIN), 0);
  const rest = (prefix: readonly number[], known: readonly (readonly number[])[]): Expression => {
    const nexts = new Map<number, (readonly number[])[]>();
    for (const name of known) {
      const next = name[prefix.length];
      if (next !== undefined) nexts.set(next, [...(nexts.get(next) ?? []), name]);
    }
    const points = [...nexts.keys()];
    const parts: Expression[] = [
      sequence(set(...both(complement(points.map((point): Range => [point, point])), PLAIN)), free, text('"')),
    ];
    for (const [point, deeper] of nexts)
      if (both([[point, point]], PLAIN).length > 0)
        parts.push(sequence(set([point, point]), rest([...prefix, point], deeper)));
    if (!known.some((name) => name.length === prefix.length)) parts.push(text('"'));
    return among(parts);
  };
  const known = names.map((name) => Array.from(name, (each) => each.codePointAt(0)!));
  return sequence(text('"'), rest([], known));
}

export const MOST_DIGITS = 15; // so that every number is read back as it was written

/** Any whole number. */
export const INTEGER: Expression = sequence(
  choice(text("0"), sequence(optional(text("-")), set([0x31, 0x39]), repeat(DIGIT, 0, MOST_DIGITS - 1))),
);

/** Any number. */
export const NUMBER: Expression = sequence(
  optional(text("-")),
  choice(text("0"), sequence(set([0x31, 0x39]), repeat(DIGIT, 0, MOST_DIGITS - 1))),
  optional(sequence(text("."), repeat(DIGIT, 1, MOST_DIGITS))),
  optional(
    sequence(
      set([0x45, 0x45], [0x65, 0x65]),
      optional(set([0x2b, 0x2b], [0x2d, 0x2d])),
      set([0x31, 0x39]),
      optional(DIGIT),
    ),
  ),
);
