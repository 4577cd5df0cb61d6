/** Which parser chat templates have: Jinja's. Its twin loads it when it is needed. */
export { parseTemplate } from "./jinja/template.ts";
