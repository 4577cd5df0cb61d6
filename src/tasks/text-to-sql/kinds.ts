/**
 * What a kind of question is: blanks to draw, the query, and ways to ask for it. `{blank}` is the blank as it is written
 * on that side; in questions `{blank+}` is its plural, `{blank~}` has an article and `{blank!}`
 * is its verb; `[one|other]` is either.
 */

export interface QuestionKind {
  readonly name: string;
  /** How often it is drawn, against the others. */
  readonly weight: number;
  /** See `drawBlanks`. */
  readonly blanks: string;
  readonly sql: string;
  readonly questions: readonly string[];
}

/** A request for something: the imperative that most questions start with. */
export const SHOW = "[List|Show|Give me|Find|Return|Display]";

/** The two tables of a link; the child comes first, everywhere. */
export const JOINED = "{c} JOIN {p} ON {c}.{f} = {p}.id";

export function kind(
  name: string,
  blanks: string,
  sql: string,
  questions: readonly string[],
  { weight = 1 }: { weight?: number } = {},
): QuestionKind {
  return { name, weight, blanks, sql, questions };
}
