/**
 * One contender in a process of its own, so that its threads and its memory are its own. Takes one request at a time
 * over IPC and answers it: `open`, then any number of `generate`, then `close`.
 */
let contender;

const handlers = {
  async open({ adapter, options }) {
    const { open } = await import(adapter);
    contender = await open(options);
    return { version: contender.version };
  },
  generate: ({ prompt, maxNewTokens }) => contender.generate(prompt, maxNewTokens),
  close: () => contender?.close(),
};

process.on("message", async ({ request, ...values }) => {
  try {
    process.send({ value: await handlers[request](values) });
  } catch (error) {
    process.send({ error: error?.stack ?? String(error) });
  }
  if (request === "close") process.disconnect();
});
