/**
 * The settings of a run, and links that hold them. What a link says is checked as a stranger's: what is not known or out of
 * range is left at its default. A key is never part of it. Pure: knows no page.
 */

/**
 * @typedef {"chat" | "text" | "database"} Form how the question reaches the model: as a message, as a text to go on with, or
 *   after the schema of the demonstration's database
 * @typedef {object} Settings
 * @property {string} model
 * @property {string} question
 * @property {Form} form
 * @property {string} decoder the one beside `ar`
 * @property {number} blockSize
 * @property {number} maxTokens
 * @property {number} temperature
 * @property {number} seed
 */

export const DECODERS = /** @type {const} */ (["jacobi", "auto", "multiblock", "lookahead", "prompt-lookup"]);
export const FORMS = /** @type {const} */ (["chat", "text", "database"]);

/** Range of each number: least, most, and whether it is whole. */
export const RANGES = {
  blockSize: { least: 1, most: 256, whole: true },
  maxTokens: { least: 1, most: 4096, whole: true },
  temperature: { least: 0, most: 2, whole: false },
  seed: { least: 0, most: 2 ** 32 - 1, whole: true },
};

/** @type {Settings} */
export const DEFAULTS = {
  ...{ model: "", question: "", form: "chat", decoder: "jacobi" },
  ...{ blockSize: 16, maxTokens: 96, temperature: 0, seed: 0 },
};

const MAX_QUESTION = 20_000; // characters
const MAX_NAME = 500;

/**
 * The part of an address behind `#`, with it. What is at its default is left out, but for the model and the question.
 * @param {Settings} settings
 */
export function writeLink(settings) {
  const fields = new URLSearchParams();
  for (const [name, value] of Object.entries(settings)) {
    const always = name === "model" || name === "question";
    if (always || value !== DEFAULTS[/** @type {keyof Settings} */ (name)]) fields.set(name, String(value));
  }
  return `#${fields}`;
}

/**
 * The settings in such a part; null where it has none.
 * @param {string} hash
 * @returns {Settings | null}
 */
export function readLink(hash) {
  const fields = new URLSearchParams(hash.replace(/^#/, ""));
  if (![...fields.keys()].some((name) => Object.hasOwn(DEFAULTS, name))) return null;
  const oneOf = (/** @type {string} */ name, /** @type {readonly string[]} */ values) => {
    const value = fields.get(name) ?? "";
    return values.includes(value) ? value : DEFAULTS[/** @type {keyof Settings} */ (name)];
  };
  const number = (/** @type {keyof typeof RANGES} */ name) => numberOr(fields.get(name), name);
  return {
    model: (fields.get("model") ?? "").slice(0, MAX_NAME),
    question: (fields.get("question") ?? "").slice(0, MAX_QUESTION),
    form: /** @type {Form} */ (oneOf("form", FORMS)),
    decoder: /** @type {string} */ (oneOf("decoder", DECODERS)),
    ...{ blockSize: number("blockSize"), maxTokens: number("maxTokens") },
    ...{ temperature: number("temperature"), seed: number("seed") },
  };
}

/**
 * A number as it was typed, or the default where it is none or out of range.
 * @param {string | null} text
 * @param {keyof typeof RANGES} name
 * @returns {number}
 */
export function numberOr(text, name) {
  const { least, most, whole } = RANGES[name];
  const value = text === null || text.trim() === "" ? Number.NaN : Number(text);
  const fits = value >= least && value <= most && (!whole || Number.isInteger(value));
  return fits ? value + 0 : DEFAULTS[name]; // no negative zero
}
