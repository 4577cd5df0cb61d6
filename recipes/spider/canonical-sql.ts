/**
 * One way of writing Spider's gold queries, because a small model learns to copy names sooner than to change them: tables and
 * columns exactly as the schema has them, columns of joins with their table's name in place of `T1` and `T2`, conditions of
 * joins as the schema lists the foreign keys, one spelling of keywords and strings. What a query gives stays as it was: whoever
 * calls this runs both. Knows the SQL that occurs in Spider, and no data.
 */
import type { SpiderSchema, SpiderTable } from "../../src/tasks/spider/schema.ts";

const KEYWORDS = new Set(
  `select distinct from where group by having order limit join on as and or not in like between union intersect except asc desc
   left right outer inner is null exists all case when then else end cast`.split(/\s+/),
);
const TOKEN =
  /\s*(?:('(?:[^']|'')*'|"[^"]*"|`[^`]*`)|(\d+(?:\.\d+)?(?!\w)|\.\d+)|(\w+)|(<=|>=|!=|<>|==|[<>!]\s=|[^\s\w]))/y;

interface Token {
  readonly kind: "string" | "number" | "word" | "mark";
  readonly text: string;
  /** Which SELECT it belongs to. */
  scope: Scope;
}

interface Scope {
  readonly outer: Scope | null;
  readonly sources: { readonly table: SpiderTable; readonly alias: string | null }[];
  /** Names that the SELECT gives to what it computes, in small letters. */
  readonly given: Set<string>;
}

const small = (text: string): string => text.toLowerCase();
const isKeyword = (token: Token | undefined): boolean => token?.kind === "word" && KEYWORDS.has(small(token.text));
const is = (token: Token | undefined, text: string): boolean =>
  token !== undefined && token.kind !== "string" && small(token.text) === text;

/** The query in canonical form, or null where it has a table or column that the schema lacks, or a form unknown here. */
export function canonicalSql(query: string, schema: SpiderSchema): string | null {
  const tokens = readTokens(query);
  if (tokens === null || !is(tokens[0], "select") || !findSources(tokens, schema)) return null;
  const written = rename(tokens);
  return written === null ? null : layOut(sortKeys(written, schema));
}

function readTokens(query: string): Token[] | null {
  const tokens: Token[] = [];
  const text = query.replace(/[\s;]+$/, "");
  let scope: Scope = { outer: null, sources: [], given: new Set() };
  const around: Scope[] = [];
  TOKEN.lastIndex = 0;
  while (TOKEN.lastIndex < text.length) {
    const match = TOKEN.exec(text);
    if (match === null) return null;
    const [, quoted, digits, word, mark] = match;
    if (mark === "(") around.push(scope);
    if (word !== undefined && small(word) === "select" && tokens.length > 0) {
      // After a bracket the SELECT is inside of what is around; after UNION and its like it stands beside.
      const outer = tokens.at(-1)?.text === "(" ? scope : scope.outer;
      scope = { outer, sources: [], given: new Set() };
    }
    if (quoted !== undefined) tokens.push({ kind: "string", text: quoted, scope });
    else if (digits !== undefined) tokens.push({ kind: "number", text: digits, scope });
    else if (word !== undefined) tokens.push({ kind: "word", text: word, scope });
    else tokens.push({ kind: "mark", text: (mark ?? "").replace(/\s/, "").replace("==", "="), scope });
    if (mark === ")") scope = around.pop() ?? scope;
  }
  return tokens;
}

/** Fills in each SELECT's tables. False where one is unknown. */
function findSources(tokens: readonly Token[], schema: SpiderSchema): boolean {
  const inFrom = new Map<Scope, boolean>();
  for (const [i, token] of tokens.entries()) {
    const { scope } = token;
    if (is(token, "from")) inFrom.set(scope, true);
    else if (["where", "group", "order", "having", "limit", "union", "intersect", "except"].some((w) => is(token, w)))
      inFrom.set(scope, false);
    const given = tokens[i + 1];
    if (is(token, "as") && !inFrom.get(scope) && given?.kind === "word") scope.given.add(small(given.text));
    const before = tokens[i - 1];
    const begins = is(before, "from") || is(before, "join") || (is(before, ",") && inFrom.get(scope) === true);
    if (!begins || token.kind !== "word" || isKeyword(token)) continue;
    const table = schema.tables.find(({ name }) => small(name) === small(token.text));
    if (table === undefined) return false;
    const next = tokens[i + 1];
    const name = is(next, "as") ? tokens[i + 2] : next;
    const alias = name?.kind === "word" && !isKeyword(name) ? name.text : null;
    scope.sources.push({ table, alias });
  }
  return true;
}

/** Whether the same table stands twice in a SELECT, so that only aliases tell them apart. */
const twice = ({ sources }: Scope, table: SpiderTable): boolean =>
  sources.filter((source) => source.table === table).length > 1;

