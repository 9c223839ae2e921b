/**
 * Whether `deno task bench` still measures: no part of the suite, since it takes a quiet machine and some ten seconds.
 * `deno test -A bench/` runs it.
 */
import { fileURLToPath } from "node:url";
import { assert, assertEquals, assertGreater, assertStringIncludes } from "../tests/std.ts";
import type { Result } from "./measure.ts";
import { BARE, ON_EPOLL } from "./servers.ts";
import { EpollEngine } from "../engines/epoll/mod.ts";

const ON_EPOLL_ROWS = EpollEngine.isSupported().supported
  ? ["Protocol, write", "Protocol, writeOwned", "BufferedProtocol, write", "BufferedProtocol, writeOwned"]
    .map((way) => `${ON_EPOLL}, ${way}`)
  : [];

Deno.test("deno task bench measures, names who is missing, and writes what it can show again", async () => {
  const folder = await Deno.makeTempDir();
  const bench = async (...args: string[]) => {
    const script = fileURLToPath(new URL("main.ts", import.meta.url));
    const command = new Deno.Command(Deno.execPath(), {
      args: ["run", "-A", "--no-check", script, ...args],
      env: { BUN: "/nowhere/bun", NO_COLOR: "1" },
    });
    const { code, stdout, stderr } = await command.output();
    const [out, error] = [stdout, stderr].map((bytes) => new TextDecoder().decode(bytes));
    assertEquals(code, 0, error);
    return out!;
  };
  const json = `${folder}/run.json`;
  const out = await bench(
    ..."--seconds 0.3 --rounds 2 --workload echo-50x1k --workload latency --server epoll --json".split(" "),
    json,
  );
  assertStringIncludes(out, "missing:    Bun (no `bun` on the PATH, nor in the variable BUN)");
  const saved = JSON.parse(await Deno.readTextFile(json));
  const names = saved.workloads.map(({ name }: { name: string }) => name);
  assertEquals(names, ["echo-50x1k", "latency-p50", "latency-p99", "latency-p999"]);
  const [p50, , p999] = saved.workloads.slice(1).map(({ results }: { results: Result[] }) => results[0]!.rounds[0]);
  assertGreater(p999, p50);
  for (const { results } of saved.workloads) {
    const servers = results.map(({ server }: Result) => server);
    assertEquals(servers, [BARE, ...ON_EPOLL_ROWS, "C epoll"]);
    for (const { rounds } of results as Result[]) {
      assertEquals(rounds.length, 2);
      assert(rounds.every((figure) => figure !== null && figure > 0), String(rounds));
    }
  }
  const chart = `${folder}/chart.svg`;
  const again = await bench("--from", json, "--workload", "echo", "--chart", chart);
  const tableOf = (text: string) => /^echo-50x1k: [^]*?\n\n/m.exec(text)?.[0];
  assertEquals(tableOf(again), tableOf(out));
  assert(!again.includes("latency-p"));
  assertStringIncludes(await Deno.readTextFile(chart), "Echo, 50 × 1 KiB");
  await Deno.remove(folder, { recursive: true });
});
