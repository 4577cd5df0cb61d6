/**
 * What the page asks the server. Knows the wire's names; what the server says is wrong is thrown as it is said.
 */
import { readEvents } from "./events.js";

/** @typedef {import("./run.js").WirePass} WirePass */
/** @typedef {import("./link.js").Settings} Settings */
/**
 * @typedef {object} DemonstrationDatabase
 * @property {{ name: string, columns: { name: string, references: string | null }[], rows: (string | number)[][] }[]} tables
 * @property {string[]} questions
 * @property {{ before: string, after: string }} prompt what stands around a question
 */
/**
 * @typedef {object} QueryAnswer
 * @property {string} sql
 * @property {boolean} ok
 * @property {string[]} [columns]
 * @property {(string | number | null)[][]} [rows]
 * @property {string} [failure]
 * @property {string} [error]
 */

/** What the server refused or failed at, in its own words. */
export class ServerError extends Error {
  /** @type {number | null} */
  status;
  /** @param {string} message @param {number | null} status */
  constructor(message, status) {
    super(message);
    this.name = "ServerError";
    this.status = status;
  }
}

/**
 * @param {string} path
 * @param {{ key: string, body?: object, signal?: AbortSignal }} options
 * @returns {Promise<Response>}
 */
async function ask(path, { key, body, signal }) {
  /** @type {Record<string, string>} */
  const headers = {};
  if (key !== "") headers["authorization"] = `Bearer ${key}`;
  if (body !== undefined) headers["content-type"] = "application/json";
  const response = await fetch(path, {
    method: body === undefined ? "GET" : "POST",
    headers,
    ...(body !== undefined && { body: JSON.stringify(body) }),
    ...(signal !== undefined && { signal }),
  }).catch((error) => {
    if (signal?.aborted) throw error;
    throw new ServerError("The server does not answer. Is cllm serve still running?", null);
  });
  if (response.ok) return response;
  const text = await response.text();
  throw new ServerError(
    saidIn(text) ?? `The server answered ${response.status}: ${text.slice(0, 300)}`,
    response.status,
  );
}

/** @param {string} text @returns {string | null} */
function saidIn(text) {
  try {
    const message = JSON.parse(text).error.message;
    return typeof message === "string" ? message : null;
  } catch {
    return null;
  }
}

/**
 * A model, and what it is for.
 * @typedef {{ readonly name: string, readonly demonstration: string | null }} Model
 */

/**
 * The models.
 * @param {string} key
 * @returns {Promise<Model[]>}
 */
export async function listModels(key) {
  const { data } = await (await ask("/v1/models", { key })).json();
  return data.map((/** @type {{ id: string, cllm: { demonstration: string | null } }} */ { id, cllm }) => {
    return { name: id, demonstration: cllm.demonstration };
  });
}

/** @param {string} key @returns {Promise<DemonstrationDatabase>} */
export async function readDatabase(key) {
  return (await ask("/playground/database", { key })).json();
}

/** @param {string} sql @param {string} key @param {AbortSignal} signal @returns {Promise<QueryAnswer>} */
export async function runQuery(sql, key, signal) {
  return (await ask("/playground/sql", { key, body: { sql }, signal })).json();
}

/**
 * A request's body.
 * @param {Settings} settings
 * @param {string} decoder
 * @param {DemonstrationDatabase | null} database
 * @returns {{ path: string, body: object }}
 */
export function requestOf(settings, decoder, database) {
  const { model, question, form, blockSize, maxTokens, temperature, seed } = settings;
  const shared = {
    ...{ model, decoder, stream: true, stream_options: { include_passes: true } },
    ...{ max_tokens: maxTokens, temperature, seed },
    ...(decoder !== "ar" && { block_size: blockSize }),
  };
  if (form === "chat") {
    return { path: "/v1/chat/completions", body: { ...shared, messages: [{ role: "user", content: question }] } };
  }
  const { before, after } = form === "database" && database !== null ? database.prompt : { before: "", after: "" };
  const text = form === "database" ? question.trim().replace(/\s+/g, " ") : question;
  return { path: "/v1/completions", body: { ...shared, prompt: before + text + after } };
}

/**
 * The passes of an answer, as they come, each with the text that it completed.
 * @param {{ path: string, body: object }} request
 * @param {string} key
 * @param {AbortSignal} signal
 * @returns {AsyncGenerator<{ pass: WirePass | null, text: string }, void, void>}
 */
export async function* streamPasses({ path, body }, key, signal) {
  const response = await ask(path, { key, body, signal });
  for await (const data of readEvents(response)) {
    if (data === "[DONE]") return;
    const event = JSON.parse(data);
    if (event.error !== undefined) throw new ServerError(event.error.message, null);
    const choice = event.choices?.[0];
    if (choice === undefined) continue;
    const pass = event.cllm?.accepted === undefined ? null : event.cllm; // the end of a text may come without a pass
    yield { pass, text: choice.text ?? choice.delta?.content ?? "" };
  }
  throw new ServerError("The server ended the answer before it was complete.", null);
}
