/**
 * The server's routes in a server of one's own, over a model of this process. A program of your own imports from "hono", "cllm"
 * and "cllm/serve", and listens with `serve({ fetch: app.fetch })` of "@hono/node-server".
 */
import { Hono } from "hono";
import { load } from "../src/index.ts";
import { createApp, createModels, inThisProcess } from "../src/serve/index.ts";

/** The app, with OpenAI's routes below `/llm`; disposing of it ends the model. */
export async function main(pathOrId: string): Promise<{ app: Hono } & AsyncDisposable> {
  const model = await load(pathOrId, { precision: "fp32", keep: 4 });
  const models = createModels([{ name: "mine", start: async () => inThisProcess(model) }], {
    maxRunning: 4,
    maxWaiting: 64,
  });
  const app = new Hono();
  app.get("/", (c) => c.text("my own page"));
  app.route("/llm", createApp({ models, localNamesOnly: false }));
  return {
    app,
    async [Symbol.asyncDispose]() {
      await models[Symbol.asyncDispose]();
      await model.dispose();
    },
  };
}
