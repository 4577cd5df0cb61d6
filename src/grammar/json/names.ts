/**
 * Names of properties: what the value of a property with some name must match, and automata over names. Knows no grammar.
 */
import { ANY_TEXT, type Automaton, difference, intersection, matches, NO_TEXT, texts, union } from "../automaton.ts";
import type { At, Work } from "../work.ts";
import type { Case, Layer, ObjectCase, Witness } from "./cases.ts";
import { NOTHING_MATCHES, type Node, type Nodes } from "./nodes.ts";
import type { Strings } from "./strings.ts";

export class Names {
  readonly #work: Work;
  readonly #nodes: Nodes;
  readonly #strings: Strings;
  readonly #casesOf: (node: Node) => readonly Case[];
  readonly #likes = new Map<number, Automaton>();

  constructor(work: Work, nodes: Nodes, strings: Strings, casesOf: (node: Node) => readonly Case[]) {
    this.#work = work;
    this.#nodes = nodes;
    this.#strings = strings;
    this.#casesOf = casesOf;
  }

  /** What the value of the property `name` must match. */
  valueOf({ layers, names }: ObjectCase, name: string): Node {
    this.#work.spend(1 + layers.length, name);
    if (!names.every((node) => matches(this.like(node), name))) return NOTHING_MATCHES;
    return this.#nodes.all(layers.flatMap((layer) => this.#inLayer(layer, name)));
  }

  /** Strings that match a node. */
  like(node: Node): Automaton {
    let found = this.#likes.get(node.id);
    if (found === undefined) {
      found = NO_TEXT;
      for (const each of this.#casesOf(node))
        if (each.type === "string")
          found = union(found, this.#strings.automaton(each, node.label), this.#at(node.label));
      this.#likes.set(node.id, found);
    }
    return found;
  }

  /** Names that a witness may have. */
  ofWitness({ names, place }: Witness): Automaton {
    if ("pattern" in names) return this.#strings.pattern(names.pattern);
    if ("unlike" in names) return difference(ANY_TEXT, this.like(names.unlike), this.#at(place));
    return this.besides(names.besides, place);
  }

  /** Names that a layer neither names nor has a pattern for. */
  besides({ named, patterns }: Layer, place: string): Automaton {
    const at = this.#at(place);
    let found = difference(ANY_TEXT, texts(named.keys()), at);
    for (const { pattern } of patterns) found = difference(found, this.#strings.pattern(pattern), at);
    return found;
  }

  /**
   * Names that are none of `known`, in classes: each with what the value of such a property must match, and whether a pattern or
   * a rule for all others says so.
   */
  classes({ layers, names }: ObjectCase, known: readonly string[], place: string): NameClass[] {
    const at = this.#at(place);
    let all: Automaton = difference(ANY_TEXT, texts(known), at);
    for (const node of names) all = intersection(all, this.like(node), at);
    let classes: { automaton: Automaton; matched: ReadonlySet<string> }[] = [{ automaton: all, matched: new Set() }];
    const patterns = new Map(layers.flatMap((layer) => layer.patterns.map(({ pattern }) => [pattern.source, pattern])));
    for (const [source, pattern] of patterns) {
      const own = this.#strings.pattern(pattern);
      classes = classes.flatMap(({ automaton, matched }) => [
        { automaton: intersection(automaton, own, at), matched: new Set([...matched, source]) },
        { automaton: difference(automaton, own, at), matched },
      ]);
      classes = classes.filter(({ automaton }) => automaton !== NO_TEXT);
    }
    return classes.map(({ automaton, matched }) => {
      const node = this.#nodes.all(
        layers.flatMap(({ patterns: own, other }) => {
          const found = own.filter(({ pattern }) => matched.has(pattern.source)).map((each) => each.node);
          return found.length > 0 || other === null ? found : [other];
        }),
      );
      return { automaton, node, said: matched.size > 0 };
    });
  }

  /** Names that are in both. */
  common(a: Automaton, b: Automaton, place: string): Automaton {
    return intersection(a, b, this.#at(place));
  }

  #at(place: string): At {
    return { work: this.#work, place };
  }

  #inLayer({ named, patterns, other }: Layer, name: string): Node[] {
    const own = named.get(name);
    const found = patterns
      .filter(({ pattern }) => matches(this.#strings.pattern(pattern), name))
      .map(({ node }) => node);
    if (own !== undefined) found.push(own);
    return found.length > 0 || other === null ? found : [other];
  }
}

export interface NameClass {
  readonly automaton: Automaton;
  readonly node: Node;
  /** A pattern names them. */
  readonly said: boolean;
}
