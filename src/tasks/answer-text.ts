/**
 * Which part of a model's text is its answer: what follows its draft, and the blocks of code in it. Fences are read as
 * CommonMark has them, and more leniently where models are careless. Knows no task and no language.
 */

/** Closing marks of a draft, as reasoning models write them. */
const DRAFT_END = /<\/(?:think|thinking|thought|reasoning|seed:think)>|\[\/THINK\]/gi;
const DRAFT_START = /^\s*(?:<(?:think|thinking|thought|reasoning|seed:think)>|\[THINK\])/i;

/**
 * The text behind the last `</think>`; all of it where there is no draft, nothing where the draft has no end.
 *
 * @example
 * finalAnswer("<think>2 + 2 is 5? No.</think>\n\n4"); // "4"
 */
export function finalAnswer(text: string): string {
  const end = [...text.matchAll(DRAFT_END)].at(-1);
  if (end === undefined) return DRAFT_START.test(text) ? "" : text;
  return text.slice(end.index + end[0].length).replace(/^(?:[ \t]*\r?\n)+/, "");
}

/** Lines that end in `\n` alone. */
export const plainLines = (text: string): string => text.replace(/\r\n?/g, "\n");

export interface CodeBlock {
  /** The first word behind the fence, in small letters; empty where there is none. */
  readonly language: string;
  /** Without the fence's indentation. */
  readonly code: string;
}

const FENCE = /^([ \t]*(?:(?:[-*+]|\d+[.)])[ \t]+)?)(`{3,}|~{3,})[ \t]*([^`\n]*)$/;

/** All fenced blocks of a text in order; the last one may lack its end. A block may also open and close in one line. */
export function codeBlocks(text: string): readonly CodeBlock[] {
  const blocks: CodeBlock[] = [];
  const lines = plainLines(text).split("\n");
  for (let at = 0; at < lines.length; at++) {
    const [, indent, fence, info] = FENCE.exec(lines[at]!) ?? [];
    if (fence === undefined) {
      for (const [, language = "", code] of lines[at]!.matchAll(/```(?:([\w+#.-]+)[ \t]+)?(.+?)```/g)) {
        blocks.push(oneLine(language, code!));
      }
      continue;
    }
    const inside: string[] = [];
    while (++at < lines.length && !closes(lines[at]!, fence)) inside.push(lines[at]!);
    if (inside.length > 0 && inside.at(-1)!.endsWith(fence)) inside.push(inside.pop()!.slice(0, -fence.length));
    const code = inside.map((line) => withoutIndent(line, indent!.length)).join("\n");
    blocks.push({ language: languageOf(info!), code });
  }
  return blocks;
}

/** In one line, a first word may be the language or the code: it is the language where something known follows it. */
function oneLine(language: string, code: string): CodeBlock {
  return /^(?:python\d*|py\d*|sql\w*|json)$/i.test(language)
    ? { language: language.toLowerCase(), code }
    : { language: "", code: language === "" ? code : `${language} ${code}` };
}

const closes = (line: string, fence: string): boolean => {
  const mark = line.trim();
  return mark.length >= fence.length && mark === fence[0]!.repeat(mark.length);
};

const languageOf = (info: string): string => (/^\{?\.?([\w+#-]+)/.exec(info.trim())?.[1] ?? "").toLowerCase();

const withoutIndent = (line: string, width: number): string => {
  const blanks = /^[ \t]*/.exec(line)![0].length;
  return line.slice(Math.min(width, blanks));
};

/** Without the indentation that all lines share. */
export function dedent(text: string): string {
  const lines = text.split("\n");
  const widths = lines.filter((line) => line.trim() !== "").map((line) => /^[ \t]*/.exec(line)![0].length);
  const shared = widths.reduce((least, width) => Math.min(least, width), Number.POSITIVE_INFINITY);
  return lines.map((line) => withoutIndent(line, shared)).join("\n");
}
