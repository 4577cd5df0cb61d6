/**
 * The panel of the text-to-SQL model: the tables of its database, questions to try, and the rows that an answer's query
 * gives. Shows what it is given; knows no server.
 */
import { byId } from "./form.js";

/** @typedef {import("./client.js").DemonstrationDatabase} DemonstrationDatabase */
/** @typedef {import("./client.js").QueryAnswer} QueryAnswer */

/**
 * @param {string} caption
 * @param {readonly string[]} columns
 * @param {readonly (readonly (string | number | null)[])[]} rows
 */
function tableOf(caption, columns, rows) {
  const table = document.createElement("table");
  table.createCaption().textContent = caption;
  const head = table.createTHead().insertRow();
  for (const name of columns) {
    const cell = document.createElement("th");
    cell.scope = "col";
    cell.textContent = name;
    head.append(cell);
  }
  const body = table.createTBody();
  for (const row of rows) {
    const line = body.insertRow();
    for (const value of row) {
      const cell = line.insertCell();
      cell.textContent = value === null ? "NULL" : String(value);
      if (typeof value === "number") cell.className = "number";
    }
  }
  const frame = document.createElement("div");
  frame.className = "table";
  frame.tabIndex = 0; // it scrolls where it is narrow
  frame.setAttribute("role", "region");
  frame.setAttribute("aria-label", caption);
  frame.append(table);
  return frame;
}

/**
 * @param {DemonstrationDatabase} database
 * @param {(question: string) => void} choose called with a question that somebody picks
 */
export function showDatabase({ tables, questions }, choose) {
  byId("schema").replaceChildren(
    ...tables.map(({ name, columns }) => {
      const line = document.createElement("li");
      const strong = document.createElement("b");
      strong.textContent = name;
      const said = columns.map((column) => column.name + (column.references === null ? "" : ` → ${column.references}`));
      line.append(strong, `: ${said.join(", ")}`);
      return line;
    }),
  );
  byId("questions").replaceChildren(
    ...questions.map((question) => {
      const [item, button] = [document.createElement("li"), document.createElement("button")];
      button.type = "button";
      button.textContent = question;
      button.addEventListener("click", () => choose(question));
      item.append(button);
      return item;
    }),
  );
  byId("tables").replaceChildren(
    ...tables.map(({ name, columns, rows }) =>
      tableOf(
        name,
        columns.map((column) => column.name),
        rows,
      ),
    ),
  );
}

/** @param {QueryAnswer | null} answer */
export function showRows(answer) {
  byId("answer").hidden = answer === null;
  if (answer === null) return;
  const { sql, columns = [], rows = [], error = "" } = answer;
  byId("sql").textContent = sql === "" ? "(nothing was written)" : sql;
  const said = document.createElement("p");
  said.textContent = answer.ok ? `${rows.length} ${rows.length === 1 ? "row" : "rows"}` : `SQLite: ${error}`;
  said.className = answer.ok ? "" : "wrong";
  byId("rows").replaceChildren(said, ...(rows.length > 0 ? [tableOf("Rows of the answer", columns, rows)] : []));
}
