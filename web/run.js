/**
 * A run: the passes of one answer, their times and figures, and how two runs compare. Pure: knows no page and no server.
 */

/**
 * @typedef {{ readonly id: number, readonly text: string }} Token
 * @typedef {object} WirePass a pass as the server describes it
 * @property {boolean} prefill whether it read the prompt; the first one does
 * @property {number} rows tokens that went through the model
 * @property {number} ms
 * @property {readonly Token[]} accepted tokens that it settled
 * @property {readonly Token[]} guesses for what follows, in flight after it
 * @typedef {WirePass & { text: string }} Pass a pass with the text that it completed: a character may take several tokens
 */
/**
 * @typedef {object} Figures
 * @property {number} tokens all that are settled
 * @property {number} passes those that decoded, so without the prompt's
 * @property {number} ms that those took
 * @property {number | null} tokensPerPass null before the first of them
 * @property {number | null} tokensPerSecond
 */

/** How many colours there are; then they come again. */
export const COLOURS = 6;

/**
 * The figures after the first `count` passes. The prompt's pass counts in none of the rates: neither its time nor the token
 * that comes with it.
 * @param {readonly Pass[]} passes
 * @param {number} [count]
 * @returns {Figures}
 */
export function figures(passes, count = passes.length) {
  const seen = passes.slice(0, count);
  const decoding = seen.filter(({ prefill }) => !prefill);
  const tokensIn = (/** @type {readonly Pass[]} */ some) =>
    some.reduce((sum, { accepted }) => sum + accepted.length, 0);
  const ms = decoding.reduce((sum, pass) => sum + pass.ms, 0);
  const decoded = tokensIn(decoding);
  return {
    tokens: tokensIn(seen),
    passes: decoding.length,
    ms,
    tokensPerPass: decoding.length === 0 ? null : decoded / decoding.length,
    tokensPerSecond: ms === 0 ? null : (1000 * decoded) / ms,
  };
}

/**
 * When each pass ended, in milliseconds after the prompt was read.
 * @param {readonly Pass[]} passes
 * @returns {number[]}
 */
export function endTimes(passes) {
  let time = 0;
  return passes.map(({ prefill, ms }) => {
    if (!prefill) time += ms;
    return time;
  });
}

/**
 * The last pass that had ended at `time`, or -1.
 * @param {readonly number[]} ends as `endTimes` gives them
 * @param {number} time
 */
export function passAt(ends, time) {
  let index = -1;
  while (index + 1 < ends.length && /** @type {number} */ (ends[index + 1]) <= time) index++;
  return index;
}

/**
 * Where two runs' tokens differ for the first time, counted from 0; null where they are the same.
 * @param {readonly Pass[]} a
 * @param {readonly Pass[]} b
 * @returns {number | null}
 */
export function firstDifference(a, b) {
  const idsOf = (/** @type {readonly Pass[]} */ passes) =>
    passes.flatMap(({ accepted }) => accepted.map(({ id }) => id));
  const [left, right] = [idsOf(a), idsOf(b)];
  const length = Math.max(left.length, right.length);
  for (let i = 0; i < length; i++) if (left[i] !== right[i]) return i;
  return null;
}

/** Slower replays that can be chosen. */
export const SLOWDOWNS = /** @type {const} */ ([1, 2, 5, 10, 25, 50, 100]);
const WATCHABLE_MS = 3_000;

/**
 * How many times slower a run of so many milliseconds is replayed, for people to follow it.
 * @param {number} ms
 * @returns {number}
 */
export function slowdownFor(ms) {
  return SLOWDOWNS.find((factor) => ms * factor >= WATCHABLE_MS) ?? 100;
}

/**
 * A pass in words.
 * @param {Pass} pass
 * @param {number} index
 */
export function describe({ prefill, accepted, guesses, ms }, index) {
  const count = (/** @type {number} */ n, /** @type {string} */ what) => `${n} ${what}${n === 1 ? "" : "s"}`;
  const said = accepted
    .map(({ text }) => text)
    .join("")
    .trim();
  const what = `${count(accepted.length, "token")} settled${said === "" ? "" : `: ${said}`}`;
  const rest = guesses.length === 0 ? "" : `; ${guesses.length} ${guesses.length === 1 ? "guess" : "guesses"}`;
  return `${prefill ? "Prompt" : `Pass ${index}`}: ${what}${rest}; ${ms.toFixed(1)} ms`;
}

/**
 * A token's text as it is shown, line ends made visible.
 * @param {string} text
 */
export function shown(text) {
  return text.replaceAll("\n", "⏎\n");
}
