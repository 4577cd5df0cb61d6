/**
 * Free text with marked parts that have a form, such as calls of tools: as soon as the text holds the beginning of a tag, its
 * inside and its end must follow. Beginnings are found as Aho and Corasick (1975) do. Knows no chat template.
 */
import { CllmError } from "../error.ts";
import {
  among,
  choice,
  EMPTY,
  type Expression,
  normal,
  type Range,
  rule,
  type Source,
  sequence,
  text,
} from "./expression.ts";
import { utf8 } from "./utf8.ts";

export interface Tag {
  /** What begins it, such as `<tool_call>`. */
  readonly begin: string;
  /** What must follow the beginning; may be empty. Tags may share a beginning and go on by this. */
  readonly head: string;
  readonly content: Source;
  /** What ends it; may be empty. */
  readonly end: string;
}

export interface TagsOptions {
  /** The text must hold a tag. */
  readonly required: boolean;
  /** The text ends behind the first tag. */
  readonly single: boolean;
  /** The text may hold nothing but tags and the white space between them. */
  readonly only: boolean;
  /** With `only`: what a text without tags is. Default: it is empty. */
  readonly otherwise?: Source | undefined;
}

/** Throws `usage` for a tag without a beginning, and for beginnings of which one holds another. */
export function tagsSource(tags: readonly Tag[], options: TagsOptions): Source {
  const { required, single, only, otherwise } = options;
  const rules = new Map<string, Expression>();
  const byBegin = new Map<string, Expression[]>();
  for (const [i, { begin, head, content, end }] of tags.entries()) {
    if (begin.length === 0) throw new CllmError("usage", `tag ${i} of the format has no beginning; give it one`);
    for (const [name, expression] of content.rules) rules.set(`tag ${i}: ${name}`, renamed(expression, `tag ${i}: `));
    const inside = sequence(text(head), rule(`tag ${i}: ${content.root}`), text(end));
    byBegin.set(begin, [...(byBegin.get(begin) ?? []), inside]);
  }
  const begins = [...byBegin.keys()];
  for (const a of begins)
    for (const b of begins)
      if (a !== b && a.includes(b))
        throw new CllmError(
          "usage",
          `the format's tags begin with ${JSON.stringify(a)} and ${JSON.stringify(b)}, which it holds; let them differ`,
        );
  const inside = (begin: string): Expression => among(byBegin.get(begin) as Expression[]);
  if (only)
    return orElse(
      onlyTags(rules, begins, inside, { required: required || otherwise !== undefined, single }),
      otherwise,
    );

  const automaton = new Automaton(begins);
  for (const seen of required ? [false, true] : [true]) {
    for (const state of automaton.states.keys()) {
      const parts: Expression[] = seen ? [EMPTY] : [];
      for (const [target, ranges] of automaton.moves(state)) {
        const begin = automaton.completed(target);
        const next: Expression =
          begin === null ? rule(nameOf(target, seen)) : sequence(inside(begin), single ? EMPTY : rule(nameOf(0, true)));
        parts.push(sequence({ kind: "byte", ranges }, next));
      }
      rules.set(nameOf(state, seen), among(parts));
    }
  }
  if (!rules.has(nameOf(0, true))) rules.set(nameOf(0, true), EMPTY);
  return { root: nameOf(0, !required), rules };
}

const nameOf = (state: number, seen: boolean): string => `text ${state}${seen ? "" : " before a tag"}`;

function onlyTags(
  rules: Map<string, Expression>,
  begins: readonly string[],
  inside: (begin: string) => Expression,
  { required, single }: Pick<TagsOptions, "required" | "single">,
): Source {
  const tag = among(begins.map((begin) => sequence(text(begin), inside(begin))));
  rules.set("more tags", choice(EMPTY, sequence(choice(text("\n"), EMPTY), rule("a tag"), rule("more tags"))));
  rules.set("a tag", tag);
  const some = single ? rule("a tag") : sequence(rule("a tag"), rule("more tags"));
  rules.set("tags", required ? some : choice(EMPTY, some));
  return { root: "tags", rules };
}

/** Texts of the one or the other. */
function orElse(tags: Source, otherwise: Source | undefined): Source {
  if (otherwise === undefined) return tags;
  const rules = new Map(tags.rules);
  for (const [name, expression] of otherwise.rules) rules.set(`otherwise: ${name}`, renamed(expression, "otherwise: "));
  rules.set("either", choice(rule(tags.root), rule(`otherwise: ${otherwise.root}`)));
  return { root: "either", rules };
}

function renamed(expression: Expression, prefix: string): Expression {
  switch (expression.kind) {
    case "rule":
      return rule(prefix + expression.name);
    case "sequence":
    case "choice":
      return { kind: expression.kind, parts: expression.parts.map((part) => renamed(part, prefix)) };
    case "repeat":
      return { ...expression, of: renamed(expression.of, prefix) };
    default:
      return expression;
  }
}

/** How much of a beginning the text ends with: states are the beginnings' prefixes. */
class Automaton {
  readonly states: readonly string[];
  readonly #numbers: ReadonlyMap<string, number>;
  readonly #begins: ReadonlyMap<string, string>; // as bytes, to the beginning
  readonly #used: readonly number[];

  constructor(begins: readonly string[]) {
    const written = begins.map((begin) => [bytesOf(begin), begin] as const);
    const prefixes = new Set([""]);
    for (const [bytes] of written) for (let i = 1; i <= bytes.length; i++) prefixes.add(bytes.slice(0, i));
    this.states = [...prefixes];
    this.#numbers = new Map(this.states.map((prefix, i) => [prefix, i]));
    this.#begins = new Map(written);
    this.#used = [...new Set(written.flatMap(([bytes]) => Array.from(bytes, (each) => each.charCodeAt(0))))];
  }

  /** The beginning that is whole in a state. */
  completed(state: number): string | null {
    return this.#begins.get(this.states[state]!) ?? null;
  }

  /** Bytes by the state that they lead to. A state in which a beginning is whole leads nowhere. */
  moves(state: number): Map<number, Range[]> {
    const moves = new Map<number, Range[]>();
    if (this.completed(state) !== null) return moves;
    const add = (target: number, low: number, high: number) =>
      moves.set(target, normal([...(moves.get(target) ?? []), [low, high]]));
    const sorted = this.#used.toSorted((a, b) => a - b);
    let from = 0;
    for (const byte of sorted) {
      if (byte > from) add(0, from, byte - 1);
      let suffix = this.states[state]! + String.fromCharCode(byte);
      while (!this.#numbers.has(suffix)) suffix = suffix.slice(1);
      add(this.#numbers.get(suffix)!, byte, byte);
      from = byte + 1;
    }
    add(0, from, 0xf4);
    return moves;
  }
}

function bytesOf(literal: string): string {
  return Array.from(utf8(literal), (byte) => String.fromCharCode(byte)).join("");
}
