/**
 * Strings as grammars and as automata: lengths, patterns that match and that do not, fixed texts and excluded ones. Knows no schema.
 */
import {
  ANY_TEXT,
  type Automaton,
  automatonOf,
  difference,
  expressionOf,
  intersection,
  isNothing,
  lengths,
  matches,
  texts,
} from "../automaton.ts";
import { type Expression, NOTHING, repeat } from "../expression.ts";
import { parseRegex } from "../regex.ts";
import type { Work } from "../work.ts";
import type { Pattern, StringCase } from "./cases.ts";
import { CHARACTER, escaped, oneOf, quoted } from "./text.ts";

export class Strings {
  readonly #work: Work;
  readonly #patterns = new Map<string, Automaton>();

  constructor(work: Work) {
    this.#work = work;
  }

  /** `any`: how any string at all is written. */
  expression(each: StringCase, place: string, any: Expression): Expression {
    const { least, most, matching, unlike, values, except } = each;
    const unlimited = least === 0 && most === Number.POSITIVE_INFINITY;
    const [pattern, ...more] = matching;
    if (values !== null) {
      const fits = matching.length + unlike.length === 0 ? null : this.automaton({ ...each, values: null }, place);
      return oneOf(values.filter((value) => fits === null || matches(fits, value)));
    }
    if (unlike.length + except.length + more.length === 0) {
      if (pattern === undefined) return unlimited ? any : quoted(repeat(CHARACTER, least, most));
      if (unlimited) return quoted(escaped(parsed(pattern)));
    }
    const automaton = this.automaton(each, place);
    return isNothing(automaton) ? NOTHING : quoted(escaped(expressionOf(automaton)));
  }

  /** The texts of a case. */
  automaton({ least, most, matching, unlike, values, except }: StringCase, place: string): Automaton {
    const at = { work: this.#work, place };
    let found = values === null ? ANY_TEXT : texts(values);
    for (const pattern of matching) found = intersection(found, this.pattern(pattern), at);
    if (least > 0 || most < Number.POSITIVE_INFINITY) found = intersection(found, lengths(least, most, at), at);
    for (const pattern of unlike) found = difference(found, this.pattern(pattern), at);
    return except.length === 0 ? found : difference(found, texts(except), at);
  }

  pattern(pattern: Pattern): Automaton {
    const key = `${pattern.whole} ${pattern.source}`;
    let automaton = this.#patterns.get(key);
    if (automaton === undefined) {
      automaton = automatonOf(parsed(pattern), { work: this.#work, place: `the pattern at ${pattern.place}` });
      this.#patterns.set(key, automaton);
    }
    return automaton;
  }
}

function parsed({ source, whole, place }: Pattern): Expression {
  return parseRegex(source, { whole, what: `the pattern at ${place}` });
}
