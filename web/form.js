/**
 * The form: settings in and out of its fields. Knows no server.
 */
import { DECODERS, DEFAULTS, numberOr, RANGES } from "./link.js";

/** @typedef {import("./link.js").Settings} Settings */

/** @param {string} id */
export function byId(id) {
  const found = document.getElementById(id);
  if (found === null) throw new Error(`the page has no #${id}`);
  return found;
}

const field = (/** @type {string} */ id) => /** @type {HTMLInputElement} */ (byId(id));
const choice = (/** @type {string} */ id) => /** @type {HTMLSelectElement} */ (byId(id));
/** Fields of numbers by the settings that they hold. */
const NUMBERS = /** @type {const} */ ({
  blockSize: "block-size",
  maxTokens: "max-tokens",
  temperature: "temperature",
  seed: "seed",
});
const numbers = /** @type {[keyof typeof NUMBERS, string][]} */ (Object.entries(NUMBERS));

/** Models whose questions are about the demonstration's database. @type {Set<string>} */
let databaseModels = new Set();

/** Whether a model's questions are about the demonstration's database. @param {string} model */
export function asksDatabase(model) {
  return databaseModels.has(model);
}

export function prepareForm() {
  choice("decoder").replaceChildren(...DECODERS.map((name) => new Option(name)));
  for (const [name, id] of numbers) {
    const { least, most, whole } = RANGES[name];
    Object.assign(field(id), { min: String(least), max: String(most), step: whole ? "1" : "any" });
  }
}

/** @param {readonly import("./client.js").Model[]} models */
export function fillModels(models) {
  const names = models.map(({ name }) => name);
  databaseModels = new Set(
    models.filter(({ demonstration }) => demonstration === "text-to-sql").map(({ name }) => name),
  );
  const before = choice("model").value;
  choice("model").replaceChildren(...names.map((name) => new Option(name)));
  if (names.includes(before)) choice("model").value = before;
  formFollowsModel();
}

/** A question to the database can be chosen for a model that has one, and is what it takes. */
export function formFollowsModel() {
  const hasDatabase = asksDatabase(choice("model").value);
  const option = /** @type {HTMLOptionElement} */ (choice("form").querySelector('[value="database"]'));
  option.disabled = !hasDatabase;
  option.hidden = !hasDatabase;
  if (hasDatabase) choice("form").value = "database";
  else if (choice("form").value === "database") choice("form").value = "chat";
}

/** @returns {Settings} */
export function readForm() {
  const number = (/** @type {keyof typeof NUMBERS} */ name) => numberOr(field(NUMBERS[name]).value, name);
  return {
    ...{ model: choice("model").value, question: field("question").value },
    form: /** @type {import("./link.js").Form} */ (choice("form").value),
    ...{ decoder: choice("decoder").value, blockSize: number("blockSize"), maxTokens: number("maxTokens") },
    ...{ temperature: number("temperature"), seed: number("seed") },
  };
}

/**
 * Fills in what a link says. A model that is not served stays unchosen; its name comes back.
 * @param {Settings} settings
 * @returns {string | null}
 */
export function writeForm(settings) {
  const served = [...choice("model").options].some(({ value }) => value === settings.model);
  if (served) choice("model").value = settings.model;
  formFollowsModel();
  if (settings.form !== "database" || asksDatabase(choice("model").value)) choice("form").value = settings.form;
  field("question").value = settings.question;
  choice("decoder").value = settings.decoder;
  for (const [name, id] of numbers) field(id).value = String(settings[name]);
  return served || settings.model === "" ? null : settings.model;
}

export function writeDefaults() {
  for (const [name, id] of numbers) field(id).value = String(DEFAULTS[name]);
  choice("decoder").value = DEFAULTS.decoder;
}
