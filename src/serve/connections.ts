/**
 * Requests of a connection, one at a time: HTTP answers in order, so what a client sends ahead waits on its connection,
 * takes no place of other clients, and ends with its connection. Knows nothing of what is asked.
 */
import type { IncomingMessage, RequestListener, ServerResponse } from "node:http";
import type { Socket } from "node:net";

/** Most requests that a client may send ahead; with one more, its connection is cut. Those who send ahead do it with few. */
export const MAX_AHEAD = 128;

export interface Connections {
  readonly listener: RequestListener;
  /** Requests that are being answered. */
  readonly answering: number;
}

/** `onCut` is told of a connection that is cut. */
export function oneAtATime(answer: RequestListener, onCut: () => void = () => {}): Connections {
  const lines = new WeakMap<Socket, [IncomingMessage, ServerResponse][]>(); // the first is being answered
  let answering = 0;

  function begin(socket: Socket, request: IncomingMessage, response: ServerResponse): void {
    answering++;
    response.once("close", () => {
      answering--;
      const line = lines.get(socket)!;
      line.shift();
      const [next] = line;
      if (next !== undefined && !socket.destroyed) begin(socket, ...next);
    });
    answer(request, response);
  }

  return {
    get answering() {
      return answering;
    },
    listener(request, response) {
      const { socket } = request;
      if (socket.destroyed) return;
      const line = lines.get(socket) ?? [];
      lines.set(socket, line);
      line.push([request, response]);
      if (line.length === 1) begin(socket, request, response);
      if (line.length <= MAX_AHEAD + 1) return;
      onCut();
      socket.destroy();
    },
  };
}
