/** Electron's side of the example's model process: asks it twice, stops the second answer, and prints what came. */
import { EventEmitter } from "node:events";
import { register } from "node:module";
import { pathToFileURL } from "node:url";

const [file, path, prompt] = process.argv.slice(2);
const port = new EventEmitter();
const said = [];
port.postMessage = (message) => {
  said.push(message);
  if (message.id === 1 && message.stats) {
    port.emit("message", { data: { id: 2, prompt } });
    port.emit("message", { data: { id: 2, abort: true } });
  }
  if (message.id === 2 && message.error) {
    console.log(JSON.stringify(said));
    process.exit(0);
  }
};
// The example's `cllm` is this checkout's.
const dist = JSON.stringify(new URL("../../dist/index.js", import.meta.url).href);
const hook = `export const resolve = (name, all, next) => next(name === "cllm" ? ${dist} : name, all);`;
register(`data:text/javascript,${encodeURIComponent(hook)}`);
process.parentPort = port;
process.argv[2] = path;
await import(pathToFileURL(file).href);
port.emit("message", { data: { id: 1, prompt } });
