/** Takes a lock each time that it is told to, holds it for a moment, and says from when to when: for `lock.test.ts`. */
import { setTimeout as delay } from "node:timers/promises";
import { pathToFileURL } from "node:url";

const [dist] = process.argv.slice(2);
const { acquireLock } = await import(pathToFileURL(`${dist}/files/lock.js`));

process.on("message", async ({ target, at, silentMs }) => {
  await delay(Math.max(0, at - Date.now() - 20));
  while (Date.now() < at); // all at once
  try {
    const lock = await acquireLock(target, { silentMs });
    const from = process.hrtime.bigint();
    await delay(Math.random() * 15);
    lock.check();
    const to = process.hrtime.bigint();
    await lock.release();
    process.send({ from: String(from), to: String(to) });
  } catch (error) {
    process.send({ refused: error.code ?? String(error) });
  }
});
process.send("ready");
