/** The benchmark: what it is asked, what it reads, what it makes of its figures. */
import { fileURLToPath } from "node:url";
import { chart } from "../../bench/chart.ts";
import type { Measured, Result } from "../../bench/measure.ts";
import { parseLatency, parseLoad, parseOwn, parseWrk } from "../../bench/methods.ts";
import { isOf, type Options, parseOptions, usage, UsageError } from "../../bench/options.ts";
import { closingLines, json, restore, type Surroundings, table } from "../../bench/report.ts";
import { BARE, findServers, ON_EPOLL, TANDEM } from "../../bench/servers.ts";
import { geometricMean, median, ratio, summarize } from "../../bench/statistics.ts";
import type { Tools } from "../../bench/tools.ts";
import { CHARTED, ECHO_WORKLOADS, type Subject, WORKLOADS } from "../../bench/workloads.ts";
import { EpollEngine } from "../../engines/epoll/mod.ts";
import { assert, assertEquals, assertGreaterOrEqual, assertStringIncludes, assertThrows } from "../std.ts";
import { tempPath } from "../kit.ts";
import { execute } from "../program.ts";

const SURROUNDINGS: Surroundings = {
  date: "2026-01-02",
  machine: "an abacus, 2 cores",
  versions: { Deno: "2.9.6" },
  command: "deno task bench",
  pinned: true,
  missing: [],
};

function row(server: string, rounds: (number | null)[], loadBusy: number | null = null): Result {
  const group = server === BARE
    ? "bare"
    : server.startsWith(ON_EPOLL)
    ? "epoll"
    : server.startsWith("Tandem")
    ? "tandem"
    : server === "C epoll"
    ? "limit"
    : "peer";
  return { server, group, rounds, loadBusy };
}

function measured(name: string, results: Result[], unit: Subject["unit"] = "req"): Measured {
  return { workload: { name, title: `Title of ${name}`, unit }, results };
}

Deno.test("parseOptions() has defaults, and takes what it is given", () => {
  const defaults: Options = {
    seconds: 2,
    rounds: 5,
    workloads: [],
    servers: [],
    idleConnections: 2000,
    json: undefined,
    chart: undefined,
    from: [],
  };
  assertEquals(parseOptions([]), defaults);
  assertEquals(parseOptions(["--quick", "--full"]), { ...defaults, seconds: 1, rounds: 3, idleConnections: 8000 });
  assertEquals(
    parseOptions(
      "--seconds 0.5 --rounds 2 --workload udp --workload tls --server Bun --json a --chart b --from c".split(" "),
    ),
    {
      ...defaults,
      seconds: 0.5,
      rounds: 2,
      workloads: ["udp", "tls"],
      servers: ["Bun"],
      json: "a",
      chart: "b",
      from: ["c"],
    },
  );
  assertEquals(parseOptions(["--help"]), "help");
});

Deno.test("parseOptions() refuses what makes no sense", () => {
  for (
    const args of ["--seconds 0", "--seconds x", "--rounds -1", "--rounds 1000", "--workload nothing", "--svg a", "a"]
  ) {
    assertThrows(() => parseOptions(args.split(" ")), UsageError);
  }
});

Deno.test("isOf() takes a workload by its name or its family's", () => {
  assert(isOf("echo-1x1k", "echo-1x1k"));
  assert(isOf("echo-1x1k", "echo"));
  assert(!isOf("tls-echo-10x100k", "echo"));
  assert(!isOf("echo-1x1k", "echo-1"));
  assert(!isOf("udp", ""));
});

Deno.test("the workloads have a name each, and those that stand for others exist", () => {
  const names = WORKLOADS.map(({ name }) => name);
  assertEquals(new Set(names).size, names.length);
  for (const name of [...CHARTED, ...ECHO_WORKLOADS]) assert(names.includes(name), name);
  for (const name of names) assertStringIncludes(usage(), ` ${name} `);
});

const epoll = EpollEngine.isSupported();

