/** Servers of several hosts, some of which are the same. */
import { Protocol } from "../../mod.ts";
import { onDenoOnly } from "../engine.ts";
import { assertEquals, assertNotEquals, assertRejects } from "../std.ts";
import { runProgram } from "../program.ts";
import { freePort, hasIpv6, loop, Recorder } from "../kit.ts";

/** Where a server of these hosts listens. */
async function addressesOf(hostname: string[], port: number, options: { reusePort?: boolean } = {}): Promise<string[]> {
  await using server = await loop.createServer(() => new Protocol(), { hostname, port, ...options });
  const addresses = server.addresses as Deno.NetAddr[];
  if (port !== 0) assertEquals(addresses.map((address) => address.port), addresses.map(() => port));
  for (const { hostname, port } of addresses) {
    assertNotEquals(port, 0);
    (await Deno.connect({ hostname, port })).close();
  }
  return addresses.map(({ hostname }) => hostname);
}

/** What localhost is bound at. */
const localhost = (() => {
  using listener = Deno.listen({ hostname: "localhost", port: 0 });
  return listener.addr.hostname;
})();

const SAME: [hosts: string[], addresses: string[]][] = [
  [["127.0.0.1", "127.0.0.1"], ["127.0.0.1"]],
  [["127.0.0.1", "127.1", "0x7f000001"], ["127.0.0.1"]],
  [["localhost", localhost], [localhost]],
  [[localhost, "localhost", "LOCALHOST"], [localhost]],
  ...(Deno.build.os === "linux" ? [[["127.0.0.2", "127.0.0.1", "127.0.0.2"], ["127.0.0.2", "127.0.0.1"]]] : []) as [
    string[],
    string[],
  ][],
  ...(hasIpv6() ? [[["::1", "[::1]", "0:0:0:0:0:0:0:1", "127.0.0.1"], ["::1", "127.0.0.1"]]] : []) as [
    string[],
    string[],
  ][],
];

for (const [hosts, addresses] of SAME) {
  Deno.test(`createServer() with the hosts ${hosts.join(", ")} binds each address once`, async () => {
    assertEquals(await addressesOf(hosts, 0), addresses);
    assertEquals(await addressesOf(hosts, freePort()), addresses);
    if (Deno.build.os === "linux") assertEquals(await addressesOf(hosts, freePort(), { reusePort: true }), addresses);
  });
}

Deno.test("createServer() with two names of one address that another socket has rejects with AddrInUse", async () => {
  using taken = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const { port } = taken.addr;
  for (const hostname of [["127.0.0.1", "127.1"], ["127.0.0.2", "127.0.0.1", "127.1"]]) {
    const create = () => loop.createServer(() => new Recorder(), { hostname, port });
    await assertRejects(create, Deno.errors.AddrInUse);
  }
  Deno.listen({ hostname: "127.0.0.2", port }).close();
});

Deno.test("createServer() with a list that has no host in it rejects with a TypeError and binds nothing", async () => {
  const create = (hostname: unknown) =>
    loop.createServer(() => new Recorder(), { hostname: hostname as string, port: 0 });
  for (const hostname of [["127.0.0.1", ""], ["127.0.0.1", null], [5], {}]) {
    await assertRejects(() => create(hostname), TypeError, "must be a host name or an IP address, got ");
  }
});

const asksDeno = onDenoOnly("epoll's engine resolves names without a permission");

Deno.test(
  "createServer() with two names of one address rejects with AddrInUse where it may not find that out",
  asksDeno,
  async () => {
    const port = freePort();
    const source = `
    import { getRunningLoop } from "@tandem/io";
    for (const hostname of [["127.0.0.1", "127.0.0.1"], ["localhost", ${JSON.stringify(localhost)}]]) {
      await getRunningLoop().createServer(() => ({}), { hostname, port: ${port} }).then(
        (server) => {
          console.log(server.addresses.length);
          server.close();
          return server.waitClosed();
        },
        (error) => console.log(error.name),
      );
    }`;
    const host = (name: string) => name.includes(":") ? `[${name}]` : name;
    const flag = `--allow-net=127.0.0.1:${port},localhost:${port},${host(localhost)}:${port}`;
    assertEquals(await runProgram(source, { flags: [flag] }), { code: 0, stdout: "1\nAddrInUse\n", stderr: "" });
    const more = `${flag},localhost:0,${host(localhost)}:0`;
    assertEquals(await runProgram(source, { flags: [more] }), { code: 0, stdout: "1\n1\n", stderr: "" });
  },
);
