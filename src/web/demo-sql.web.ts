/** The demo's SQLite, in a worker that the page ends where a query takes too long. Knows SQL and no model. */
import initSqlJs from "sql.js/dist/sql-wasm-browser.js";

export interface SqlQuestion {
  readonly id: number;
  /** Makes the database. */
  readonly script: string;
  /** Null: what the tables are. */
  readonly query: string | null;
}

export type SqlAnswer =
  | { readonly id: number; readonly ok: true; readonly columns: string[]; readonly rows: unknown[][] }
  | { readonly id: number; readonly ok: false; readonly error: string };

const MAX_ROWS = 100;
const TABLES =
  "SELECT m.name, c.name FROM sqlite_master m, pragma_table_info(m.name) c WHERE m.type = 'table' ORDER BY m.rowid, c.cid";

const sqlite = initSqlJs({ locateFile: () => new URL("./sql-wasm-browser.wasm", self.location.href).href });

self.onmessage = async ({ data: { id, script, query } }: MessageEvent<SqlQuestion>): Promise<void> => {
  const post = (answer: SqlAnswer): void => self.postMessage(answer);
  try {
    const database = new (await sqlite).Database();
    try {
      database.run(script);
      if (query !== null) database.run("PRAGMA query_only = 1");
      const statement = database.prepare(query ?? TABLES);
      const rows: unknown[][] = [];
      while (rows.length < MAX_ROWS && statement.step()) rows.push(statement.get());
      post({ id, ok: true, columns: statement.getColumnNames(), rows });
    } finally {
      database.close();
    }
  } catch (error) {
    post({ id, ok: false, error: error instanceof Error ? error.message : String(error) });
  }
};
