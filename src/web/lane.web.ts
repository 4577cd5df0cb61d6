/** A lane of the demo: a title, the text in the colours of its passes, and figures below. Knows no model. */

const COLOURS = 6;

export interface Lane {
  readonly element: HTMLElement;
  /** Shows what one pass added. */
  add(text: string): void;
  /** Shows the figures. */
  say(figures: string): void;
  clear(): void;
}

/** A new lane, to be put into the page, with a heading of the level that the place wants. */
export function laneOf(title: string, level: "h2" | "h3"): Lane {
  const element = document.createElement("div");
  element.className = "lane";
  const heading = document.createElement(level);
  heading.textContent = title;
  const code = document.createElement("code");
  const figures = document.createElement("p");
  element.append(heading, code, figures);
  let passes = 0;
  return {
    element,
    add(text) {
      if (text === "") return;
      const span = document.createElement("span");
      span.className = `pass c${passes++ % COLOURS}`;
      span.textContent = text;
      code.append(span);
    },
    say(line) {
      figures.textContent = line;
    },
    clear() {
      passes = 0;
      code.replaceChildren();
      figures.textContent = "";
    },
  };
}

/** "1 pass", "2 passes". */
export const passCount = (count: number): string => (count === 1 ? "1 pass" : `${count} passes`);
