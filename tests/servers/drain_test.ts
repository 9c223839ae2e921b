/** `server.drain()` over the sockets of the engine under test. */
import { Protocol, type Server, type Transport } from "../../mod.ts";
import { assert, assertEquals, assertRejects, assertStrictEquals } from "../std.ts";
import { bytes, captureExceptions, EventLog, loop, Recorder, text, turn } from "../kit.ts";
import { startServer } from "../../streams/mod.ts";
import { SERVER, TRUSTING } from "../tls/kit.ts";

const LOCAL = { hostname: "127.0.0.1", port: 0 } as const;
const NONE = { ended: 0, closed: 0, aborted: 0, abortedHandshakes: 0, abortedProxyHeaders: 0 };

/** A recorder that can finish what it does. */
class Draining extends Recorder {
  drained = 0;
  onDrain: () => unknown = () => {};
  override drain(): unknown {
    this.drained++;
    return this.onDrain();
  }
}

/** A protocol without `drain`. */
class Plain extends Recorder {
  drained = -1;
}

/** A server and its side of each client. */
async function serve<P extends Recorder>(
  makers: (() => P)[],
  options: object = {},
): Promise<{ server: Server; sides: P[]; clients: Recorder[] }> {
  const sides: P[] = [];
  const log = new EventLog();
  const server = await loop.createServer(() => {
    const side = makers[sides.length]!();
    sides.push(side);
    loop.callSoon(() => log.changed());
    return side;
  }, { ...LOCAL, ...options });
  const clients: Recorder[] = [];
  const tls = "tls" in options ? { tls: TRUSTING } : {};
  for (let i = 0; i < makers.length; i++) {
    const client = new Recorder();
    await loop.createConnection(() => client, { hostname: "127.0.0.1", port: server.port, ...tls });
    await log.until(() => sides.length === i + 1);
    await turn();
    clients.push(client);
  }
  return { server, sides, clients };
}

for (const options of [{}, { tls: SERVER }]) {
  const over = "tls" in options ? "TLS" : "TCP";
  Deno.test(`drain() over ${over} closes who cannot be told, after buffered writes, and waits for who can`, async () => {
    const makers = [() => new Recorder(), () => new Draining()];
    const { server, sides, clients } = await serve<Recorder | Draining>(makers, options);
    const [plain, draining] = sides as [Recorder, Draining];
    const size = 3_000_000;
    plain.transport.writeOwned(new Uint8Array(size));
    const counts = server.drain();
    assert(!server.isServing());
    assertEquals(draining.drained, 0);
    await clients[0]!.untilLost();
    assertEquals(clients[0]!.received, size);
    assertEquals(draining.drained, 1);
    draining.transport.write(bytes("done"));
    draining.transport.close();
    assertEquals(await counts, { ...NONE, ended: 1, closed: 1 });
    await clients[1]!.untilLost();
    assertEquals(clients[1]!.received, 4);
    assertEquals(await server.drain(), { ...NONE, ended: 1, closed: 1 });
  });
}

Deno.test("drain() reports what `drain` throws or rejects with, and closes that connection", async () => {
  using captured = captureExceptions();
  const error = new Error("cannot");
  const { server, sides, clients } = await serve([() => new Draining(), () => new Draining(), () => new Draining()]);
  sides[0]!.onDrain = () => {
    throw error;
  };
  sides[1]!.onDrain = () => Promise.reject(error);
  sides[2]!.onDrain = () => sides[2]!.transport.close();
  assertEquals(await server.drain({ grace: 60_000 }), { ...NONE, ended: 1, closed: 2 });
  assertEquals(captured.contexts.map(({ message }) => message), [
    "Exception in protocol.drain()",
    "protocol.drain() is async and rejected",
  ]);
  for (const [i, context] of captured.contexts.entries()) {
    assertStrictEquals(context.error, error);
    assertStrictEquals(context.protocol, sides[i]);
    assertStrictEquals(context.transport, sides[i]!.transport);
  }
  for (const client of clients) await client.untilLost();
});

Deno.test("drain() aborts what is left after `grace`, and a signal aborts at once", async () => {
  const { server, sides, clients } = await serve<Draining | Plain>([() => new Draining(), () => new Plain()]);
  // Its client does not read: close() cannot flush.
  clients[1]!.transport.pauseReading();
  sides[1]!.transport.writeOwned(new Uint8Array(30_000_000));
  const forced = new AbortController();
  const counts = server.drain({ signal: forced.signal });
  await turn();
  assertEquals(sides[0]!.drained, 1);
  forced.abort();
  assertEquals(await counts, { ...NONE, aborted: 2 });
  clients[1]!.transport.abort();
  for (const client of clients) await client.untilLost();

  const other = await serve([() => new Draining()]);
  assertEquals(await other.server.drain({ grace: 1 }), { ...NONE, aborted: 1 });
  await other.clients[0]!.untilLost();
});

