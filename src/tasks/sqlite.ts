/**
 * SQLite in WebAssembly, for questions put to a database by a model: one SELECT at a time, which cannot write, and
 * whose time, rows and memory are bounded. What a query does wrong is a value, not an error, because it is the
 * model's. A database is a copy in memory, made by a script or from the bytes of a file, which nothing changes. Knows
 * nothing of where queries come from.
 */
import { createRequire } from "node:module";
import type { BindParams, Database, SqlJsStatic, Statement } from "sql.js";
import { CllmError } from "../error.ts";
import { TimeLimitError, withinTime } from "../text/within-time.ts";
import { verbOf } from "./sql-text.ts";

/** A database is in memory whole. */
export const MAX_DATABASE_BYTES: number = 256 * 2 ** 20;

export type SqlValue = number | string | Uint8Array | null;

export interface QueryLimits {
  /** More rows are an error. Default: 10,000. */
  readonly maxRows?: number;
  /** Bytes of all values together; more are an error. Default: 32 MiB. */
  readonly maxBytes?: number;
  /** Default: 2,000. */
  readonly timeoutMs?: number;
}

export interface QueryRows {
  readonly ok: true;
  readonly columns: readonly string[];
  readonly rows: readonly (readonly SqlValue[])[];
}

/** Why a query gives no rows: `refused` is one that is no single SELECT, `limit` one that gives or takes too much. */
export type QueryFailure = "empty" | "error" | "refused" | "limit" | "timeout";

export interface QueryError {
  readonly ok: false;
  readonly failure: QueryFailure;
  /** What is wrong with the query, in one sentence. */
  readonly error: string;
}

export type QueryResult = QueryRows | QueryError;

/** A database in memory. Close it after use. */
export interface Sqlite extends Disposable {
  /** Runs one SELECT. Queries of one database follow each other; they block the thread while they run. */
  query(sql: string, limits?: QueryLimits): Promise<QueryResult>;
}

/** The default of `QueryLimits.timeoutMs`. */
export const QUERY_TIMEOUT_MS = 2_000;

const HEAP_BYTES = 64 << 20;
const SCRIPT_TIMEOUT_MS = 10_000;

/**
 * Opens a database: made by a script of statements, or a copy of a database file's bytes. Throws `bad-input` where the
 * script does not run, `bad-file` where the bytes are no database.
 */
export async function openSqlite(source: string | Uint8Array): Promise<Sqlite> {
  const database = new MemoryDatabase(source);
  await database.open();
  return database;
}

/** One instance of SQLite serves all databases, until a query has to be stopped inside it. */
let instance: Promise<SqlJsStatic> | null = null;
const require = createRequire(import.meta.url);

/** The library never frees its instance; a new one needs a module of its own. */
async function startSqlite(): Promise<SqlJsStatic> {
  try {
    delete require.cache[require.resolve("sql.js")];
    return await (require("sql.js") as () => Promise<SqlJsStatic>)();
  } catch (error) {
    const message = `SQLite does not start (${(error as Error).message}); install the package sql.js again`;
    throw new CllmError("engine", message, { cause: error });
  }
}

class MemoryDatabase implements Sqlite {
  readonly #source: string | Uint8Array;
  #database: Database | null = null;
  #openedIn: Promise<SqlJsStatic> | null = null;
  #closed = false;

  constructor(source: string | Uint8Array) {
    this.#source = source;
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
        this.#database = this.#prepare(new sqlite.Database(typeof this.#source === "string" ? null : this.#source));
        this.#openedIn = started;
      }
    }
  }

  #isOpen(): boolean {
    if (this.#closed) throw new CllmError("disposed", "the database is closed; open it again");
    return this.#database !== null && this.#openedIn === instance;
  }

  #prepare(database: Database): Database {
    try {
      withinTime(SCRIPT_TIMEOUT_MS, () => {
        database.exec(`PRAGMA hard_heap_limit = ${HEAP_BYTES}; PRAGMA trusted_schema = OFF`);
        database.exec(typeof this.#source === "string" ? this.#source : "SELECT COUNT(*) FROM sqlite_master");
        database.exec("PRAGMA query_only = ON");
      });
      return database;
    } catch (error) {
      if (isBroken(error)) instance = null;
      else database.close();
      const reason = (error as Error).message;
      throw typeof this.#source === "string"
        ? new CllmError("bad-input", `the database's script does not run (${reason}); check its statements`, {
            cause: error,
          })
        : new CllmError("bad-file", `it is no SQLite database (${reason}); check the file`, { cause: error });
    }
  }

  async query(sql: string, limits: QueryLimits = {}): Promise<QueryResult> {
    const { maxRows = 10_000, maxBytes = 32 << 20, timeoutMs = QUERY_TIMEOUT_MS } = limits;
    while (!this.#isOpen()) await this.open();
    try {
      return withinTime(timeoutMs, () => runSelect(this.#database!, sql, maxRows, maxBytes));
    } catch (error) {
      if (isBroken(error)) instance = null;
      return failed(failureOf(error as Error), (error as Error).message);
    }
  }

  [Symbol.dispose](): void {
    if (!this.#closed && this.#openedIn === instance) this.#database?.close();
    this.#closed = true;
    this.#database = null;
  }
}

/** Whether SQLite was stopped in the middle of something: its own errors are plain ones. */
function isBroken(error: unknown): boolean {
  return !(error instanceof Error) || error.constructor !== Error;
}

function failureOf(error: Error): QueryFailure {
  if (error instanceof TimeLimitError) return "timeout";
  const tooMuch = error instanceof RangeError || /out of memory|too big|too many/i.test(error.message);
  return tooMuch ? "limit" : "error";
}

const failed = (failure: QueryFailure, error: string): QueryError => ({ ok: false, failure, error });

function runSelect(database: Database, sql: string, maxRows: number, maxBytes: number): QueryResult {
  const statements = database.iterateStatements(sql);
  const first = statements.next();
  if (first.done) return failed("empty", "there is no statement");
  const statement: Statement = first.value;
  if (!["SELECT", "VALUES"].includes(verbOf(statement.getSQL()))) return failed("refused", "it is no SELECT");
  const columns = statement.getColumnNames();
  const rows: SqlValue[][] = [];
  let bytes = 0;
  while (statement.step()) {
    if (rows.length === maxRows) return failed("limit", `it gives more than ${maxRows} rows`);
    const row: SqlValue[] = statement.get(null as unknown as BindParams);
    for (const value of row) bytes += typeof value === "number" || value === null ? 8 : 8 + value.length;
    if (bytes > maxBytes) return failed("limit", `it gives more than ${maxBytes} bytes`);
    rows.push(row);
  }
  if (!statements.next().done) return failed("refused", "there is more than one statement");
  return { ok: true, columns, rows };
}
