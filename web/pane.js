/**
 * One contender on the page: the text as it settles, the figures, and the passes to step through. Shows what it is given;
 * knows no server and no clock.
 */
import { COLOURS, describe, figures, shown } from "./run.js";

/** @typedef {import("./run.js").Pass} Pass */
/** @typedef {import("./run.js").Token} Token */

/** @param {string} tag @param {string} className @param {string} [text] */
function element(tag, className, text) {
  const made = document.createElement(tag);
  if (className !== "") made.className = className;
  if (text !== undefined) made.textContent = text;
  return made;
}

/** @param {number} pass */
const colour = (pass) => `settled c${pass % COLOURS}`;
/** @param {readonly Token[]} tokens */
const textOf = (tokens) => tokens.map(({ text }) => shown(text)).join("");
const number = (/** @type {number | null} */ value, /** @type {number} */ digits) =>
  value === null ? "–" : value.toFixed(digits);

/**
 * @param {HTMLElement} root a copy of the template
 * @param {{ id: string, stepped: () => void }} options `stepped` is called when somebody picks a pass by hand
 */
export function createPane(root, { id, stepped }) {
  const part = (/** @type {string} */ name) => /** @type {HTMLElement} */ (root.querySelector(`[data-part="${name}"]`));
  const [title, text, list] = [part("title"), part("text"), part("passes")];
  title.id = `${id}-title`;
  list.id = `${id}-passes`;
  root.setAttribute("aria-labelledby", title.id);
  /** @type {readonly Pass[]} */
  let passes = [];
  let index = -1;
  const guessed = element("span", "guesses");

  /** @param {number} to */
  function show(to) {
    const before = index;
    index = Math.min(Math.max(to, passes.length === 0 ? -1 : 0), passes.length - 1);
    guessed.remove();
    while (text.children.length > index + 1) text.lastChild?.remove();
    for (let at = text.children.length; at <= index; at++) {
      const pass = /** @type {Pass} */ (passes[at]);
      text.append(element("span", colour(at), shown(pass.text)));
    }
    guessed.replaceChildren(
      ...(passes[index]?.guesses ?? []).map((token) => element("span", "token", textOf([token]).replaceAll("\n", ""))),
    );
    text.append(guessed);
    showFigures();
    showPlace(before);
  }

  function showFigures() {
    const { tokens, passes: count, ms, tokensPerPass, tokensPerSecond } = figures(passes, index + 1);
    part("tokens").textContent = String(tokens);
    part("count").textContent = String(count);
    part("per-pass").textContent = number(tokensPerPass, 2);
    part("per-second").textContent = number(tokensPerSecond, 1);
    part("ms").textContent = ms.toFixed(ms < 100 ? 1 : 0);
  }

  /** @param {number} before where it was; only items from there to here look different now */
  function showPlace(before) {
    for (let i = Math.max(0, Math.min(before, index)); i <= Math.max(before, index); i++) {
      list.children[i]?.classList.toggle("later", i > index);
      list.children[i]?.setAttribute("aria-selected", String(i === index));
    }
    const item = /** @type {HTMLElement | undefined} */ (list.children[index]);
    if (item === undefined) list.removeAttribute("aria-activedescendant");
    else {
      list.setAttribute("aria-activedescendant", item.id);
      const [top, bottom] = [item.offsetTop, item.offsetTop + item.offsetHeight];
      if (top < list.scrollTop)
        list.scrollTop = top; // the page itself stays where it is
      else if (bottom > list.scrollTop + list.clientHeight) list.scrollTop = bottom - list.clientHeight;
    }
    text.scrollTop = text.scrollHeight;
    const { length } = passes;
    // Not disabled: a button that is would lose the focus of whoever steps with it.
    for (const name of ["first", "previous"]) part(name).setAttribute("aria-disabled", String(index <= 0));
    for (const name of ["next", "last"]) part(name).setAttribute("aria-disabled", String(index >= length - 1));
  }

  /** @param {Pass} pass @param {number} at */
  function itemOf(pass, at) {
    const item = element("div", "");
    item.id = `${id}-pass-${at}`;
    item.setAttribute("role", "option");
    item.setAttribute("aria-selected", "false");
    item.setAttribute("aria-label", describe(pass, at));
    item.append(
      element("span", "ordinal", at === 0 ? "prompt" : String(at)),
      element("span", colour(at), textOf(pass.accepted).replaceAll("\n", "")),
      element("span", "guesses", textOf(pass.guesses).replaceAll("\n", "")),
    );
    return item;
  }

  /** @param {number} to */
  function step(to) {
    stepped();
    show(to);
    part("state").textContent = `after pass ${index} of ${passes.length - 1}`;
  }
  const keys = /** @type {Record<string, () => number>} */ ({
    ArrowUp: () => index - 1,
    ArrowLeft: () => index - 1,
    ArrowDown: () => index + 1,
    ArrowRight: () => index + 1,
    PageUp: () => index - 10,
    PageDown: () => index + 10,
    Home: () => 0,
    End: () => passes.length - 1,
  });
  list.addEventListener("keydown", (event) => {
    const to = keys[event.key];
    if (to === undefined || event.ctrlKey || event.metaKey || event.altKey) return;
    event.preventDefault();
    step(to());
  });
  list.addEventListener("click", (event) => {
    const item = /** @type {Element} */ (event.target).closest('[role="option"]');
    if (item !== null) step([...list.children].indexOf(item));
  });
  part("first").addEventListener("click", () => step(0));
  part("previous").addEventListener("click", () => step(index - 1));
  part("next").addEventListener("click", () => step(index + 1));
  part("last").addEventListener("click", () => step(passes.length - 1));

  return {
    /** @param {string} name */
    setTitle(name) {
      title.textContent = name;
      list.setAttribute("aria-label", `Passes of ${name}; arrow keys step through them`);
    },
    /** @param {string} state what it is doing, for sighted people; the page's status says it to others */
    setState(state) {
      part("state").textContent = state;
    },
    /** Shows the passes so far, at the last one. @param {readonly Pass[]} some */
    setPasses(some) {
      const kept = some.length >= passes.length && passes.every((pass, i) => pass === some[i]) ? passes.length : 0;
      if (kept === 0) {
        list.replaceChildren();
        text.replaceChildren();
        index = -1;
      }
      list.append(...some.slice(kept).map((pass, i) => itemOf(pass, kept + i)));
      passes = [...some];
      show(passes.length - 1);
    },
    show,
  };
}
