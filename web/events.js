/**
 * Server-sent events from the chunks of a response's body. Knows nothing of what the events say.
 */

/**
 * Takes text in pieces, cut anywhere, and gives the data of the events that are complete.
 * @returns {(text: string) => string[]}
 */
export function createEventParser() {
  let rest = "";
  /** @type {string[]} */
  let data = [];
  let first = true;
  return (text) => {
    rest += text;
    if (first && rest !== "") {
      rest = rest.replace(/^\uFEFF/, "");
      first = false;
    }
    /** @type {string[]} */
    const events = [];
    for (;;) {
      const end = /\r\n|\n|\r(?!$)/.exec(rest); // a carriage return at the end may be half of a line's end
      if (end === null) return events;
      const line = rest.slice(0, end.index);
      rest = rest.slice(end.index + end[0].length);
      if (line === "") {
        if (data.length > 0) events.push(data.join("\n"));
        data = [];
      } else if (/^data(?::|$)/.test(line)) data.push(line.slice("data:".length).replace(/^ /, ""));
    }
  };
}

/**
 * The data of a response's events, as they come.
 * @param {Response} response
 * @returns {AsyncGenerator<string, void, void>}
 */
export async function* readEvents(response) {
  if (response.body === null) return;
  const reader = response.body.getReader();
  const decoder = new TextDecoder("utf-8", { ignoreBOM: true });
  const parse = createEventParser();
  try {
    for (;;) {
      const { done, value } = await reader.read();
      yield* parse(done ? decoder.decode() : decoder.decode(value, { stream: true }));
      if (done) return;
    }
  } finally {
    await reader.cancel().catch(() => {}); // where it failed, there is nothing to give up
  }
}
