/**
 * Schemas as cases: every keyword that applies schemas to the same value is resolved, `not` by what the negation of each keyword
 * means, `oneOf` by branches of which the others do not hold, `unevaluated` by what each case has looked at. Knows no grammar.
 */
import { CllmError } from "../../error.ts";
import type { Work } from "../work.ts";
import {
  ANY_BOOLEAN,
  ANY_NULL,
  ANY_NUMBER,
  ANY_OBJECT,
  ANY_STRING,
  anyArray,
  bothOf,
  type Case,
  distinct,
  itemOf,
  layer,
  type ObjectCase,
} from "./cases.ts";
import type { Document, Located } from "./document.ts";
import { checkKeywords, type Schema, type SchemaObject } from "./keywords.ts";
import type { Names } from "./names.ts";
import { ANYTHING, type Node, type Nodes } from "./nodes.ts";
import { caseOf, plainCases, plainNegations, type Reader } from "./plain.ts";

const MAX_DEPTH = 100;
const COST_OF_PAIR = 10;
type SchemaNode = Extract<Node, { kind: "schema" }>;

const EVERYTHING: readonly Case[] = [
  ...[ANY_NULL, ANY_BOOLEAN, ANY_NUMBER, ANY_STRING],
  ...[anyArray(ANYTHING), ANY_OBJECT],
];

export class Normal {
  readonly #document: Document;
  readonly #nodes: Nodes;
  readonly #names: Names;
  readonly #known = new Map<string, readonly Case[]>();
  readonly #open = new Set<string>();
  readonly #empty = new Map<number, boolean>();
  #depth = 0;
  readonly #work: Work;

  constructor(document: Document, nodes: Nodes, names: Names, work: Work) {
    this.#work = work;
    this.#document = document;
    this.#nodes = nodes;
    this.#names = names;
  }