Deno.test(
  `findServers() has Tandem on epoll in every workload${epoll.supported ? "" : ` (skipped: ${epoll.reason})`}`,
  {
    ignore: !epoll.supported,
  },
  async () => {
    const tools: Tools = {
      load: "",
      latency: "",
      epollEcho: "",
      pipe: "",
      tlsEcho: "",
      tlsLoad: "",
      wrk: "",
      missing: [],
    };
    const { servers } = await findServers(tools, "/nowhere");
    const onEpoll = servers.filter(({ group }) => group === "epoll");
    assert(onEpoll.length >= 4 && onEpoll.every(({ name }) => name.startsWith(ON_EPOLL)));
    for (const { mode } of WORKLOADS) assert(onEpoll.some(({ modes }) => modes.includes(mode)), mode);
    // Each has a twin on Deno's sockets, which does the same.
    for (const { name, modes, command } of onEpoll) {
      if (name.endsWith("node:tls")) continue; // It has one on epoll.
      if (name.endsWith("one buffer for all")) continue; // Deno's sockets read into memory before bytes are there.
      const twin = servers.find((server) => server.name === name.replace(ON_EPOLL, "Tandem"))!;
      assertEquals(modes, twin.modes);
      assertEquals(command("echo").join(" ").replace(" epoll echo ", " deno echo "), twin.command("echo").join(" "));
    }
  },
);

Deno.test("parseLoad() reads a figure and how busy the load was", () => {
  assertEquals(parseLoad("287920.304 0.987\n"), { figures: [287920.304], loadBusy: 0.987 });
  for (const text of ["", "1", "1 2 3", "a b", "nan 0.5"]) assertThrows(() => parseLoad(text), Error, "it printed");
});

Deno.test("parseOwn() finds the result among other lines", () => {
  assertEquals(parseOwn("Warning: something\nresult 12.5\n"), { figures: [12.5], loadBusy: null });
  assertThrows(() => parseOwn("no result 5 here"), Error, "it gave no result but: no result 5 here");
  assertThrows(() => parseOwn("result NaN"), Error, "it printed");
});

Deno.test("parseWrk() reads the rate, and the time that wrk itself worked", () => {
  const text = (more: string) =>
    `Running 2s test\n  261138 requests in 2.00s, 240MB read\n${more}Requests/sec: 122412.08\nTransfer/sec: 1MB\n`;
  assertEquals(parseWrk(`${text("")}0m0.000s 0m0.000s\n0m0.5s 0m1.1s\n`, 2), { figures: [122412.08], loadBusy: 0.8 });
  assertEquals(parseWrk(`${text("")}0m0.00s 0m0.00s\n1m30s 0m30s\n`, 240).loadBusy, 0.5);
  assertEquals(parseWrk(`${text("")}0m0.00s 0m0.00s\n0m0.6s 0m0.5s\n`, 1).loadBusy, 1);
  assertEquals(parseWrk(text(""), 2).loadBusy, null);
});

Deno.test("parseWrk() refuses a rate of failures", () => {
  for (const line of ["Socket errors: connect 0, read 32, write 0, timeout 0", "Non-2xx or 3xx responses: 5"]) {
    assertThrows(() => parseWrk(`  ${line}\nRequests/sec: 10\n`, 1), Error, `wrk: ${line}`);
  }
  assertThrows(() => parseWrk("unable to connect", 1), Error, "it printed");
});

Deno.test("parseLatency() reads percentiles, the load's own lateness and the share that was answered", () => {
  assertEquals(parseLatency("0.000021 0.003 0.0041 0.0001 0.9950\n"), {
    percentiles: [0.000021, 0.003, 0.0041],
    lateness: 0.0001,
    answered: 0.995,
  });
  assertThrows(() => parseLatency("0.1 0.2 0.3"), Error, "it printed");
});

Deno.test("median() is the middle one, or between the two in the middle", () => {
  assertEquals(median([3, 1, 2]), 2);
  assertEquals(median([10, 1, 2, 3]), 2.5);
});

Deno.test("summarize() leaves out rounds that failed", () => {
  assertEquals(summarize(row("a", [5, null, 1, 3])), { median: 3, min: 1, max: 5 });
  assertEquals(summarize(row("a", [null])), null);
});

