/**
 * Where a model's own answers leave the data's, and what a better one writes from there: learned from, they show the model
 * its own mistakes as settled text, and a way on behind them (DAgger: Ross, Gordon and Bagnell, AISTATS 2011, section 3). A model that
 * has only learned to go on behind wrong guesses, and never behind wrong text, takes one for the other and writes in circles.
 * Knows rows of prompts and answers, and no task.
 */
import { GPT2_WORDS } from "../src/text/pre-tokenizers.ts";
import type { Prompt, Row } from "./rows.ts";

/** An answer of so many words more than the data's has lost its way, and is left again so many words behind the first wrong one. */
const LOST = 20;
const LATER = [4, 8, 16];

/**
 * Beginnings of the model's answer from which it should find its way: up to its first word that is not the data's and, of an
 * answer that will not end, further on as well. Empty where it only stops early or is the data's own. They end where tokenizers of
 * this kind part words, so that they are tokenized as they were written.
 */
export function openings(own: string, gold: string): string[] {
  const [written, wanted] = [words(own), words(gold)];
  const first = written.findIndex((word, i) => word !== wanted[i]);
  if (first < 0) return [];
  const lost = written.length > wanted.length + LOST;
  const ends = [0, ...(lost ? LATER : [])].map((later) => first + 1 + later);
  return ends.filter((end) => end <= written.length).map((end) => written.slice(0, end).join(""));
}

const words = (text: string): string[] => text.match(new RegExp(GPT2_WORDS, "gu")) ?? [];

/** What to collect the better model's answers for: what it should find the way from stands in the prompt. */
export function astrayPrompts(rows: readonly Row[], own: ReadonlyMap<string, string>): Prompt[] {
  return rows.flatMap(({ id, prompt, answer }) =>
    openings(own.get(id) ?? answer, answer).map((opening, i) => ({ id: `${id}#${i}`, prompt: prompt + opening })),
  );
}

/**
 * Groups of as many rows as before, in the order of before: first those behind mistakes, those lost the furthest before others and at
 * most five of eight, then the data's answers, first to the questions that were answered otherwise. `ways` is what the better model wrote, by id of `astrayPrompts`.
 */
export function mixed(
  rows: readonly Row[],
  astray: readonly Prompt[],
  ways: ReadonlyMap<string, string>,
  group: number,
): Row[] {
  const asked = new Map<string, Prompt[]>();
  for (const row of astray) {
    const [id] = split(row.id);
    asked.set(id, [...(asked.get(id) ?? []), row]);
  }
  const made: Row[] = [];
  for (let at = 0; at < rows.length; at += group) {
    const all = rows.slice(at, at + group);
    const behind = all.flatMap(({ id }) => asked.get(id) ?? []).filter(({ id }) => ways.has(id));
    const deepFirst = behind.toSorted((a, b) => split(b.id)[1] - split(a.id)[1]);
    const shown = deepFirst.slice(0, Math.floor((group * 5) / 8));
    const hardFirst = all.toSorted((a, b) => Number(asked.has(b.id)) - Number(asked.has(a.id)));
    made.push(...shown.map((row) => ({ ...row, answer: ways.get(row.id) as string })));
    made.push(...hardFirst.slice(0, all.length - shown.length));
  }
  return made;
}

/** The question's id, and which opening of its answer it is. */
function split(id: string): [question: string, opening: number] {
  const at = id.lastIndexOf("#");
  return [id.slice(0, at), Number(id.slice(at + 1))];
}
