/**
 * The shell of a report: one HTML page without outside parts, light or dark as its reader has it. Its policy lets no
 * script run but its own. Knows nothing of what is on the page.
 */
import { createHash } from "node:crypto";
import { escaped } from "../drawing/markup.ts";
import { DARK, LIGHT, type Scheme } from "../drawing/picture.ts";

/** A scheme's colours by name, those of the series as `--c0` and so on. */
function variables({ series, ...named }: Scheme): string {
  const colors = [...Object.entries(named), ...series.map((color, i) => [`c${i}`, color] as const)];
  return colors.map(([name, color]) => `--${name}: ${color};`).join(" ");
}

const STYLE = `
:root { color-scheme: light dark; --panel: #f5f7f9; ${variables(LIGHT)} }
@media (prefers-color-scheme: dark) { :root { --panel: #171d24; ${variables(DARK)} } }
* { box-sizing: border-box; }
body { margin: 0 auto; padding: 24px 20px 60px; max-width: 1060px; background: var(--paper); color: var(--ink);
  font: 15px/1.5 system-ui, sans-serif; }
h1 { font-size: 24px; margin: 0 0 4px; } h2 { font-size: 18px; margin: 36px 0 8px; } h3 { font-size: 15px; margin: 20px 0 6px; }
p { margin: 6px 0; } .note { color: var(--faint); font-size: 13px; max-width: 76ch; }
.wide { overflow-x: auto; } table { border-collapse: collapse; font-size: 13.5px; font-variant-numeric: tabular-nums; }
th, td { padding: 5px 12px 5px 0; text-align: right; white-space: nowrap; unicode-bidi: isolate; }
th { font-weight: 600; } thead th { border-bottom: 1px solid var(--grid); vertical-align: bottom; white-space: normal; max-width: 8.5em; line-height: 1.25; }
th:first-child, td.text, th.text { text-align: left; } tbody th { font-weight: 400; } tr.target th { font-weight: 600; }
td.text { white-space: normal; } td small { display: block; color: var(--faint); font-size: 11.5px; line-height: 1.2; }
figure { margin: 0; } figcaption { font-size: 13px; font-weight: 600; margin-top: 12px; unicode-bidi: isolate; } .bad { color: var(--c1); font-weight: 600; }
svg { display: block; width: 100%; max-width: 860px; height: auto; margin: 10px 0; }
svg text { font: 12px system-ui, sans-serif; fill: var(--ink); } svg .title { font-weight: 600; }
svg .tick, svg .axis { fill: var(--faint); } svg .grid { stroke: var(--grid); stroke-width: 1; }
svg .whisker { fill: none; stroke-width: 1.4; opacity: .55; } svg .line { fill: none; stroke-width: 2; } svg .dashed { stroke-dasharray: 5 4; }
svg .hollow { fill: var(--paper); stroke: var(--faint); stroke-width: 1.6; } svg .label.published { fill: var(--faint); }
${LIGHT.series.map((_, i) => `svg .c${i} { stroke: var(--c${i}); } svg .dot.c${i}, svg text.c${i} { fill: var(--c${i}); stroke: none; }`).join("\n")}
svg g:focus { outline: 2px solid var(--c0); outline-offset: 2px; }
.chip { display: inline-block; width: 10px; height: 10px; border-radius: 5px; margin: 0 6px 0 0; }
${LIGHT.series.map((_, i) => `.chip.c${i} { background: var(--c${i}); }`).join(" ")}
.many { display: grid; grid-template-columns: repeat(auto-fit, minmax(320px, 1fr)); gap: 4px 24px; } .many svg { max-width: 420px; }
details { border-top: 1px solid var(--grid); padding: 8px 0; } summary { cursor: pointer; }
.block { margin: 10px 0 18px; } .step { display: flex; gap: 10px; align-items: center; font-size: 13px; } .step[hidden] { display: none; }
table.trace { border-spacing: 2px; border-collapse: separate; font: 12px ui-monospace, Menlo, Consolas, monospace; }
.trace td { padding: 2px 6px; text-align: left; border-radius: 3px; white-space: pre; } .trace th { color: var(--faint); padding-right: 6px; }
.settled { background: var(--settled); } .early { background: var(--early); } .open { background: var(--open); }
.trace tr.later { visibility: hidden; } .key { padding: 1px 8px; border-radius: 3px; margin-right: 10px; }
code, pre { font: 12.5px ui-monospace, Menlo, Consolas, monospace; } pre { background: var(--panel); padding: 12px; overflow-x: auto; }
`;

/** Steps through trajectories: the slider of a block shows its lines up to one. */
const SCRIPT = `
for (const block of document.querySelectorAll(".block")) {
  const lines = [...block.querySelectorAll("tbody tr")];
  const bar = block.querySelector("input");
  const said = block.querySelector("output");
  const show = () => {
    lines.forEach((line, index) => line.classList.toggle("later", index > Number(bar.value)));
    said.textContent = lines[Number(bar.value)].dataset.says;
  };
  bar.addEventListener("input", show);
  block.querySelector(".step").hidden = false;
  show();
}
`;

/** `title` is text; `body` is HTML, all of whose texts are escaped. */
export function page(title: string, body: string): string {
  const hash = createHash("sha256").update(SCRIPT).digest("base64");
  const policy = `default-src 'none'; style-src 'unsafe-inline'; script-src 'sha256-${hash}'`;
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="${policy}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>${escaped(title)}</title>
<style>${STYLE}</style>
</head>
<body>
${body}
<script>${SCRIPT}</script>
</body>
</html>
`;
}
