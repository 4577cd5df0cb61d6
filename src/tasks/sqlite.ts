/**
 * SQLite in WebAssembly, for questions put to a database by a model: one SELECT at a time, which cannot write, and
 * whose time, rows and memory are bounded. What a query does wrong is a value, not an error, because it is the
 * model's. Knows nothing of where queries come from.
 */
import { createRequire } from "node:module";
import type { BindParams, Database, SqlJsStatic, Statement } from "sql.js";
import { CllmError } from "../error.ts";
import { TimeLimitError, withinTime } from "../text/within-time.ts";

export type SqlValue = number | string | Uint8Array | null;

export interface QueryLimits {
  /** More rows are an error. Default: 10,000. */
  readonly maxRows?: number;
  /** Default: 2,000. */
  readonly timeoutMs?: number;
}

export interface QueryRows {
  readonly ok: true;
  readonly columns: readonly string[];
  readonly rows: readonly (readonly SqlValue[])[];
}

export interface QueryError {
  readonly ok: false;
  /** What is wrong with the query, in one sentence. */
  readonly error: string;
}

export type QueryResult = QueryRows | QueryError;

/** A database in memory. Close it after use. */
export interface Sqlite extends Disposable {
  /** Runs one SELECT. Queries of one database follow each other; they block the thread while they run. */
  query(sql: string, limits?: QueryLimits): Promise<QueryResult>;
}

const HEAP_BYTES = 64 << 20;
const SCRIPT_TIMEOUT_MS = 10_000;

/** Makes a database by a script of statements. Throws `bad-input` where the script does not run. */
export async function openSqlite(script: string): Promise<Sqlite> {
  const database = new MemoryDatabase(script);
  await database.open();
  return database;
}

/** One instance of SQLite serves all databases, until a query has to be stopped inside it. */
let instance: Promise<SqlJsStatic> | null = null;
const require = createRequire(import.meta.url);

/** The library keeps one instance for ever; a new one takes a module of its own. */
async function startSqlite(): Promise<SqlJsStatic> {
  try {
    delete require.cache[require.resolve("sql.js")];
    return await (require("sql.js") as () => Promise<SqlJsStatic>)();
  } catch (error) {
    const message = `SQLite does not start (${(error as Error).message}). Install the package sql.js again.`;
    throw new CllmError("engine", message, { cause: error });
  }
}

class MemoryDatabase implements Sqlite {
  readonly #script: string;
  #database: Database | null = null;
  #openedIn: Promise<SqlJsStatic> | null = null;
  #closed = false;

  constructor(script: string) {
    this.#script = script;
  }

  /**
   * Makes the database, again where SQLite had to be started again: what was stopped may have left it in any state.
   * Looks once more after each wait, because another database's query may have been stopped meanwhile.
   */
  async open(): Promise<void> {
    while (!this.#isOpen()) {
      instance ??= startSqlite();
      const started = instance;
      const sqlite = await started;
      if (started === instance && !this.#isOpen()) {
        this.#database = this.#run(new sqlite.Database());
        this.#openedIn = started;
      }
    }
  }

  #isOpen(): boolean {
    if (this.#closed) throw new CllmError("disposed", "The database is closed; open it again by its script.");
    return this.#database !== null && this.#openedIn === instance;
  }

  #run(database: Database): Database {
    try {
      withinTime(SCRIPT_TIMEOUT_MS, () => {
        database.exec(`PRAGMA hard_heap_limit = ${HEAP_BYTES}`);
        database.exec(this.#script);
        database.exec("PRAGMA query_only = ON");
      });
      return database;
    } catch (error) {
      if (error instanceof TimeLimitError) instance = null;
      else database.close();
      const message = `The database's script does not run (${(error as Error).message}).`;
      throw new CllmError("bad-input", `${message} Check its statements.`, { cause: error });
    }
  }

  async query(sql: string, { maxRows = 10_000, timeoutMs = 2_000 }: QueryLimits = {}): Promise<QueryResult> {
    while (!this.#isOpen()) await this.open();
    try {
      return withinTime(timeoutMs, () => runSelect(this.#database!, sql, maxRows));
    } catch (error) {
      if (error instanceof TimeLimitError) instance = null;
      return { ok: false, error: (error as Error).message };
    }
  }

  [Symbol.dispose](): void {
    if (!this.#closed && this.#openedIn === instance) this.#database?.close();
    this.#closed = true;
    this.#database = null;
  }
}

function runSelect(database: Database, sql: string, maxRows: number): QueryResult {
  const statements = database.iterateStatements(sql);
  const first = statements.next();
  if (first.done) return { ok: false, error: "there is no statement" };
  const statement: Statement = first.value;
  if (!/^SELECT\b/i.test(withoutComments(statement.getSQL()))) return { ok: false, error: "it is no SELECT" };
  const columns = statement.getColumnNames();
  const rows: SqlValue[][] = [];
  while (statement.step()) {
    if (rows.length === maxRows) return { ok: false, error: `it gives more than ${maxRows} rows` };
    rows.push(statement.get(null as unknown as BindParams));
  }
  if (!statements.next().done) return { ok: false, error: "there is more than one statement" };
  return { ok: true, columns, rows };
}

/** A statement from its first word on. */
function withoutComments(sql: string): string {
  return sql.replace(/^(\s|--[^\n]*(\n|$)|\/\*[\s\S]*?(\*\/|$))+/, "");
}