  /**
   * The cases of a value that matches, or that does not. `track`: cases say what they have looked at, which takes more of them.
   */
  cases(node: Node, holds = true, track = false): readonly Case[] {
    switch (node.kind) {
      case "anything":
        return holds ? EVERYTHING : [];
      case "nothing":
        return holds ? [] : EVERYTHING;
      case "not":
        return this.cases(node.of, !holds);
      case "value":
        return caseOf(node, holds, this.#nodes, EVERYTHING);
      default:
        return this.#remembered(`${node.id} ${holds} ${track}`, node, () => {
          if (node.kind !== "schema") {
            const parts = node.of.map((part) => this.cases(part, holds, track));
            return (node.kind === "all") === holds ? this.#all(parts, node) : distinct(parts.flat());
          }
          checkKeywords(node.at.schema, node.at.place);
          return holds ? this.#positive(node, track) : this.#negative(node);
        });
    }
  }

  /** Whether surely no value matches. */
  isEmpty(node: Node): boolean {
    if (node.kind === "nothing") return true;
    if (node.kind === "anything") return false;
    let empty = this.#empty.get(node.id);
    if (empty === undefined) {
      this.#empty.set(node.id, false); // while it is looked at
      try {
        empty = this.cases(node).length === 0;
      } catch (error) {
        if (!(error instanceof CllmError)) throw error;
        empty = false; // what is wrong is said where it matters
      }
      this.#empty.set(node.id, empty);
    }
    return empty;
  }

  #remembered(key: string, node: Node, find: () => readonly Case[]): readonly Case[] {
    const known = this.#known.get(key);
    if (known !== undefined) return known;
    const place = node.label.slice(0, 200);
    if (this.#open.has(key)) throw new CllmError("usage", `the schema at ${place} is made of itself without end`);
    if (this.#depth >= MAX_DEPTH)
      throw new CllmError("usage", `the schema is nested more than ${MAX_DEPTH} deep at ${place}`);
    this.#open.add(key);
    this.#depth++;
    try {
      const found = find();
      this.#known.set(key, found);
      return found;
    } finally {
      this.#open.delete(key);
      this.#depth--;
    }
  }

  #positive(node: SchemaNode, track: boolean): readonly Case[] {
    const { unevaluatedProperties, unevaluatedItems } = node.at.schema;
    const closes = unevaluatedProperties !== undefined || unevaluatedItems !== undefined;
    const cases = this.#applied(node, track || closes);
    if (!closes) return cases;
    return cases.flatMap((each) => {
      const rest = this.#unevaluated(node, each);
      const made = rest === null ? each : bothOf(each, rest.holds, (nodes) => this.#nodes.all(nodes));
      return made !== null && this.#isAlive(made) ? [made] : [];
    });
  }

  /** What holds of properties or items that a case has not looked at, and what fails; null where it looked at all. */
  #unevaluated({ at, scope }: SchemaNode, each: Case): { holds: Case; fails: Case } | null {
    const child = (key: string) => this.#child(at, scope, key);
    if (each.type === "object" && "unevaluatedProperties" in at.schema) {
      const { all, names, patterns } = each.seen;
      const rest = child("unevaluatedProperties");
      const made = layer({
        named: new Map([...names].map((name) => [name, ANYTHING])),
        patterns: patterns.map((pattern) => ({ pattern, node: ANYTHING })),
        other: rest,
      });
      const place = `${at.place}/unevaluatedProperties`;
      return {
        holds: { ...ANY_OBJECT, layers: all ? [] : [made], seen: { ...each.seen, all: true } },
        fails: {
          ...ANY_OBJECT,
          some: [{ names: { besides: made }, node: this.#nodes.not(all ? ANYTHING : rest), place }],
        },
      };
    }
    if (each.type === "array" && "unevaluatedItems" in at.schema) {
      const { first, matching } = each.seen;
      if (first === Number.POSITIVE_INFINITY) return null;
      const items = this.#nodes.any([...matching, child("unevaluatedItems")]);
      const any = anyArray(ANYTHING);
      const bad = { node: this.#nodes.not(items), from: first, least: 1, most: Number.POSITIVE_INFINITY };
      return {
        holds: {
          ...any,
          prefix: Array.from({ length: first }, () => ANYTHING),
          items,
          most: items.kind === "nothing" ? first : Number.POSITIVE_INFINITY,
          seen: { first: Number.POSITIVE_INFINITY, matching: [] },
        },
        fails: { ...any, contains: [bad], least: first + 1 },
      };
    }
    return null;
  }

  /** All keywords but those of what is left over. */
  #applied(node: SchemaNode, track: boolean): readonly Case[] {
    const { at, scope } = node;
    const { schema } = at;
    let cases = plainCases(schema, this.#reader(node), track, EVERYTHING);
    const keep = (more: readonly Case[]) => {
      cases = this.#both(cases, more, node);
    };
    const holds = (child: Node) => this.cases(child, true, track);
    for (const key of ["const", "enum"] as const) if (key in schema) keep(this.#values(node, key, true));
    for (const key of ["$ref", "$dynamicRef"] as const) if (key in schema) keep(holds(this.#target(node, key)));
    for (const part of this.#list(at, scope, "allOf")) keep(holds(part));
    if ("anyOf" in schema) keep(this.#anyOf(this.#list(at, scope, "anyOf"), track, node));
    if ("oneOf" in schema) cases = this.#oneOf(cases, this.#list(at, scope, "oneOf"), track, node);
    if ("not" in schema) keep(this.cases(this.#child(at, scope, "not"), false));
    if ("if" in schema && (track || "then" in schema || "else" in schema)) keep(this.#condition(node, true, track));
    for (const each of this.#dependents(node, track)) keep(each.holds());
    return cases.filter((each) => this.#isAlive(each));
  }

  #negative(node: SchemaNode): readonly Case[] {
    const { at, scope } = node;
    const { schema } = at;
    const found: Case[] = [...plainNegations(schema, this.#reader(node), EVERYTHING)];
    const fails = (child: Node) => this.cases(child, false);
    const add = (cases: readonly Case[]) => {
      for (const each of cases) found.push(each);
    };
    for (const key of ["const", "enum"] as const) if (key in schema) add(this.#values(node, key, false));
    for (const key of ["$ref", "$dynamicRef"] as const) if (key in schema) add(fails(this.#target(node, key)));
    for (const part of this.#list(at, scope, "allOf")) add(fails(part));
    if ("anyOf" in schema) add(this.#all(this.#list(at, scope, "anyOf").map(fails), node));
    if ("oneOf" in schema) {
      const parts = this.#list(at, scope, "oneOf");
      add(this.#all(parts.map(fails), node));
      for (const [i, a] of parts.entries())
        for (const b of parts.slice(i + 1)) add(this.#both(this.cases(a), this.cases(b), node));
    }
    if ("not" in schema) add(this.cases(this.#child(at, scope, "not")));
    if ("if" in schema && ("then" in schema || "else" in schema)) add(this.#condition(node, false, false));
    for (const each of this.#dependents(node, false)) add(each.fails());
    if ("unevaluatedProperties" in schema || "unevaluatedItems" in schema)
      for (const each of this.#applied(node, true)) {
        const rest = this.#unevaluated(node, each);
        if (rest !== null) add(this.#both([each], [rest.fails], node));
      }
    return distinct(found);
  }

  #values({ at }: SchemaNode, key: "const" | "enum", holds: boolean): readonly Case[] {
    const values = key === "const" ? [at.schema[key]] : (at.schema[key] as unknown[]);
    const nodes = values.map((value, i) =>
      this.#nodes.value(value, key === "const" ? at.place : `${at.place}/enum/${i}`),
    );
    const lists = nodes.map((each) => caseOf(each, holds, this.#nodes, EVERYTHING));
    return holds ? gathered(lists.flat()) : this.#all(lists, { label: at.place });
  }

  /** With `track`, every set of branches that hold is a case of its own. */
  #anyOf(parts: readonly Node[], track: boolean, place: Named): readonly Case[] {
    if (!track) return distinct(parts.flatMap((part) => this.cases(part)));
    let some: readonly Case[] = [];
    let none: readonly Case[] = EVERYTHING;
    for (const part of parts) {
      const [yes, no] = [this.cases(part, true, true), this.cases(part, false)];
      some = distinct([
        ...this.#both(some, yes, place),
        ...this.#both(some, no, place),
        ...this.#both(none, yes, place),
      ]);
      none = this.#both(none, no, place);
    }
    return some;
  }

  #oneOf(base: readonly Case[], parts: readonly Node[], track: boolean, place: Named): readonly Case[] {
    const branches = parts.map((part) => this.#both(base, this.cases(part, true, track), place));
    return distinct(
      branches.flatMap((branch, i) => {
        let only = branch;
        for (const [j, other] of branches.entries())
          if (i !== j && this.#both(only, other, place).length > 0)
            only = this.#both(only, this.cases(parts[j]!, false), place);
        return only;
      }),
    );
  }

  /** Then where the condition holds, else where it does not. */
  #condition({ at, scope, label }: SchemaNode, holds: boolean, track: boolean): readonly Case[] {
    const part = (key: string) => (key in at.schema ? this.#child(at, scope, key) : ANYTHING);
    const [condition, then, otherwise] = [part("if"), part("then"), part("else")];
    return distinct([
      ...this.#both(this.cases(condition, true, track), this.cases(then, holds, track), { label }),
      ...this.#both(this.cases(condition, false), this.cases(otherwise, holds, track), { label }),
    ]);
  }

  /** What must hold where a property is there: without it, with it, and where it fails. */
  #dependents(node: SchemaNode, track: boolean): { holds(): readonly Case[]; fails(): readonly Case[] }[] {
    const { at, scope } = node;
    const nothing = this.#nodes.not(ANYTHING);
    const without = (name: string): ObjectCase => ({
      ...ANY_OBJECT,
      layers: [layer({ named: new Map([[name, nothing]]) })],
    });
    const having = (...names: readonly string[]): ObjectCase => ({ ...ANY_OBJECT, required: new Set(names) });
    const absent = (name: string) => EVERYTHING.map((each) => (each.type === "object" ? without(name) : each));
    const names = Object.entries((at.schema["dependentRequired"] ?? {}) as Record<string, readonly string[]>);
    const schemas = Object.keys((at.schema["dependentSchemas"] ?? {}) as SchemaObject);
    return [
      ...names.map(([name, others]) => ({
        holds: () => [...absent(name), having(name, ...others)],
        fails: () => others.flatMap((other) => bothOf(having(name), without(other), () => nothing) ?? []),
      })),
      ...schemas.map((name) => {
        const then = this.#child(at, scope, "dependentSchemas", name);
        return {
          holds: () => [...absent(name), ...this.#both([having(name)], this.cases(then, true, track), node)],
          fails: () => this.#both([having(name)], this.cases(then, false), node),
        };
      }),
    ];
  }

  #target({ at, scope }: SchemaNode, key: "$ref" | "$dynamicRef"): Node {
    const ref = at.schema[key] as string;
    const found = key === "$ref" ? this.#document.target(at, key, ref) : this.#document.dynamicTarget(at, ref, scope);
    return this.#nodes.located(found, scope);
  }

  #child(at: Located, scope: SchemaNode["scope"], ...path: readonly (string | number)[]): Node {
    return this.#nodes.located(this.#document.child(at, ...path), scope);
  }

  #list(at: SchemaNode["at"], scope: SchemaNode["scope"], key: string): readonly Node[] {
    return ((at.schema[key] ?? []) as readonly Schema[]).map((_, i) => this.#child(at, scope, key, i));
  }

  #reader({ at, scope }: SchemaNode): Reader {
    return { place: at.place, child: (...path) => this.#child(at, scope, ...path), nodes: this.#nodes };
  }

  #all(lists: readonly (readonly Case[])[], place: Named): readonly Case[] {
    return lists.reduce((one, other) => this.#both(one, other, place), EVERYTHING);
  }

  #both(a: readonly Case[], b: readonly Case[], { label }: Named): readonly Case[] {
    if (a === EVERYTHING) return b;
    if (b === EVERYTHING) return a;
    const found: Case[] = [];
    for (const x of a)
      for (const y of b) {
        if (x.type !== y.type) continue;
        this.#work.spend(COST_OF_PAIR + sizeOf(x) + sizeOf(y), label);
        const made = x === y ? x : bothOf(x, y, (nodes) => this.#nodes.all(nodes));
        if (made !== null && this.#isAlive(made)) found.push(made);
      }
    return found.length > 8 ? distinct(found) : found;
  }

  /** Whether a case may have a value, as far as its required parts tell. */
  #isAlive(each: Case): boolean {
    if (each.type === "object") {
      for (const name of each.required) {
        const node = this.#names.valueOf(each, name);
        if (node.kind === "all" || node.kind === "nothing" ? this.isEmpty(node) : false) return false;
      }
    } else if (each.type === "array") {
      for (let i = 0; i < Math.min(each.least, each.prefix.length + 1); i++) {
        const node = itemOf(each, i);
        if (node.kind === "all" && this.isEmpty(node)) return false;
      }
    }
    return true;
  }
}

/** How much a case has that must be joined. */
function sizeOf(each: Case): number {
  if (each.type === "object") return each.layers.length + each.required.size + each.some.length + each.seen.names.size;
  if (each.type === "array") return each.prefix.length + each.contains.length;
  return each.type === "string" || each.type === "number" ? (each.values?.length ?? 0) + each.except.length : 0;
}

interface Named {
  readonly label: string;
}

/** Strings, numbers and truth values of a list as one case each. */
function gathered(cases: readonly Case[]): readonly Case[] {
  const rest: Case[] = [];
  const texts = new Set<string>();
  const numbers = new Set<number>();
  const truths = new Set<boolean>();
  for (const each of cases) {
    if (each.type === "string" && each.values !== null) for (const value of each.values) texts.add(value);
    else if (each.type === "number" && each.values !== null) for (const value of each.values) numbers.add(value);
    else if (each.type === "boolean") for (const value of each.values) truths.add(value);
    else rest.push(each);
  }
  if (texts.size > 0) rest.push({ ...ANY_STRING, values: [...texts] });
  if (numbers.size > 0) rest.push({ ...ANY_NUMBER, values: [...numbers] });
  if (truths.size > 0) rest.push({ ...ANY_BOOLEAN, values: [...truths] });
  return distinct(rest);
}
