/**
 * JSON Schema (draft 2020-12) as a grammar of the texts that validate: on one line, with properties in the schema's order. Every
 * subschema is a rule named by its place, so that errors name it too. Knows no tokens.
 */
import { CllmError } from "../../error.ts";
import { among, choice, type Expression, NOTHING, repeat, rule, type Source, sequence, text } from "../expression.ts";
import type { Work } from "../work.ts";
import { arrayExpression, type Emitter } from "./arrays.ts";
import type { Case } from "./cases.ts";
import { Document } from "./document.ts";
import { isSchema, type Schema } from "./keywords.ts";
import { Names } from "./names.ts";
import { ANYTHING, type Node, Nodes } from "./nodes.ts";
import { Normal } from "./normal.ts";
import { numberExpression } from "./numbers.ts";
import { objectExpression } from "./objects.ts";
import { Strings } from "./strings.ts";
import { CHARACTER, listed, NUMBER, pair, quoted } from "./text.ts";

export interface SchemaOptions {
  /** Write no properties that the schema does not name, unless it says what they are. */
  readonly strict: boolean;
}

const MAX_BYTES = 1_000_000;
const MAX_DEPTH = 100;
const MOST_RULES = 20_000;
const STRING = "string";
const ANY = "any value";

/** Throws `usage` with the place of what is no schema, is not supported, or cannot be kept to. */
export function schemaSource(schema: unknown, { strict }: SchemaOptions, work: Work): Source {
  if (!isSchema(schema))
    throw new CllmError("usage", "the schema is no JSON Schema: it must be an object, true or false");
  let json: string;
  try {
    json = JSON.stringify(schema);
  } catch (error) {
    throw new CllmError("usage", "the schema holds itself or is nested too deeply; use $ref for what repeats", {
      cause: error,
    });
  }
  if (json.length > MAX_BYTES)
    throw new CllmError("usage", `the schema has ${json.length} characters; at most ${MAX_BYTES} are read`);
  return new Writer(JSON.parse(json) as Schema, strict, work).write();
}

class Writer {
  readonly #strict: boolean;
  readonly #nodes: Nodes;
  readonly #normal: Normal;
  readonly #names: Names;
  readonly #work: Work;
  readonly #strings: Strings;
  readonly #rules = new Map<string, Expression>();
  readonly #named = new Map<number, string>();
  readonly #emitter: Emitter;
  #depth = 0;

  constructor(schema: Schema, strict: boolean, work: Work) {
    this.#work = work;
    this.#strings = new Strings(work);
    this.#strict = strict;
    const document = new Document(schema);
    this.#nodes = new Nodes(document);
    this.#names = new Names(work, this.#nodes, this.#strings, (node) => this.#normal.cases(node));
    this.#normal = new Normal(document, this.#nodes, this.#names, work);
    this.#emitter = {
      nodes: this.#nodes,
      call: (node) => this.#call(node),
      rule: (name, make) => this.#rule(name, make),
      cases: (node) => this.#normal.cases(node),
      isEmpty: (node) => this.#normal.isEmpty(node),
    };
  }

  write(): Source {
    this.#rules.set(STRING, quoted(repeat(CHARACTER, 0)));
    this.#rules.set(
      ANY,
      choice(
        ...["null", "true", "false"].map(text),
        NUMBER,
        rule(STRING),
        sequence(text("["), choice(listed(rule(ANY), rule(ANY)), text("")), text("]")),
        sequence(
          text("{"),
          choice(listed(pair(rule(STRING), rule(ANY)), pair(rule(STRING), rule(ANY))), text("")),
          text("}"),
        ),
      ),
    );
    return { root: this.#nameOf(this.#nodes.root()), rules: this.#rules };
  }

  #call(node: Node): Expression {
    return rule(this.#nameOf(node));
  }

  /** The rule of a node, made if it is new. */
  #nameOf(node: Node): string {
    if (node === ANYTHING) return ANY;
    let name = this.#named.get(node.id);
    if (name === undefined) {
      name = this.#rules.has(node.label) ? `${node.label} (${node.id})` : node.label;
      this.#named.set(node.id, name);
      const own = name;
      if (++this.#depth > MAX_DEPTH)
        throw new CllmError("usage", `the schema is nested more than ${MAX_DEPTH} deep at ${own.slice(0, 200)}`);
      this.#rule(name, () => {
        const cases = this.#normal.cases(node);
        return among(cases.map((each, i) => this.#case(each, cases.length === 1 ? own : `${own}, case ${i}`)));
      });
      this.#depth--;
    }
    return name;
  }

  #rule(name: string, make: () => Expression): Expression {
    if (!this.#rules.has(name)) {
      const place = name.slice(0, 200);
      if (this.#rules.size >= MOST_RULES)
        throw new CllmError("usage", `the schema grows past ${MOST_RULES} parts at ${place}; let it repeat less`);
      this.#work.spend(5, name);
      this.#rules.set(name, NOTHING); // until its inside is known, which may call it
      this.#rules.set(name, make());
    }
    return rule(name);
  }

  #case(each: Case, name: string): Expression {
    if (each.refused !== undefined) throw new CllmError("usage", each.refused);
    switch (each.type) {
      case "null":
        return text("null");
      case "boolean":
        return among(each.values.map((value) => text(String(value))));
      case "string":
        return this.#strings.expression(each, name, rule(STRING));
      case "number":
        return numberExpression(each, { work: this.#work, place: name });
      case "array":
        return arrayExpression(each, this.#emitter, name);
      case "object":
        return objectExpression(each, this.#emitter, { strict: this.#strict, names: this.#names }, name);
    }
  }
}
