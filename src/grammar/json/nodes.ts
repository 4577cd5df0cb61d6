/**
 * What a value must match: a subschema, a fixed value, or several of these together. Nodes are made once each, so that what recurs
 * is found again by its number. Knows no keyword.
 */
import { CllmError } from "../../error.ts";
import type { Document, Located, Resource } from "./document.ts";
import type { SchemaObject } from "./keywords.ts";
import { written } from "./text.ts";

interface Named {
  readonly id: number;
  /** For people: the place in the schema. */
  readonly label: string;
}

export type Node = Named &
  (
    | { readonly kind: "anything" | "nothing" }
    /** `scope`: the resources on the way here, where references depend on them. */
    | {
        readonly kind: "schema";
        readonly at: Located & { readonly schema: SchemaObject };
        readonly scope: readonly Resource[];
      }
    | { readonly kind: "value"; readonly value: unknown }
    | { readonly kind: "all" | "any"; readonly of: readonly Node[] }
    | { readonly kind: "not"; readonly of: Node }
  );

export type ValueNode = Extract<Node, { kind: "value" }>;

const MOST = 50_000;

export const ANYTHING: Node = { id: 0, label: "any value", kind: "anything" };
export const NOTHING_MATCHES: Node = { id: 1, label: "no value", kind: "nothing" };

export class Nodes {
  readonly #document: Document;
  readonly #known = new Map<string, Node>();

  constructor(document: Document) {
    this.#document = document;
  }

  root(): Node {
    return this.located(this.#document.root, []);
  }

  /** A subschema, reached from resources `scope`. */
  located(at: Located, scope: readonly Resource[]): Node {
    const { schema } = at;
    if (schema === false) return NOTHING_MATCHES;
    if (schema === true || Object.keys(schema).length === 0) return ANYTHING;
    const entered = !this.#document.dynamic || scope.includes(at.resource) ? scope : [...scope, at.resource];
    const key = `${at.place}\n${entered.map(({ uri }) => uri).join(" ")}`;
    return this.#node(key, at.place, {
      kind: "schema",
      at: at as Located & { readonly schema: SchemaObject },
      scope: entered,
    });
  }

  value(value: unknown, label: string): ValueNode {
    return this.#node(`=${written(value)}`, label, { kind: "value", value }) as ValueNode;
  }

  all(nodes: readonly Node[]): Node {
    return this.#several("all", nodes, ANYTHING, NOTHING_MATCHES);
  }

  any(nodes: readonly Node[]): Node {
    return this.#several("any", nodes, NOTHING_MATCHES, ANYTHING);
  }

  not(node: Node): Node {
    if (node === ANYTHING) return NOTHING_MATCHES;
    if (node === NOTHING_MATCHES) return ANYTHING;
    if (node.kind === "not") return node.of;
    return this.#node(`!${node.id}`, `not ${node.label}`, { kind: "not", of: node });
  }

  /** `none`: what no part means; `absorbing`: the part that decides alone. */
  #several(kind: "all" | "any", nodes: readonly Node[], none: Node, absorbing: Node): Node {
    const parts = new Map<number, Node>();
    for (const node of nodes)
      for (const part of node.kind === kind ? (node as { of: readonly Node[] }).of : [node])
        if (part !== none) parts.set(part.id, part);
    if (parts.has(absorbing.id)) return absorbing;
    const of = [...parts.values()].sort((a, b) => a.id - b.id);
    if (of.length <= 1) return of[0] ?? none;
    const more = of.length > 2 ? ` and ${of.length - 1} more` : ` and ${of[1]!.label.slice(0, 200)}`;
    return this.#node(`${kind} ${of.map(({ id }) => id).join()}`, `${of[0]!.label.slice(0, 200)}${more}`, { kind, of });
  }

  #node<T extends object>(key: string, label: string, rest: T): Node {
    let node = this.#known.get(key);
    if (node === undefined) {
      if (this.#known.size > MOST)
        throw new CllmError(
          "usage",
          `the schema grows past ${MOST} parts at ${label.slice(0, 200)}; let it repeat less`,
        );
      node = { id: this.#known.size + 2, label, ...rest } as unknown as Node;
      this.#known.set(key, node);
    }
    return node;
  }
}
