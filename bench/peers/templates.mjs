/** The side of cllm in `templates.py`: a line of JSON in for each rendering, a line out. Imports the build. */
import { createInterface } from "node:readline";
import { createChatTemplate } from "../../dist/text/chat.js";

const made = new Map(); // templates by their source
for await (const line of createInterface({ input: process.stdin })) {
  const { template, tokens, messages, tools, variables, continued, add_generation_prompt } = JSON.parse(line);
  let answer;
  try {
    if (!made.has(template)) {
      const source = { kind: "huggingface", tokenizerJson: {}, tokenizerConfig: tokens, chatTemplate: template };
      made.set(template, createChatTemplate(source));
    }
    const options = { continueFinalMessage: continued, addGenerationPrompt: add_generation_prompt };
    answer = { text: made.get(template).render(messages, { ...options, tools, templateOptions: variables }) };
  } catch (error) {
    answer = { error: error.message.slice(0, 200) };
  }
  process.stdout.write(`${JSON.stringify(answer)}\n`);
}
