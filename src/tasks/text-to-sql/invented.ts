/**
 * Names of tables and columns for training that no one has seen, in the place of known ones. Without them a model learns
 * the few hundred names of training by heart, and writes the one that begins alike where it should copy. Draws no schema.
 */
import { COLUMNS } from "./columns.ts";
import type { Random } from "./random.ts";
import { RARE_CATEGORIES, RARE_NUMBERS } from "./rare-columns.ts";
import { splice } from "./splice.ts";
import { OTHER_NOUNS, TOPICS } from "./topics.ts";

/** How many of training's schemas have invented names, and how many of their names are. */
const SCHEMAS = 0.65;
const NAMES = 0.6;
/** How many invented names are two words. */
const COMPOUNDS = 0.15;

/** Words of SQL that a table cannot be called. */
const KEYWORDS = new Set(
  `abort action after alter always analyze attach before begin between cascade case cast check collate column commit
  conflict constraint create cross current database default deferred delete desc detach distinct drop each else escape
  except exclude exclusive exists explain fail filter first following foreign from full generated glob group having
  ignore immediate index indexed initially inner insert instead intersect into isnull join last left like limit match
  natural nothing notnull null offset order others outer over partition plan pragma preceding primary query raise range
  recursive references regexp reindex release rename replace restrict returning right rollback rows savepoint select
  table temp temporary then ties transaction trigger unbounded union unique update using vacuum values view virtual when
  where window with without`.split(/\s+/),
);

const inWords = (names: readonly { readonly name: string }[]): string[] => names.flatMap(({ name }) => name.split("_"));
const nouns = { train: [...TOPICS.train.flat(), ...OTHER_NOUNS.train], heldOut: TOPICS["held-out"].flat() };
const columns = [
  ...Object.values(COLUMNS).flatMap((of) => Object.values(of).flat()),
  ...RARE_CATEGORIES,
  ...RARE_NUMBERS,
];

const KNOWN = [...new Set([...inWords(nouns.train), ...inWords(columns.filter(({ reserved }) => !reserved))])];
/** Neither a word of training, which it would not be new beside, nor one that is kept for the held-out split. */
const REFUSED = new Set([...KNOWN, ...inWords(nouns.heldOut), ...inWords(columns), ...KEYWORDS]);

export type Rename = (name: string) => string;

/** Draws for one schema which of its names are invented; for the same name the same one. */
export function inventing(random: Random): Rename {
  if (!random.chance(SCHEMAS)) return (name) => name;
  const taken = new Set<string>();
  const word = (): string | null => {
    const made = splice(random, KNOWN, (candidate) => REFUSED.has(candidate) || taken.has(candidate));
    if (made !== null) taken.add(made);
    return made;
  };
  return (name) => {
    if (!random.chance(NAMES)) return name;
    const first = word();
    const second = random.chance(COMPOUNDS) ? word() : null;
    if (first === null) return name;
    return second === null ? first : `${first}_${second}`;
  };
}
