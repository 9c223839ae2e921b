/** The limits of a server behind a proxy. */
import { encodeProxyHeader } from "../../mod.ts";
import { assertEquals } from "../std.ts";
import { Limited } from "./kit.ts";

function header(hostname: string): Uint8Array {
  const source = { transport: "tcp", hostname, port: 1 } as const;
  return encodeProxyHeader({ source, destination: { transport: "tcp", hostname: "192.0.2.9", port: 99 } });
}

async function arrive(served: Limited, client: string): Promise<number> {
  const connection = await served.connect();
  connection.transport.write(header(client));
  await served.advance(0);
  return served.accepted.length;
}

Deno.test("maxConnectionsPerPeer counts the clients of a proxy, and not the proxy", async () => {
  const proxyProtocol = { trusted: ["10.0.0.1"] };
  await using served = await Limited.serve({ maxConnectionsPerPeer: 1 }, { proxyProtocol });
  assertEquals(await arrive(served, "192.0.2.1"), 1);
  assertEquals(await arrive(served, "192.0.2.2"), 2);
  assertEquals(await arrive(served, "192.0.2.1"), 2);
  assertEquals(served.events.map(({ peername }) => (peername as Deno.NetAddr).hostname), ["192.0.2.1"]);
});

Deno.test("maxConnections lets connections wait whose PROXY headers arrive when the server is full", async () => {
  const proxyProtocol = { trusted: ["10.0.0.1"] };
  await using served = await Limited.serve({ maxConnections: 1 }, { proxyProtocol });
  const [first, second] = [await served.connect(), await served.connect()];
  first.transport.write(header("192.0.2.1"));
  second.transport.write(header("192.0.2.2"));
  await served.advance(0);
  assertEquals(served.accepted.length, 1);
  first.transport.close();
  await served.advance(0);
  assertEquals(served.accepted.length, 2);
});

Deno.test("peers that are not trusted are reported at most once a minute, with their number", async () => {
  const proxyProtocol = { trusted: ["192.0.2.1"], untrusted: "refuse" } as const;
  await using served = await Limited.serve({}, { proxyProtocol });
  for (let i = 0; i < 51; i++) await served.connect();
  await served.advance(60_000);
  for (let i = 0; i < 50; i++) await served.connect();
  const messages = served.captured.contexts.map(({ message }) => message.replace(/port \d+/, "port N"));
  const message = "Connection from 10.0.0.1 port N refused by the PROXY protocol";
  assertEquals(messages, [message, `${message} (and 50 times since the last report)`]);
  assertEquals(served.accepted.length, 0);
});

Deno.test("a PROXY header that arrives at a full server that is closed ends its connection", async () => {
  const proxyProtocol = { trusted: ["10.0.0.1"] };
  await using served = await Limited.serve({ maxConnections: 1 }, { proxyProtocol });
  const [first, second] = [await served.connect(), await served.connect()];
  first.transport.write(header("192.0.2.1"));
  await served.advance(0);
  served.server.close();
  second.transport.write(header("192.0.2.2"));
  await served.advance(0);
  assertEquals([served.accepted.length, second.error, first.error], [1, null, undefined]);
});
