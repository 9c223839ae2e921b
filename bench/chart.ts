/** The ratios to the bare loop as a plain SVG, 800 wide: a panel for each workload, a bar for each server. */
import type { Measured, Result } from "./measure.ts";
import { bareRow, isLessBetter, type Surroundings } from "./report.ts";
import { ON_EPOLL } from "./servers.ts";
import { ratio } from "./statistics.ts";
import { CHARTED } from "./workloads.ts";

const WIDTH = 800;
const COLUMNS = 2;
const MARGIN = 20;
const HEAD = 84;
const PANEL_WIDTH = (WIDTH - MARGIN * (COLUMNS + 1)) / COLUMNS;
const TITLE = 28;
const ROW = 18;
const BAR = 12;
const LABEL = 186;
const VALUE = 36;
const BARS = PANEL_WIDTH - LABEL - VALUE;
/** One bar that is many times as long must not press the others into a corner; its number tells. */
const MOST = 2.5;

/**
 * An `img` in a page is a document of its own: these follow the reader's system. The page's theme may be the other
 * one, hence the background. No variables, which some renderers lack.
 */
const STYLE = `
  text { font: 12px system-ui, "Segoe UI", "Noto Sans", Helvetica, Arial, sans-serif; fill: #1f2328; }
  .back { fill: #ffffff; }
  .head { font-size: 16px; font-weight: 600; }
  .title { font-size: 13px; font-weight: 600; }
  .hint { font-size: 12px; font-weight: 400; }
  .end { text-anchor: end; }
  .value { paint-order: stroke; stroke: #ffffff; stroke-width: 4px; }
  .dim { fill: #59636e; }
  text.tandem { font-weight: 600; fill: #0969da; }
  text.epoll { font-weight: 600; fill: #1a7f37; }
  rect.tandem { fill: #0969da; }
  rect.epoll { fill: #1a7f37; }
  rect.bare { fill: #6e7781; }
  rect.peer { fill: #afb8c1; }
  rect.limit { fill: #d8dee4; }
  line { stroke: #59636e; stroke-dasharray: 3 3; }
  @media (prefers-color-scheme: dark) {
    text { fill: #f0f6fc; }
    .back { fill: #0d1117; }
    .dim { fill: #9198a1; }
    .value { stroke: #0d1117; }
    text.tandem { fill: #4493f8; }
    text.epoll { fill: #3fb950; }
    rect.tandem { fill: #4493f8; }
    rect.epoll { fill: #3fb950; }
    rect.bare { fill: #8b949e; }
    rect.peer { fill: #565e68; }
    rect.limit { fill: #363d46; }
    line { stroke: #9198a1; }
  }
`;

/**
 * Draws what was measured: the workloads that stand for all, or all where none of those is there.
 *
 * @param measured The workloads.
 * @param surroundings What the reader must know.
 */
export function chart(measured: Measured[], { machine, date, versions }: Surroundings): string {
  const chosen = measured.filter(({ workload }) => CHARTED.includes(workload.name));
  const drawn = chosen.length > 0 ? chosen : measured;
  const bottoms = new Array<number>(COLUMNS).fill(HEAD);
  const panels: string[] = [];
  for (const one of drawn) {
    const bars = toBars(one.results, isLessBetter(one.workload));
    if (bars.length === 0) continue;
    // The shorter column takes it.
    const column = bottoms.indexOf(Math.min(...bottoms));
    panels.push(panel(one, bars, MARGIN + column * (PANEL_WIDTH + MARGIN), bottoms[column]!));
    bottoms[column]! += TITLE + bars.length * ROW + MARGIN;
  }
  const height = Math.max(...bottoms);
  const known = Object.entries(versions).map(([name, version]) => `${name} ${version}`).join(", ");
  return `<svg xmlns="http://www.w3.org/2000/svg" width="${WIDTH}" height="${height}" viewBox="0 0 ${WIDTH} ${height}" role="img" aria-labelledby="t d">
<title id="t">Tandem beside the bare Deno loop and its peers</title>
<desc id="d">${escape(describe(drawn))}</desc>
<style>${STYLE}</style>
<rect class="back" width="${WIDTH}" height="${height}" rx="6"/>
<text class="head" x="${MARGIN}" y="30">Ratio to a bare loop over Deno's own sockets (dashed). Tandem is blue, on epoll green.</text>
<text class="dim" x="${MARGIN}" y="50">${escape(`${machine}; ${date}`)}</text>
<text class="dim" x="${MARGIN}" y="67">${escape(known)}</text>
${panels.join("\n")}
</svg>
`;
}

