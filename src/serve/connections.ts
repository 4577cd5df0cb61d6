/**
 * Requests of a connection, one at a time: HTTP answers in order, so what a client sends ahead waits on its connection, takes
 * nobody else's place, and is gone with it. Knows nothing of what is asked.
 */
import type { IncomingMessage, RequestListener, ServerResponse } from "node:http";
import type { Socket } from "node:net";

/** Most requests that a client may send ahead. */
export const MAX_AHEAD = 128;
const MAX_IGNORED = 10 * MAX_AHEAD; // then the connection is cut

/** What a connection asked for; the first is being answered. */
interface Line {
  readonly requests: [IncomingMessage, ServerResponse][];
  /** Requests from the first one on that there was no room for: it is refused, and the last one that is answered. */
  beyond: number;
}

export interface Connections {
  readonly listener: RequestListener;
  /** Requests that are being answered. */
  readonly answering: number;
}

/** `refuse` answers a request that is one too many; it is the last of its connection. */
export function oneAtATime(answer: RequestListener, refuse: (response: ServerResponse) => void): Connections {
  const lines = new WeakMap<Socket, Line>();
  let answering = 0;

  function begin(socket: Socket, request: IncomingMessage, response: ServerResponse): void {
    answering++;
    response.once("close", () => {
      answering--;
      const { requests } = lines.get(socket)!;
      requests.shift();
      const [next] = requests;
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
      const line = lines.get(socket) ?? { requests: [], beyond: 0 };
      const { requests } = line;
      lines.set(socket, line);
      if (line.beyond > 0 || requests.length > MAX_AHEAD) {
        line.beyond++;
        if (line.beyond === 1) refuse(response);
        else if (line.beyond > MAX_IGNORED) socket.destroy();
        return;
      }
      requests.push([request, response]);
      if (requests.length === 1) begin(socket, request, response);
    },
  };
}
