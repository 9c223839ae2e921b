/** The ratios to the bare loop as a plain SVG: a panel for each workload, a bar for each server. */
import type { Measured, Result } from "./measure.ts";
import { bareRow } from "./report.ts";
import { ratio } from "./statistics.ts";

const WIDTH = 960;
const COLUMNS = 2;
const MARGIN = 24;
const HEAD = 64;
const PANEL_WIDTH = (WIDTH - MARGIN * (COLUMNS + 1)) / COLUMNS;
const TITLE = 30;
const ROW = 18;
const BAR = 12;
const LABEL = 178;
const VALUE = 44;
const BARS = PANEL_WIDTH - LABEL - VALUE;

/** An `img` in a page is a document of its own: these follow the reader's system. No variables, which some lack. */
const STYLE = `
  text { font: 12px system-ui, sans-serif; fill: #1f2328; }
  .head { font-size: 16px; font-weight: 600; }
  .title { font-size: 13px; font-weight: 600; }
  .end { text-anchor: end; }
  .dim { fill: #59636e; }
  text.tandem { font-weight: 600; fill: #0969da; }
  rect.tandem { fill: #0969da; }
  rect.bare { fill: #6e7781; }
  rect.peer { fill: #b7bfc8; }
  rect.limit { fill: #dfe3e8; }
  line { stroke: #59636e; stroke-dasharray: 3 3; }
  @media (prefers-color-scheme: dark) {
    text { fill: #f0f6fc; }
    .dim { fill: #9198a1; }
    text.tandem { fill: #4493f8; }
    rect.tandem { fill: #4493f8; }
    rect.bare { fill: #8b949e; }
    rect.peer { fill: #4b535d; }
    rect.limit { fill: #30363d; }
    line { stroke: #9198a1; }
  }
`;

/**
 * Draws what was measured.
 *
 * @param measured The workloads.
 * @param note What the reader must know: the machine, the command.
 */
export function chart(measured: Measured[], note: string): string {
  const bottoms = new Array<number>(COLUMNS).fill(HEAD);
  const panels: string[] = [];
  for (const one of measured) {
    const bars = toBars(one.results);
    if (bars.length === 0) continue;
    // The shorter column takes it.
    const column = bottoms.indexOf(Math.min(...bottoms));
    panels.push(panel(one, bars, MARGIN + column * (PANEL_WIDTH + MARGIN), bottoms[column]!));
    bottoms[column]! += TITLE + bars.length * ROW + MARGIN;
  }
  const height = Math.max(...bottoms);
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${height}" role="img" aria-labelledby="t d">
<title id="t">Tandem beside the bare Deno loop and its peers</title>
<desc id="d">${escape(describe(measured))}</desc>
<style>${STYLE}</style>
<text class="head" x="${MARGIN}" y="28">Ratio to the bare Deno loop, which is 1</text>
<text class="dim" x="${MARGIN}" y="48">${escape(note)}</text>
${panels.join("\n")}
</svg>
`;
}

interface Bar {
  server: string;
  group: Result["group"];
  value: number;
}

function toBars(results: Result[]): Bar[] {
  return results.flatMap((result) => {
    const value = ratio(result, bareRow(results));
    return value === null ? [] : [{ server: result.server, group: result.group, value }];
  });
}

function panel({ workload }: Measured, bars: Bar[], x: number, y: number): string {
  // One that is many times as far must not press the others into a corner; its number tells.
  const most = Math.min(Math.max(...bars.map(({ value }) => value), 1), 3);
  const scale = BARS / most;
  const start = x + LABEL;
  const rows = bars.map(({ server, group, value }, index) => {
    const top = y + TITLE + index * ROW;
    const length = Math.max(1, Math.min(value, most) * scale).toFixed(1);
    const middle = top + BAR - 2;
    return `<text class="end ${group}" x="${start - 8}" y="${middle}">${escape(server)}</text>
<rect class="${group}" x="${start}" y="${top}" width="${length}" height="${BAR}" rx="2"/>
<text class="dim" x="${start + Number(length) + 6}" y="${middle}">${value.toFixed(2)}</text>`;
  });
  const one = (start + scale).toFixed(1);
  const title = workload.title + (workload.unit === "B" ? " (less is better)" : "");
  return `<text class="title" x="${x}" y="${y + 16}">${escape(title)}</text>
${rows.join("\n")}
<line x1="${one}" x2="${one}" y1="${y + TITLE - 4}" y2="${y + TITLE + bars.length * ROW}"/>`;
}

/** For those who cannot see it. */
function describe(measured: Measured[]): string {
  return measured.map(({ workload, results }) => {
    const values = toBars(results).map(({ server, value }) => `${server} ${value.toFixed(2)}`);
    return `${workload.title}: ${values.join(", ")}.`;
  }).join(" ");
}

function escape(text: string): string {
  return text.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll('"', "&quot;");
}