Deno.test("ratio() divides round by round, where both have one", () => {
  // By medians it would be 1.
  assertEquals(ratio(row("a", [1, 20, 3]), row("b", [2, 10, 3])), 1);
  assertEquals(ratio(row("a", [1, 20, 30]), row("b", [2, 10, 10])), 2);
  assertEquals(ratio(row("a", [1, null, 30, 4]), row("b", [2, 10, null, 0])), 0.5);
  assertEquals(ratio(row("a", [1]), row("b", [null])), null);
  assertEquals(ratio(row("a", [1]), undefined), null);
});

Deno.test("geometricMean() wants both servers in all workloads", () => {
  const both = [
    measured("x", [row("a", [4]), row("b", [1])]),
    measured("y", [row("a", [1]), row("b", [1])]),
  ];
  assertEquals(geometricMean(both, ["x", "y"], "a", "b"), 2);
  assertEquals(geometricMean(both, ["x", "y", "z"], "a", "b"), null);
  assertEquals(geometricMean(both, ["x", "y"], "a", "c"), null);
});

Deno.test("table() has the median, the spread, and the ratios to and from Tandem", () => {
  const text = table(measured("udp", [
    row(BARE, [100_000, 120_000, 110_000]),
    row(TANDEM, [50_000, 60_000, 55_000]),
    row("Node", [25_000, 30_000, 27_500]),
    row("Bun", [null, null, null]),
    row(`${ON_EPOLL}, Protocol, write`, [190_000, 228_000, 209_000]),
    row("C epoll", [200_000, 240_000, 220_000]),
  ]));
  assertEquals(text.split("\n").map((line) => line.trim().replace(/ {2,}/g, " | ")), [
    "udp: Title of udp (thousand req/s)",
    "median | min to max | of bare | of C | Tandem is",
    `${BARE} | 110.0 | 100.0 to 120.0 | 1.00 | 0.50 | 0.50`,
    `${TANDEM} | 55.0 | 50.0 to 60.0 | 0.50 | 0.25 | 1.00`,
    "Node | 27.5 | 25.0 to 30.0 | 0.25 | 0.13 | 2.00",
    "Bun | failed | - | - | -",
    `${ON_EPOLL}, Protocol, write | 209.0 | 190.0 to 228.0 | 1.90 | 0.95 | 0.26`,
    "C epoll | 220.0 | 200.0 to 240.0 | 2.00 | 1.00 | 0.25",
  ]);
  assertStringIncludes(table(measured("latency-p50", [row(BARE, [0.000021])], "s")), "  21     21 to 21");
  assertStringIncludes(table(measured("memory", [row(BARE, [11264])], "B")), "(KiB, less is better)");
  // A ratio to nothing is none.
  const idle = table(measured("idle-cpu", [row(BARE, [0]), row(TANDEM, [0.01])], "cpu")).split("\n");
  assertStringIncludes(idle[0]!, "(% of a core, less is better)");
  assertEquals(idle.at(-1)!.trim().split(/ {2,}/), [TANDEM, "1.00", "1.00 to 1.00", "-", "-", "1.00"]);
});

Deno.test("closingLines() names who is missing, and where the load may be all that was measured", () => {
  const lines = closingLines([
    measured("one-way-in", [row(BARE, [10], 0.5), row(TANDEM, [10], 0.99), row("C epoll", [15], 1)]),
    measured("pipe", [row(BARE, [10])]),
  ], { ...SURROUNDINGS, pinned: false, missing: [{ name: "Bun", reason: "no `bun` on the PATH" }] });
  assert(lines.includes("missing:    Bun (no `bun` on the PATH)"));
  assert(lines.some((line) => line.startsWith("not pinned: ")));
  assertEquals(lines.filter((line) => line.startsWith("load: ")), [
    "load:       one-way-in: busy 99 % at most under the servers; C epoll reaches 1.50 of the fastest of them; " +
    `IT MAY BE THE BOTTLENECK under ${TANDEM}`,
  ]);
});