Deno.test("drain() with a signal that has aborted aborts everything, and an aborted handshake is counted", async () => {
  using captured = captureExceptions();
  const log = new EventLog();
  let made = 0;
  const server = await loop.createServer(() => {
    made++;
    log.changed();
    return new Recorder();
  }, { ...LOCAL, tls: SERVER });
  const client = new Recorder();
  await loop.createConnection(() => client, { hostname: "127.0.0.1", port: server.port });
  // The server writes nothing before the ClientHello: another connection shows that this one is accepted.
  const probe = new Recorder();
  await loop.createConnection(() => probe, { hostname: "127.0.0.1", port: server.port, tls: TRUSTING });
  await log.until(() => made === 1);
  await turn();
  assertEquals(await server.drain({ delay: 60_000, signal: AbortSignal.abort() }), {
    ...NONE,
    aborted: 1,
    abortedHandshakes: 1,
  });
  await client.untilLost();
  await probe.untilLost();
  assertEquals(captured.contexts, []);
});

Deno.test("drain() counts connections that it aborts before their PROXY header has come, handshakes behind one apart", async () => {
  using captured = captureExceptions();
  const options = { ...LOCAL, tls: SERVER, proxyProtocol: { trusted: ["127.0.0.1"] } };
  const server = await loop.createServer(() => new Recorder(), options);
  const clients = [new Recorder(), new Recorder(), new Recorder(), new Recorder()];
  for (const client of clients) {
    await loop.createConnection(() => client, { hostname: "127.0.0.1", port: server.port });
  }
  const pending = () => {
    const { handshakes, proxyHeaders } = loop.inspect().servers.find(({ addresses }) => {
      return "port" in addresses[0]! && addresses[0].port === server.port;
    })!;
    return [handshakes, proxyHeaders];
  };
  // What a connection waits for has no callback.
  while (pending()[1] !== 4) await turn();
  clients[0]!.transport.write(bytes("PROXY UNKNOWN\r\n"));
  while (pending()[0] !== 1) await turn();
  // One that its peer ends is not aborted by the server.
  clients[1]!.transport.abort();
  while (pending()[1] !== 2) await turn();
  assertEquals(await server.drain({ signal: AbortSignal.abort() }), {
    ...NONE,
    abortedHandshakes: 1,
    abortedProxyHeaders: 2,
  });
  for (const client of clients) await client.untilLost();
  assertEquals(captured.contexts.map(({ message }) => message.includes("PROXY")), [true]);
});

Deno.test("drain() does not count what abortClients() has aborted before", async () => {
  const server = await loop.createServer(() => new Recorder(), { ...LOCAL, proxyProtocol: { trusted: ["127.0.0.1"] } });
  const client = new Recorder();
  await loop.createConnection(() => client, { hostname: "127.0.0.1", port: server.port });
  while (loop.inspect().servers.every(({ proxyHeaders }) => proxyHeaders === 0)) await turn();
  server.abortClients();
  assertEquals(await server.drain({ signal: AbortSignal.abort() }), NONE);
  await client.untilLost();
});

Deno.test("drain() of a closed server, and of one without connections, resolves at once", async () => {
  const server = await loop.createServer(() => new Recorder(), LOCAL);
  assertEquals(await server.drain(), NONE);
  server.close();
  assertEquals(await server.drain({ delay: 60_000, grace: 60_000 }), NONE);
  const idle = await loop.createServer(() => new Recorder(), { ...LOCAL, startServing: false });
  assertEquals(await idle.drain(), NONE);
});

Deno.test("drain() works for a Unix server", { ignore: Deno.build.os === "windows" }, async () => {
  const path = `${Deno.makeTempDirSync()}/s`;
  const log = new EventLog();
  const side = new Draining();
  const server = await loop.createUnixServer(() => {
    loop.callSoon(() => log.changed());
    return side;
  }, { path });
  const client = new Recorder();
  await loop.createUnixConnection(() => client, { path });
  await log.until(() => side.transport !== undefined);
  const counts = server.drain();
  await turn();
  assertEquals(side.drained, 1);
  client.transport.close();
  assertEquals(await counts, { ...NONE, ended: 1 });
});

Deno.test("drain() works for a listener that was given", async () => {
  const listener = Deno.listen(LOCAL);
  const server = await loop.createServer(() => new Recorder(), { listener });
  const client = new Recorder();
  await loop.createConnection(() => client, { port: server.port });
  const counts = await server.drain();
  await client.untilLost();
  assertEquals(counts.aborted, 0);
});

