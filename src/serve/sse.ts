/** Server-sent events: objects as they come, to a connection or a response's body. Knows nothing of what they say. */
import { once } from "node:events";
import type { ServerResponse } from "node:http";

/** What a stream of events is sent with. */
export const EVENT_HEADERS = {
  "Content-Type": "text/event-stream; charset=utf-8",
  "Cache-Control": "no-cache, no-transform",
  "Transfer-Encoding": "chunked",
  "X-Accel-Buffering": "no",
} as const;
const END = "data: [DONE]\n\n";

const frame = (object: object): string => `data: ${JSON.stringify(object)}\n\n`;

export interface EventSource {
  readonly objects: AsyncGenerator<object, void, void>;
  /** What failed meanwhile, as an object: it becomes an event too, because the status is said already. */
  readonly describe: (error: unknown) => object;
}

/**
 * Writes each object to a connection as an event, as fast as its reader takes them, and `[DONE]` after the last. A reader that
 * goes away ends `objects`. Node's own response and no web stream, which would take promises of its own for each event and a
 * write of its own for the headers.
 */
export async function writeEvents(
  outgoing: ServerResponse,
  headers: Readonly<Record<string, string>>,
  { objects, describe }: EventSource,
): Promise<void> {
  let end = END;
  outgoing.writeHead(200, { ...headers, ...EVENT_HEADERS }); // goes out with the first event
  try {
    for await (const object of objects) {
      if (outgoing.destroyed) return;
      if (!outgoing.write(frame(object))) await drained(outgoing);
    }
  } catch (error) {
    if (outgoing.destroyed) return;
    end = frame(describe(error));
  }
  outgoing.end(end);
}

/** Until the connection takes more, or is gone. */
async function drained(outgoing: ServerResponse): Promise<void> {
  const either = new AbortController();
  const { signal } = either;
  try {
    await Promise.race([once(outgoing, "drain", { signal }), once(outgoing, "close", { signal })]);
  } finally {
    either.abort();
  }
}

/** The same as a body, for where there is no connection. */
export function eventStream({ objects, describe }: EventSource): ReadableStream<Uint8Array> {
  let gone = false;
  const encoder = new TextEncoder();
  return new ReadableStream<Uint8Array>({
    async pull(controller) {
      let text = END;
      let last = true;
      try {
        const { done, value } = await objects.next();
        if (!done) [text, last] = [frame(value), false];
      } catch (error) {
        if (!gone) text = frame(describe(error));
      }
      if (gone) return; // meanwhile
      controller.enqueue(encoder.encode(text));
      if (last) controller.close();
    },
    async cancel() {
      gone = true;
      await objects.return();
    },
  });
}
