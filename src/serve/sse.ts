/** Server-sent events: objects as they come, to the body of a response. Knows nothing of what they say. */

const encoder = new TextEncoder();

/**
 * A response that writes each object as an event, as fast as its reader takes them, and `[DONE]` after the last. What fails
 * meanwhile becomes an event too, because the status is said already. A reader that goes away ends `objects`.
 */
export function eventStream(
  objects: AsyncGenerator<object, void, void>,
  describe: (error: unknown) => object,
): Response {
  let gone = false;
  const body = new ReadableStream<Uint8Array>({
    async pull(controller) {
      let data = "[DONE]";
      let last = true;
      try {
        const { done, value } = await objects.next();
        if (!done) [data, last] = [JSON.stringify(value), false];
      } catch (error) {
        if (!gone) data = JSON.stringify(describe(error));
      }
      if (gone) return; // meanwhile
      controller.enqueue(encoder.encode(`data: ${data}\n\n`));
      if (last) controller.close();
    },
    async cancel() {
      gone = true;
      await objects.return();
    },
  });
  const headers = {
    "Content-Type": "text/event-stream; charset=utf-8",
    "Cache-Control": "no-cache, no-transform",
    "Transfer-Encoding": "chunked",
    "X-Accel-Buffering": "no",
  };
  return new Response(body, { headers });
}