Deno.test("closingLines() sums echo up only where all four were measured", () => {
  const echoes = ECHO_WORKLOADS.map((name) => measured(name, [row(BARE, [100]), row(TANDEM, [90]), row("Node", [45])]));
  const sum = (of: Measured[]) => closingLines(of, SURROUNDINGS).filter((line) => line.startsWith("echo, geometric"));
  const onEpoll = `${ON_EPOLL}, Protocol, write`;
  const withC = ECHO_WORKLOADS.map((name) =>
    measured(name, [row(BARE, [100]), row(onEpoll, [95]), row("C epoll", [100])])
  );
  assertEquals(sum(withC), [`echo, geometric mean of the four, ${onEpoll}: 0.95 of ${BARE}; 0.95 of C epoll`]);
  assertEquals(sum(echoes), [`echo, geometric mean of the four, ${TANDEM}: 0.90 of ${BARE}; 2.00 of Node`]);
  assertEquals(sum(echoes.slice(1)), []);
});

Deno.test("json() has medians, spreads, the ratio to the bare loop and to each peer, and restore() reads it", () => {
  const results = [row(BARE, [4, 4], 0.5), row(TANDEM, [2, 4]), row("Bun", [null, null])];
  const text = json([measured("udp", results, "dgram")], SURROUNDINGS);
  assertEquals(JSON.parse(text).workloads[0].results[1], {
    server: TANDEM,
    group: "tandem",
    rounds: [2, 4],
    loadBusy: null,
    median: 3,
    min: 2,
    max: 4,
    ofBare: 0.75,
    of: { [BARE]: 0.75, Bun: null },
  });
  const { measured: [one], surroundings } = restore([text]);
  assertEquals(table(one!), table(measured("udp", results, "dgram")));
  assertEquals(surroundings, SURROUNDINGS);
});

Deno.test("restore() joins runs: a later workload replaces an earlier one of its name", () => {
  const run = (command: string, missing: string, ...workloads: Measured[]) =>
    json(workloads, { ...SURROUNDINGS, command, missing: [{ name: missing, reason: "why" }] });
  const { measured: all, surroundings } = restore([
    run("a", "Bun", measured("udp", [row(BARE, [1])]), measured("pipe", [row(BARE, [2])])),
    run("b", "Bun", measured("tls", [row(BARE, [3])]), measured("udp", [row(BARE, [4])])),
  ]);
  assertEquals(all.map(({ workload, results }) => [workload.name, results[0]!.rounds]), [
    ["udp", [4]],
    ["pipe", [2]],
    ["tls", [3]],
  ]);
  assertEquals(surroundings.command, "a; b");
  assertEquals(surroundings.missing, [{ name: "Bun", reason: "why" }]);
  assertThrows(() => restore(["{}"]), Error, "no file that --json has written");
});

