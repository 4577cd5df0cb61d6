/** The answers of `spider-target` to training questions, which whatever guesses for it learns from. */
import type { OwnAnswers } from "../answers.ts";
import { GROUP, readData } from "./recipe.ts";

export const spiderAnswers: OwnAnswers & { readonly task: string } = {
  ...{ task: "spider", readData, adapter: "spider-target", chat: false, answerTokens: 128, keepTogether: GROUP },
};
