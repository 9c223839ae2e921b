import { assertEquals } from "../std.ts";
import { runProgram } from "../program.ts";
import { scenarios } from "../scenarios/datagrams/all.ts";

/** Without deno.json there is no `"unstable": ["net"]`, hence no `Deno.listenDatagram`. */
async function runWithoutFlag(source: string, flags: string[]): Promise<string> {
  const { code, stdout, stderr } = await runProgram(`console.log(typeof Deno.listenDatagram);\n${source}`, { flags });
  assertEquals([code, stderr], [0, ""]);
  const [type, ...lines] = stdout.split("\n");
  assertEquals(type, "undefined");
  return lines.join("\n");
}

Deno.test("createDatagramEndpoint() keeps the same promises over node:dgram, without --unstable-net", async (t) => {
  const [lists, kit] = ["../scenarios/datagrams/all.ts", "./kit.ts"].map((path) =>
    JSON.stringify(import.meta.resolve(path))
  );
  const output = await runWithoutFlag(
    `import { endpointsOf } from ${kit};
    import { scenarios } from ${lists};
    import { getRunningLoop } from "@tandem/io";
    const endpoints = endpointsOf(getRunningLoop());
    for (const { name, run } of scenarios) {
      console.log(JSON.stringify([name, await run(endpoints).catch((error) => String(error))]));
    }`,
    ["--allow-net", "--allow-read"],
  );
  const seen = new Map(output.trimEnd().split("\n").map((line) => JSON.parse(line) as [string, unknown[]]));
  assertEquals([...seen.keys()], scenarios.map(({ name }) => name));
  for (const { name, expected } of scenarios) {
    await t.step(name, () => assertEquals(seen.get(name), expected));
  }
});

Deno.test("createDatagramEndpoint() echoes with --allow-net alone and ends by itself, without --unstable-net", async () => {
  const output = await runWithoutFlag(
    `import { DatagramProtocol, getRunningLoop } from "@tandem/io";
    class Echo extends DatagramProtocol {
      connectionMade(transport) {
        this.transport = transport;
      }
      datagramReceived(data, addr) {
        this.transport.sendto(data, addr);
      }
    }
    class Client extends DatagramProtocol {
      datagramReceived(data) {
        console.log(new TextDecoder().decode(data));
        server.close();
        client.close();
      }
      connectionLost(error) {
        console.log("lost", error);
      }
    }
    const loop = getRunningLoop();
    const [server] = await loop.createDatagramEndpoint(() => new Echo(), { localAddr: { hostname: "127.0.0.1", port: 0 } });
    const [client] = await loop.createDatagramEndpoint(() => new Client(), { remoteAddr: server.getExtraInfo("sockname") });
    client.sendto(new TextEncoder().encode("hello"));`,
    ["--allow-net"],
  );
  assertEquals(output, "hello\nlost null\n");
});

Deno.test("createDatagramEndpoint() with a path rejects with NotSupported that names the flag, without --unstable-net", async () => {
  const output = await runWithoutFlag(
    `import { getRunningLoop } from "@tandem/io";
    for (const options of [{ localAddr: { path: "socket" } }, { remoteAddr: { path: "socket" } }]) {
      await getRunningLoop().createDatagramEndpoint(() => ({}), options).catch((error) => {
        console.log(error instanceof Deno.errors.NotSupported, error.message.includes("--unstable-net"));
      });
    }`,
    ["-A"],
  );
  assertEquals(output, "true true\ntrue true\n");
});
