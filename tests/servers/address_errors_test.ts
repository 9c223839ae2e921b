/** An error of connecting, binding or resolving says which call it was, and which address of several. */
import { isOverEpoll } from "../engine.ts";
import { assert, assertEquals, assertRejects, assertStrictEquals } from "../std.ts";
import { freePort, hasIpv6, loop, Recorder, tempPath } from "../kit.ts";

/** A name that cannot be: no name server is asked. */
const NOWHERE = `${"x".repeat(64)}.invalid`;

const factory = () => new Recorder();

/** What a failed call says, after checking that its error is Deno's class with Deno's code, and Deno's error its cause. */
async function said(call: () => Promise<unknown>, ErrorClass: new () => Error, code?: string): Promise<string> {
  const error = await assertRejects(call, ErrorClass) as Error & { code?: string };
  const cause = error.cause as Error & { code?: string };
  // Over epoll, all addresses of a host are tried, and each has an error.
  for (const each of cause instanceof AggregateError ? cause.errors : [cause]) {
    assertEquals([error.constructor, each.constructor, error.name], [ErrorClass, ErrorClass, each.name]);
    assertEquals([error.code, each.code], [code, code]);
  }
  assert(error.message.endsWith(`: ${cause.message}`), error.message);
  assertEquals(Object.keys(error).includes("cause"), false);
  return error.message.slice(0, -cause.message.length - 2);
}

Deno.test("createConnection() names the address that refuses", async () => {
  const hosts = [["127.0.0.1", "127.0.0.1"], ["localhost", "localhost"], ["::1", "[::1]"]] as const;
  for (const [hostname, shown] of hosts) {
    if (hostname === "::1" && !hasIpv6()) continue;
    const port = freePort(hostname);
    const message = await said(
      () => loop.createConnection(factory, { hostname, port }),
      Deno.errors.ConnectionRefused,
      "ECONNREFUSED",
    );
    assertEquals(message, `createConnection(): cannot connect to ${shown}:${port}`);
  }
});

Deno.test("createConnection() and createServer() name a host that cannot be resolved", async () => {
  for (
    const [method, call] of [
      ["createConnection()", () => loop.createConnection(factory, { hostname: NOWHERE, port: 1 })],
      ["createServer()", () => loop.createServer(factory, { hostname: ["127.0.0.1", NOWHERE], port: 0 })],
    ] as const
  ) {
    // Deno's error has no code.
    const code = isOverEpoll() ? "ENOTFOUND" : undefined;
    assertEquals(await said(call, Error, code), `${method}: cannot resolve ${NOWHERE}`);
  }
});

Deno.test("createServer() names the one of several addresses that cannot be bound", async () => {
  // Tests that run side by side take ports of 127.0.0.1.
  using taken = Deno.listen({ hostname: "127.9.0.2", port: 0 });
  const { port } = taken.addr;
  assertEquals(
    await said(
      () => loop.createServer(factory, { hostname: ["127.9.0.1", "127.9.0.2", "127.9.0.3"], port }),
      Deno.errors.AddrInUse,
      "EADDRINUSE",
    ),
    `createServer(): cannot bind 127.9.0.2:${port}`,
  );
  assertEquals(
    await said(
      () => loop.createServer(factory, { hostname: ["127.0.0.1", "192.0.2.1"], port: 0 }),
      Deno.errors.AddrNotAvailable,
      "EADDRNOTAVAIL",
    ),
    "createServer(): cannot bind 192.0.2.1:0",
  );
});

Deno.test("createUnixConnection() and createUnixServer() name the path", async () => {
  using temp = tempPath();
  const { path } = temp;
  assertEquals(
    await said(() => loop.createUnixConnection(factory, { path }), Deno.errors.NotFound, "ENOENT"),
    `createUnixConnection(): cannot connect to ${path}`,
  );
  await using _server = await loop.createUnixServer(factory, { path });
  const error = await assertRejects(() => loop.createUnixServer(factory, { path }), Deno.errors.AddrInUse);
  assertEquals(
    error.message,
    `createUnixServer(): cannot bind ${path}: Address already in use: a live socket is there`,
  );
  assertEquals((error as Error & { code?: string }).code, "EADDRINUSE");
});

Deno.test("createDatagramEndpoint() names the address that cannot be bound, and the host that cannot be resolved", async () => {
  const open = (options: object) => () => loop.createDatagramEndpoint(() => ({}), options);
  assertEquals(
    await said(
      open({ localAddr: { hostname: "192.0.2.1", port: 0 } }),
      Deno.errors.AddrNotAvailable,
      "EADDRNOTAVAIL",
    ),
    "createDatagramEndpoint(): cannot bind 192.0.2.1:0",
  );
  const [taken] = await loop.createDatagramEndpoint(() => ({}), { localAddr: { hostname: "127.0.0.1", port: 0 } });
  const { port } = taken.getExtraInfo("sockname") as Deno.NetAddr;
  assertEquals(
    await said(open({ localAddr: { hostname: "127.0.0.1", port } }), Deno.errors.AddrInUse, "EADDRINUSE"),
    `createDatagramEndpoint(): cannot bind 127.0.0.1:${port}`,
  );
  taken.abort();
  for (
    const options of [{ remoteAddr: { hostname: NOWHERE, port: 1 } }, { localAddr: { hostname: NOWHERE, port: 0 } }]
  ) {
    const { message } = await assertRejects(open(options), Error);
    assertEquals(message.split(": ", 2).join(": "), `createDatagramEndpoint(): cannot resolve ${NOWHERE}`);
  }
});

Deno.test("an attempt that its signal calls off rejects with the signal's reason, whatever that is", async () => {
  for (const reason of [Object.assign(new Error("mine"), { code: "MINE" }), new Deno.errors.Interrupted("mine"), 5]) {
    const controller = new AbortController();
    const attempt = loop.createConnection(factory, { port: freePort(), signal: controller.signal });
    controller.abort(reason);
    assertStrictEquals(await attempt.catch((error) => error), reason);
  }
});

Deno.test("createConnection() takes a Deno.NetAddr, and refuses one of another transport", async () => {
  await using server = await loop.createServer(factory, { hostname: "127.0.0.1", port: 0 });
  const address = server.addresses[0] as Deno.NetAddr;
  const [transport, recorder] = await loop.createConnection(factory, address);
  transport.abort();
  await recorder.untilLost();
  const { message } = await assertRejects(
    () => loop.createConnection(factory, { ...address, transport: "udp" } as Deno.NetAddr),
    TypeError,
  );
  assertEquals(message, 'createConnection(): transport must be "tcp", got string "udp"');
});