/** Names as the schema has them, without aliases where nothing needs them. */
function rename(tokens: readonly Token[]): Token[] | null {
  const written: Token[] = [];
  const push = (token: Token, text: string): unknown => written.push({ ...token, text });
  for (let i = 0; i < tokens.length; i++) {
    const token = tokens[i] as Token;
    const { scope, text, kind } = token;
    const [before, next] = [tokens[i - 1], tokens[i + 1]];
    if (kind === "string") push(token, text.startsWith("`") ? text : `'${text.slice(1, -1).replaceAll(/'+/g, "''")}'`);
    else if (kind !== "word") push(token, text);
    else if (is(next, ".")) {
      const column = tokens[i + 2];
      const found = sourceOf(scope, text);
      if (found === null || column === undefined) return null;
      const { source, own } = found;
      const name = column.text === "*" ? "*" : columnOf(source.table, column.text);
      if (name === null) return null;
      if (twice(found.scope, source.table)) push(token, `${source.alias ?? source.table.name}.${name}`);
      else if (own && scope.sources.length === 1 && name !== "*") push(token, name);
      else push(token, `${source.table.name}.${name}`);
      i += 2;
    } else if (isKeyword(token)) {
      if (is(token, "as") && needsAlias(scope, next?.text) === false)
        i++; // the alias that is not needed goes
      else push(token, text.toUpperCase());
    } else if (is(next, "(")) push(token, small(text));
    else if (is(before, "as") || scope.given.has(small(text))) push(token, text);
    else {
      const renamed = tableOrColumn(tokens, i);
      if (renamed === null) return null;
      if (renamed !== "") push(token, renamed);
    }
  }
  return written;
}

/** Whether the SELECT needs an alias of its own; null where it has no such one. */
function needsAlias(scope: Scope, alias: string | undefined): boolean | null {
  const source = alias === undefined ? undefined : scope.sources.find((each) => each.alias === alias);
  return source === undefined ? null : twice(scope, source.table);
}

/** What stands for a word that is neither keyword nor function: empty for an alias without AS that is not needed. */
function tableOrColumn(tokens: readonly Token[], i: number): string | null {
  const { text, scope } = tokens[i] as Token;
  const before = tokens[i - 1];
  const isSource = scope.sources.find(({ table }) => small(table.name) === small(text));
  if (isSource !== undefined && (is(before, "from") || is(before, "join") || is(before, ","))) {
    const column = scope.sources.some(({ table }) => columnOf(table, text) !== null);
    if (!is(before, ",") || !column) return isSource.table.name;
  }
  const needed = before?.kind === "word" && !isKeyword(before) ? needsAlias(scope, text) : null;
  if (needed !== null) return needed ? text : "";
  for (let at: Scope | null = scope; at !== null; at = at.outer) {
    const having = at.sources.filter(({ table }) => columnOf(table, text) !== null);
    const [first] = having;
    if (first === undefined) continue;
    const name = columnOf(first.table, text) as string;
    const alone = at.sources.length === 1 || having.length > 1 || twice(at, first.table);
    return alone ? name : `${first.table.name}.${name}`;
  }
  return null;
}

/** The table that a qualifier stands for, from the innermost SELECT outwards. */
function sourceOf(scope: Scope, qualifier: string) {
  for (let at: Scope | null = scope; at !== null; at = at.outer) {
    const source = at.sources.find(({ alias, table }) =>
      alias === null ? small(table.name) === small(qualifier) : small(alias) === small(qualifier),
    );
    if (source !== undefined) return { source, scope: at, own: at === scope };
  }
  return null;
}

const columnOf = (table: SpiderTable, name: string): string | null =>
  table.columns.find((column) => small(column) === small(name)) ?? null;

/** Both sides of a join's condition in the order of the schema's foreign key. */
function sortKeys(tokens: readonly Token[], { foreignKeys }: SpiderSchema): Token[] {
  const sorted = [...tokens];
  for (let i = 1; i + 1 < sorted.length; i++) {
    const [left, mark, right] = [sorted[i - 1], sorted[i], sorted[i + 1]] as [Token, Token, Token];
    if (mark.text !== "=" || !foreignKeys.some(([from, to]) => from === right.text && to === left.text)) continue;
    [sorted[i - 1], sorted[i + 1]] = [right, left];
  }
  return sorted;
}

function layOut(tokens: readonly Token[]): string {
  let text = "";
  for (const [i, token] of tokens.entries()) {
    const before = tokens[i - 1];
    const opens = token.text === "(" && before?.kind === "word" && !isKeyword(before);
    const close = [",", ")"].includes(token.text) && token.kind === "mark";
    text += before === undefined || before.text === "(" || opens || close ? token.text : ` ${token.text}`;
  }
  return text;
}