Deno.test("chart() draws the workloads that stand for all, a peer once, by its best", () => {
  const results = [
    row(BARE, [100]),
    row(TANDEM, [90]),
    row("Tandem, BufferedProtocol, write", [95]),
    row(`${ON_EPOLL}, Protocol, write`, [150]),
    row("asyncio, Protocol", [70]),
    row("asyncio, BufferedProtocol", [80]),
    row("Bun", [null]),
  ];
  const svg = chart([measured("udp", results), measured("pipe", results)], SURROUNDINGS);
  const [, description] = /<desc id="d">(.*)<\/desc>/.exec(svg)!;
  assertEquals(
    description,
    `Title of udp: ${BARE} 1.00, Protocol, write 0.90, Buffered, write 0.95, ${ON_EPOLL} 1.50, asyncio 0.80.`,
  );
  assertEquals(svg.match(/<rect class="(?!back)/g)?.length, 5);
  assertEquals(svg.match(/<rect class="epoll"/g)?.length, 1);
  const several = chart(
    [measured("udp", [...results, row(`${ON_EPOLL}, BufferedProtocol, write`, [160])])],
    SURROUNDINGS,
  );
  assertStringIncludes(several, "epoll: Protocol, write 1.50, asyncio 0.80, epoll: Buffered, write 1.60.");
  const less = chart([measured("memory", results, "B")], SURROUNDINGS);
  assertStringIncludes(less, "asyncio 0.70.");
  assertStringIncludes(less, "(less is better)");
});

Deno.test("chart() draws whatever there is where nothing stands for all, in light and dark", () => {
  const svg = chart([measured("<a & b>", [row(BARE, [1]), row(TANDEM, [100])])], SURROUNDINGS);
  assertStringIncludes(svg, "Title of &lt;a &amp; b>");
  assertStringIncludes(svg, "prefers-color-scheme: dark");
  assertStringIncludes(svg, "Tandem 100.00.");
  // However long a bar is, it ends within its panel.
  const ends = [...svg.matchAll(/<rect class="\w+" x="(\d+)" y="\d+" width="([\d.]+)"/g)]
    .map(([, x, width]) => Number(x) + Number(width));
  assertEquals(ends.length, 2);
  assert(ends.every((end) => end < 380), String(ends));
});

const hasCompiler = Deno.build.os === "linux" && await runs("cc", "--version");
const ifCompiled = (name: string) => hasCompiler ? name : `${name} (skipped: no cc)`;

async function runs(program: string, ...args: string[]): Promise<boolean> {
  try {
    return (await new Deno.Command(program, { args, stdout: "null", stderr: "null" }).output()).success;
  } catch {
    return false;
  }
}

Deno.test(ifCompiled("latency counts every request of a stall, not one for each connection"), {
  ignore: !hasCompiler,
}, async () => {
  const program = await Deno.makeTempFile();
  const source = fileURLToPath(new URL("../../bench/c/latency.c", import.meta.url));
  assert(await runs("cc", "-O2", "-o", program, source));
  using listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const stall = 0.1;
  let echoed = 0;
  const echo = async (conn: Deno.Conn) => {
    using _conn = conn;
    const buffer = new Uint8Array(4096);
    for (let count; (count = await conn.read(buffer)) !== null;) {
      const before = echoed;
      echoed += count;
      // In the middle of 2,000 requests of 64 bytes, the first 400 of which are warm-up.
      if (before < 64 * 1000 && echoed >= 64 * 1000) {
        Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, stall * 1000);
      }
      for (let sent = 0; sent < count;) sent += await conn.write(buffer.subarray(sent, count));
    }
  };
  const serving = (async () => {
    const connections: Promise<void>[] = [];
    while (connections.length < 4) connections.push(echo(await listener.accept()));
    await Promise.all(connections);
  })();
  const args = [String((listener.addr as Deno.NetAddr).port), "4", "64", "2000", "1"];
  const { success, stdout } = await new Deno.Command(program, { args, stderr: "inherit" }).output();
  await serving.catch(() => {}); // The load just goes.
  await Deno.remove(program);
  assert(success);
  const { percentiles: [, p99], answered } = parseLatency(new TextDecoder().decode(stdout));
  assertEquals(answered, 1);
  // A tenth of a second is 200 of 1,600 requests, but only 4 that were under way.
  assertGreaterOrEqual(p99!, stall * 0.8);
});

Deno.test("deno task bench --from shows again what --json has written, and --chart draws it", async () => {
  using folder = tempPath("run.json");
  const results = [row(BARE, [100, 110]), row(TANDEM, [90, 99])];
  const run = [measured("echo-50x1k", results), measured("latency-p50", results, "s")];
  await Deno.writeTextFile(folder.path, json(run, SURROUNDINGS));
  const script = fileURLToPath(new URL("../../bench/main.ts", import.meta.url));
  const chartPath = `${folder.directory}/chart.svg`;
  const { code, stdout, stderr } = await execute(Deno.execPath(), [
    ...["run", "-A", "--no-check", script, "--from", folder.path, "--workload", "echo", "--chart", chartPath],
  ]);
  assertEquals(code, 0, stderr);
  assertStringIncludes(stdout, table(run[0]!));
  assert(!stdout.includes("latency-p"), stdout);
  assertStringIncludes(await Deno.readTextFile(chartPath), "Title of echo-50x1k");
});
