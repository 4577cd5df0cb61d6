/**
 * What a kind of question is: slots to draw, the query, and ways to ask for it. `{slot}` is the slot as it is written
 * on that side; in questions `{slot+}` is its plural, `{slot~}` has an article and `{slot!}`
 * is its verb; `[one|other]` is either.
 */

export interface QuestionKind {
  readonly name: string;
  /** How often it is drawn, against the others. */
  readonly weight: number;
  /** See `drawSlots`. */
  readonly slots: string;
  readonly sql: string;
  readonly questions: readonly string[];
}

/** A request for something: the imperative that most questions start with. */
export const SHOW = "[List|Show|Give me|Find|Return|Display]";

/** The two tables of a link; the child comes first, everywhere. */
export const JOINED = "{c} JOIN {p} ON {c}.{f} = {p}.id";

export function kind(
  name: string,
  slots: string,
  sql: string,
  questions: readonly string[],
  { weight = 1 }: { weight?: number } = {},
): QuestionKind {
  return { name, weight, slots, sql, questions };
}