interface Bar {
  label: string;
  group: Result["group"];
  value: number;
}

/** The rows to draw. A peer that has several is drawn by its best. */
function toBars(results: Result[], lessIsBetter: boolean): Bar[] {
  const bars = new Map<string, Bar>();
  for (const result of results) {
    const value = ratio(result, bareRow(results));
    if (value === null || result.group === "rules") continue;
    const { server, group } = result;
    const label = group === "peer" ? server.split(",")[0]! : server;
    const former = bars.get(label)?.value;
    if (former === undefined || (lessIsBetter ? value < former : value > former)) {
      bars.set(label, { label, group, value });
    }
  }
  const all = [...bars.values()];
  const number = (group: Result["group"]) => all.filter((bar) => bar.group === group).length;
  return all.map((bar) => {
    if (bar.group !== "tandem" && bar.group !== "epoll") return bar;
    return { ...bar, label: shorten(bar.label, number(bar.group) > 1) };
  });
}

/** The colour says that it is Tandem, and whether on epoll; those who cannot see it read "epoll". */
function shorten(server: string, several: boolean): string {
  const [engine, ...way] = server.split(", ");
  if (!several) return engine!;
  const short = way.join(", ").replace("BufferedProtocol", "Buffered");
  return engine === ON_EPOLL ? `epoll: ${short}` : short;
}

function panel({ workload }: Measured, bars: Bar[], x: number, y: number): string {
  const most = Math.min(Math.max(...bars.map(({ value }) => value), 1), MOST);
  const scale = BARS / most;
  const start = x + LABEL;
  const one = (start + scale).toFixed(1);
  const rects: string[] = [];
  const texts: string[] = [];
  for (const [index, { label, group, value }] of bars.entries()) {
    const top = y + TITLE + index * ROW;
    const base = top + BAR - 2;
    const length = Math.max(1, Math.min(value, most) * scale);
    const end = (start + length + 6).toFixed(1);
    rects.push(`<rect class="${group}" x="${start}" y="${top}" width="${length.toFixed(1)}" height="${BAR}" rx="2"/>`);
    texts.push(`<text class="end ${group}" x="${start - 8}" y="${base}">${escape(label)}</text>`);
    texts.push(`<text class="dim value" x="${end}" y="${base}">${value.toFixed(2)}</text>`);
  }
  const hint = isLessBetter(workload) ? ` <tspan class="dim hint">(less is better)</tspan>` : "";
  // The figures come last, over the line.
  return `<text class="title" x="${x}" y="${y + 14}">${escape(workload.title)}${hint}</text>
${rects.join("\n")}
<line x1="${one}" x2="${one}" y1="${y + TITLE - 5}" y2="${y + TITLE + bars.length * ROW - 1}"/>
${texts.join("\n")}`;
}

/** For those who cannot see it. */
function describe(drawn: Measured[]): string {
  return drawn.map(({ workload, results }) => {
    const values = toBars(results, isLessBetter(workload)).map(({ label, value }) => `${label} ${value.toFixed(2)}`);
    return `${workload.title}: ${values.join(", ")}.`;
  }).join(" ");
}

function escape(text: string): string {
  return text.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll('"', "&quot;");
}
