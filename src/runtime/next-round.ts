/** The next round of the event loop, in Node and in browsers, which have no `setImmediate` and delay timers by milliseconds. */
export const nextRound: (call: () => void) => void =
  typeof setImmediate === "function"
    ? (call) => void setImmediate(call)
    : (call) => {
        const { port1, port2 } = new MessageChannel();
        port1.addEventListener("message", () => {
          port1.close();
          call();
        });
        port1.start();
        port2.postMessage(null);
      };
