/**
 * As much English as questions need: names of tables and columns as words, their plurals, and templates with
 * alternatives. Knows no SQL.
 */
import type { Random } from "./random.ts";

/** `release_year` as it is spoken. */
export function spoken(name: string): string {
  return name.replaceAll("_", " ");
}

/** The plural of a noun, by the end of its last word; one that looks like a plural stays. */
export function plural(words: string): string {
  if (/[^aeiou]y$/.test(words)) return `${words.slice(0, -1)}ies`;
  if (/thesis$/.test(words)) return `${words.slice(0, -2)}es`;
  if (/([su]s|lens|x|z|ch|sh)$/.test(words)) return `${words}es`;
  return words.endsWith("s") ? words : `${words}s`;
}

/** "are" for what looks like a plural. */
export function verb(words: string): "is" | "are" {
  return /[^su]s$/.test(words) ? "are" : "is";
}

/** "a" or "an" before a word, by its first letter; "university" and its like sound otherwise. */
export function withArticle(words: string): string {
  return /^[aeio]|^u(?!ni)/.test(words) ? `an ${words}` : `a ${words}`;
}

/** Replaces every `[one|other]`, innermost first, by one of its alternatives. */
export function chooseAlternatives(random: Random, template: string): string {
  let text = template;
  for (;;) {
    const next = text.replace(/\[([^[\]]*)\]/, (_, inside: string) => random.pick(inside.split("|")));
    if (next === text) return text;
    text = next;
  }
}

/** Replaces every `{blank}`. */
export function fillBlanks(template: string, blank: (name: string) => string): string {
  return template.replace(/\{([^{}]+)\}/g, (_, name: string) => blank(name));
}
