/**
 * The clock of a replay: both runs from the end of their prompts, at the times that were measured, several times slower
 * where they were too fast to follow. Knows runs by the times at which their passes ended, and shows nothing itself.
 */
import { passAt } from "./run.js";

/**
 * @typedef {object} Racer
 * @property {readonly number[]} ends as `endTimes` gives them
 * @property {(index: number) => void} show called with the last pass that has ended
 */

/**
 * @param {readonly Racer[]} racers
 * @param {(playing: boolean, atEnd: boolean) => void} changed called when it starts, pauses and ends
 */
export function createRace(racers, changed) {
  const length = Math.max(0, ...racers.map(({ ends }) => ends.at(-1) ?? 0));
  let slowdown = 1;
  let time = 0; // of the runs, in milliseconds
  let last = 0; // of the page's clock
  let frame = 0;
  let playing = false;

  const showAll = () => {
    for (const { ends, show } of racers) show(Math.max(0, passAt(ends, time)));
  };
  const stop = () => {
    cancelAnimationFrame(frame);
    playing = false;
    changed(false, time >= length);
  };
  /** @param {number} now */
  const tick = (now) => {
    time = Math.min(length, time + Math.max(0, now - last) / slowdown);
    last = now;
    showAll();
    if (time >= length) stop();
    else frame = requestAnimationFrame(tick);
  };
  return {
    /** From the beginning where it is at its end. */
    play() {
      if (playing) return;
      if (time >= length) time = 0;
      playing = true;
      changed(true, false);
      last = performance.now();
      showAll();
      frame = requestAnimationFrame(tick);
    },
    pause() {
      if (playing) stop();
    },
    toEnd() {
      time = length;
      showAll();
      stop();
    },
    /** @param {number} factor */
    setSlowdown(factor) {
      slowdown = factor;
    },
    get playing() {
      return playing;
    },
  };
}