Deno.test("drain() rejects wrong options, and changes nothing", async () => {
  const { server, sides, clients } = await serve([() => new Recorder()]);
  await assertRejects(() => server.drain({ delay: -1 }), RangeError, "drain(): delay must be a number of milliseconds");
  await assertRejects(
    () => server.drain({ grace: NaN }),
    RangeError,
    "drain(): grace must be a number of milliseconds",
  );
  await assertRejects(() => server.drain({ signal: 1 as unknown as AbortSignal }), TypeError, "drain(): signal");
  await assertRejects(() => server.drain({ grase: 1 } as object), TypeError, "did you mean grace?");
  const { signal } = new AbortController();
  const broken = new Error("the program's own");
  Object.defineProperty(signal, "aborted", {
    get() {
      throw broken;
    },
  });
  assertStrictEquals(await assertRejects(() => server.drain({ signal }), Error), broken);
  assert(server.isServing());
  assertEquals(loop.inspect().servers.map(({ draining }) => draining), [false]);
  server.close();
  await turn();
  assert(!sides[0]!.transport.isClosing(), "connections go on after close()");
  clients[0]!.transport.close();
  await server.waitClosed();
});

Deno.test("drain() aborts the signal `draining` of a pair, and closes a pair that has not asked for it", async () => {
  const asked: string[] = [];
  const log = new EventLog();
  const server = await startServer(async (pair) => {
    const line = await pair.reader.readLine();
    if (text(line) === "ask\n") {
      const { draining } = pair;
      asked.push("asked");
      log.changed();
      await pair.reader.readLine({ signal: draining }).catch((error) => asked.push(error.message));
      pair.writer.write(bytes("bye\n"));
      pair.close();
    } else {
      asked.push("deaf");
      log.changed();
      asked.push(`ended: ${text(await pair.reader.readLine())}`);
    }
  }, LOCAL);
  const clients = [new Recorder(), new Recorder()];
  for (const client of clients) await loop.createConnection(() => client, { port: server.port });
  clients[0]!.transport.write(bytes("ask\n"));
  await log.until(() => asked.length === 1);
  clients[1]!.transport.write(bytes("other\n"));
  await log.until(() => asked.length === 2);
  assertEquals(await server.drain(), { ...NONE, ended: 2 });
  for (const client of clients) await client.untilLost();
  assertEquals(asked.toSorted(), ["asked", "deaf", "ended: ", "the server ends soon"]);
  assertEquals(clients[0]!.received, 4);
});

Deno.test("a class that extends Protocol has no `drain` until it writes one", () => {
  class Plain extends Protocol {}
  class Own extends Protocol {
    override connectionMade(_transport: Transport): void {}
    override drain(): void {}
  }
  assert(!("drain" in new Plain()));
  assert("drain" in new Own());
});

Deno.test("drain() lets a pending handshake end, and calls drain of its protocol", async () => {
  const log = new EventLog();
  const sides: Draining[] = [];
  const server = await loop.createServer(() => {
    sides.push(new Draining());
    log.changed();
    return sides.at(-1)!;
  }, { ...LOCAL, tls: SERVER });
  const client = new Recorder();
  const to = { hostname: "127.0.0.1", port: server.port };
  const [transport] = await loop.createConnection(() => client, to);
  // Another connection shows that this one is accepted.
  const probe = new Recorder();
  await loop.createConnection(() => probe, { ...to, tls: TRUSTING });
  await log.until(() => sides.length === 1);
  const counts = server.drain();
  await turn();
  assertEquals(sides.map(({ drained }) => drained), [1]);
  const upgraded = await loop.startTls(transport, client, { ...TRUSTING, serverHostname: "localhost" });
  await log.until(() => sides.length === 2);
  await turn();
  assertEquals(sides.map(({ drained }) => drained), [1, 1]);
  sides[1]!.transport.write(bytes("last"));
  sides[1]!.transport.close();
  await client.untilLost();
  assertEquals(client.text, "last");
  assert(upgraded.isClosing());
  probe.transport.close();
  assertEquals(await counts, { ...NONE, ended: 2 });
  await probe.untilLost();
});

Deno.test("drain() closes a pair that is read by a BYOB reader", async () => {
  const log = new EventLog();
  let received = "";
  const ended = Promise.withResolvers<boolean>();
  const server = await startServer(async (pair) => {
    const reader = pair.readable.getReader({ mode: "byob" });
    const { value } = await reader.read(new Uint8Array(8));
    received = text(value!);
    log.changed();
    ended.resolve((await reader.read(new Uint8Array(8))).done);
  }, LOCAL);
  const client = new Recorder();
  await loop.createConnection(() => client, { port: server.port });
  client.transport.write(bytes("hello"));
  await log.until(() => received === "hello");
  assertEquals(await server.drain(), { ...NONE, ended: 1 });
  assert(await ended.promise);
  await client.untilLost();
});
