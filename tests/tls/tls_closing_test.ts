/** How TLS connections end: taken leave of, cut off, given up. */
import { Protocol, TimeoutError } from "../../mod.ts";
import { assert, assertEquals, assertInstanceOf, assertMatch, assertRejects } from "../std.ts";
import { bytes, captureExceptions, EventLog, pattern, portOf, Recorder, turn } from "../kit.ts";
import { closeQuietly, readAll } from "../streams/kit.ts";
import {
  CA,
  clientTls,
  connectTls,
  createConnection,
  createServer,
  ENGINES,
  hangUp,
  serverTls,
  type TlsPair,
  type TlsPairOptions,
  tlsRecorders,
  WAYS,
} from "./kit.ts";

/** What a stream ends with that was cut off. */
const TRUNCATED = "TLS: the peer closed the connection without close_notify; bytes may be missing";

/** A relay between the two, which knows no TLS and does as it is told. */
class Wire implements AsyncDisposable {
  readonly #listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  #conns: Deno.TcpConn[] = [];
  #pumps: Promise<void>[] = [];
  #held = false;
  readonly #log = new EventLog();
  /** How much the server has said that the client was given since `passed` was called, and how much it may say. */
  #passed = 0;
  #allowed = Infinity;

  get port(): number {
    return this.#listener.addr.port;
  }

  /** Relays one connection to a port. */
  async relay(port: number): Promise<void> {
    const client = await this.#listener.accept();
    const server = await Deno.connect({ hostname: "127.0.0.1", port });
    this.#conns = [client, server];
    this.#pumps = [
      this.#pump(client, server),
      this.#pump(server, client),
    ];
  }

  /** Waits until the client has been given so many bytes. */
  passed(count: number): Promise<void> {
    return this.#log.until(() => this.#passed >= count);
  }

  /** Gives the client so many bytes, then the end. */
  cutAfter(count: number): void {
    this.#allowed = this.#passed + count;
  }

  /** Takes and gives no more bytes. */
  hold(): void {
    this.#held = true;
  }

  /** Ends both directions towards the client, as a machine between might: no close_notify. */
  async cutClient(): Promise<void> {
    this.#held = true;
    await this.#conns[0]!.closeWrite();
  }

  /** The same towards the server. */
  async cutServer(): Promise<void> {
    this.#held = true;
    await this.#conns[1]!.closeWrite();
  }

  async #pump(from: Deno.TcpConn, to: Deno.TcpConn): Promise<void> {
    const toClient = to === this.#conns[0];
    const buffer = new Uint8Array(64 * 1024);
    try {
      for (;;) {
        const read = await from.read(buffer);
        if (this.#held) return;
        if (read === null) return await to.closeWrite();
        const count = toClient ? Math.min(read, this.#allowed - this.#passed) : read;
        for (let sent = 0; sent < count;) sent += await to.write(buffer.subarray(sent, count));
        if (!toClient) continue;
        this.#passed += count;
        this.#log.changed();
        if (this.#passed === this.#allowed) return await this.cutClient();
      }
    } catch {
      // One of the ends is gone.
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#listener.close();
    this.#conns.forEach(closeQuietly);
    await Promise.all(this.#pumps);
  }
}

/** Two recorders with a wire between, which goes when the pair has gone. */
async function wired(
  options: TlsPairOptions,
): Promise<AsyncDisposable & { pair: TlsPair<Recorder, Recorder>; wire: Wire }> {
  const wire = new Wire();
  let relayed!: Promise<void>;
  const through = (port: number) => {
    relayed = wire.relay(port);
    return wire.port;
  };
  const pair = await connectTls(() => new Recorder(), () => new Recorder(), { ...options, through });
  await relayed;
  return {
    pair,
    wire,
    async [Symbol.asyncDispose]() {
      await wire[Symbol.asyncDispose]();
      await pair[Symbol.asyncDispose]();
    },
  };
}

for (const way of WAYS) {
  for (const side of ["clientSide", "serverSide"] as const) {
    Deno.test(`close() by the ${side} is a clean end for both over ${way.name}`, async () => {
      await using pair = await tlsRecorders(way);
      const other = side === "clientSide" ? pair.serverSide : pair.clientSide;
      pair[side].transport.write(bytes("bye"));
      pair[side].transport.close();
      await Promise.all([pair[side].untilLost(), other.untilLost()]);
      assertEquals(pair[side].log.entries, ["connectionMade", "connectionLost null"]);
      assertEquals(other.log.entries, ["connectionMade", "dataReceived 3", "eofReceived", "connectionLost null"]);
    });
  }

  Deno.test(`close() by both at once is a clean end over ${way.name}`, async () => {
    await using pair = await tlsRecorders(way);
    for (const { transport } of [pair.serverSide, pair.clientSide]) transport.close();
    for (const { transport } of [pair.serverSide, pair.clientSide]) transport.close();
    await Promise.all([pair.serverSide.untilLost(), pair.clientSide.untilLost()]);
    assertEquals([pair.serverSide.error, pair.clientSide.error], [null, null]);
  });
}

for (const { name, native } of ENGINES) {
  for (const side of ["clientSide", "serverSide"] as const) {
    Deno.test(`connectionLost() tells the ${side} of a stream that ends without close_notify (${name})`, async () => {
      await using both = await wired({ native });
      const { pair, wire } = both;
      const other = side === "clientSide" ? pair.serverSide : pair.clientSide;
      other.transport.write(bytes("not all of it"));
      await pair[side].untilReceived(13);
      await (side === "clientSide" ? wire.cutClient() : wire.cutServer());
      await pair[side].untilLost();
      assertEquals(pair[side].log.entries, ["connectionMade", "dataReceived 13", "connectionLost UnexpectedEof"]);
      assertInstanceOf(pair[side].error, Deno.errors.UnexpectedEof);
      // Deno says it in words of its own.
      if (!native) assertEquals(pair[side].error.message, TRUNCATED);
    });
  }

  Deno.test(`connectionLost() tells of a stream that ends within a record (${name})`, async () => {
    await using both = await wired({ native });
    const { pair, wire } = both;
    wire.cutAfter(100);
    pair.serverSide.transport.write(pattern(5000));
    await pair.clientSide.untilLost();
    assertEquals(pair.clientSide.log.entries, ["connectionMade", "connectionLost UnexpectedEof"]);
  });

  Deno.test(`resumeReading() gives what came before a stream was truncated, then the error (${name})`, async () => {
    await using both = await wired({ native });
    const { pair, wire } = both;
    pair.clientSide.transport.pauseReading();
    pair.serverSide.transport.write(pattern(5000));
    await wire.passed(5000);
    await wire.cutClient();
    assertEquals(pair.clientSide.log.entries, ["connectionMade"]);
    pair.clientSide.transport.resumeReading();
    await pair.clientSide.untilLost();
    assertEquals(pair.clientSide.data, pattern(5000));
    assertEquals(pair.clientSide.log.entries.slice(-1), ["connectionLost UnexpectedEof"]);
  });

  Deno.test(`abort() does not wait for a peer that does not answer (${name})`, async () => {
    await using both = await wired({ native });
    const { pair, wire } = both;
    wire.hold();
    pair.clientSide.transport.write(new Uint8Array(10_000_000));
    pair.clientSide.transport.abort();
    assertEquals(pair.clientSide.log.entries.at(-1), "pauseWriting");
    await pair.clientSide.untilLost();
    assertEquals(pair.clientSide.error, null);
  });

  Deno.test(`abort() ends a close() that waits for the answer (${name})`, async () => {
    await using both = await wired({ native });
    const { pair, wire } = both;
    wire.hold();
    pair.clientSide.transport.close();
    await turn();
    pair.clientSide.transport.abort();
    await pair.clientSide.untilLost();
    assertEquals(pair.clientSide.log.entries, ["connectionMade", "connectionLost null"]);
  });

  Deno.test(`closeTimeout ends a flush to a peer that never reads (${name})`, async () => {
    await using both = await wired({ native, client: { closeTimeout: 50 } });
    const { pair, wire } = both;
    wire.hold();
    pair.clientSide.transport.write(new Uint8Array(20_000_000));
    pair.clientSide.transport.close();
    await pair.clientSide.untilLost();
    assertInstanceOf(pair.clientSide.error, TimeoutError);
    assert(pair.clientSide.error.message.startsWith("closeTimeout: "), pair.clientSide.error.message);
  });

  Deno.test(`closeTimeout covers the wait for close_notify, too (${name})`, async () => {
    await using both = await wired({ native, client: { closeTimeout: 50 } });
    const { pair, wire } = both;
    wire.hold();
    pair.clientSide.transport.close();
    await pair.clientSide.untilLost();
    assertInstanceOf(pair.clientSide.error, TimeoutError);
  });

  Deno.test(`close() of a transport whose peer still sends drops that and ends (${name})`, async () => {
    await using pair = await tlsRecorders({ native });
    pair.serverSide.transport.write(pattern(5_000_000));
    pair.clientSide.transport.close();
    await pair.clientSide.untilLost();
    await pair.serverSide.untilLost();
    assertEquals([pair.clientSide.error, pair.serverSide.error], [null, null]);
  });

  for (const method of ["closeClients", "abortClients"] as const) {
    Deno.test(`${method}() ends handshakes that go on, without a report (${name})`, async () => {
      using captured = captureExceptions();
      await using pair = await tlsRecorders({ native });
      const server = pair.server!;
      using silent = await Deno.connect({ port: portOf(server) });
      // Whoever comes later is served later: the silent one's handshake goes on by now.
      const [transport, client] = await createConnection(() => new Recorder(), {
        port: portOf(server),
        tls: clientTls({ native }),
      });
      server.close();
      server[method]();
      await server.waitClosed();
      if (!native) assertEquals(await readAll(silent), bytes(""));
      await client.untilLost();
      await pair.clientSide.untilLost();
      assertEquals(captured.contexts, []);
      transport.abort();
      await turn();
    });
  }

  Deno.test(`waitClosed() waits for handshakes that go on (${name})`, async () => {
    using _captured = captureExceptions();
    const server = await createServer(() => new Recorder(), {
      hostname: "127.0.0.1",
      port: 0,
      tls: serverTls({ native }),
    });
    const silent = await Deno.connect({ port: portOf(server) });
    const [transport, client] = await createConnection(() => new Recorder(), {
      port: portOf(server),
      tls: clientTls({ native }),
    });
    server.close();
    transport.close();
    await client.untilLost();
    let closed = false;
    const waiting = server.waitClosed().then(() => closed = true);
    await turn();
    assertEquals(closed, false);
    silent.close();
    await waiting;
  });

  Deno.test(`a handshake that ends after close() makes a connection, as one that was accepted before (${name})`, async () => {
    await using pair = await tlsRecorders({ native });
    const server = pair.server!;
    const conn = await Deno.connect({ port: portOf(server) });
    const options = { port: portOf(server), tls: clientTls({ native }) };
    const [transport, client] = await createConnection(() => new Recorder(), options);
    server.close();
    using secured = await Deno.startTls(conn, { hostname: "localhost", caCerts: [CA] });
    await secured.handshake();
    // Its protocol closes in answer to the end.
    await secured.closeWrite();
    assertEquals(await readAll(secured), bytes(""));
    await hangUp([transport, client]);
  });

  Deno.test(`a factory that throws is reported, ends that connection, and the server goes on (${name})`, async () => {
    using captured = captureExceptions();
    let broken = true;
    const factory = () => {
      if (broken) throw new RangeError("no more");
      return new Protocol();
    };
    await using server = await createServer(factory, { port: 0, tls: serverTls({ native }) });
    const options = { port: portOf(server), tls: clientTls({ native }) };
    const [, first] = await createConnection(() => new Recorder(), options);
    await first.untilLost();
    await captured.log.has("Exception in a server's protocol factory");
    assertEquals(captured.contexts.map(({ error }) => (error as Error).message), ["no more"]);
    broken = false;
    const [transport, second] = await createConnection(() => new Recorder(), options);
    await hangUp([transport, second]);
  });

  Deno.test(`createConnection() with a factory that throws closes the connection (${name})`, async () => {
    await using pair = await tlsRecorders({ native });
    using captured = captureExceptions();
    const factory = (): Protocol => {
      throw new RangeError("no more");
    };
    const options = { port: portOf(pair.server!), tls: clientTls({ native }) };
    await assertRejects(() => createConnection(factory, options), RangeError, "no more");
    assertEquals(captured.contexts, []);
  });
}

Deno.test("close() gives up a peer that does not answer close_notify after shutdownTimeout", async () => {
  await using both = await wired({ clientTls: { shutdownTimeout: 30 } });
  const { pair, wire } = both;
  wire.hold();
  pair.clientSide.transport.close();
  await pair.clientSide.untilLost();
  assertInstanceOf(pair.clientSide.error, TimeoutError);
  assertEquals(
    pair.clientSide.error.message,
    "shutdownTimeout: the peer did not answer close_notify within 30 ms",
  );
});

Deno.test("close() gives up a peer that never reads after shutdownTimeout, which covers the flush", async () => {
  await using both = await wired({ clientTls: { shutdownTimeout: 50 } });
  const { pair, wire } = both;
  wire.hold();
  pair.clientSide.transport.write(new Uint8Array(20_000_000));
  pair.clientSide.transport.close();
  await pair.clientSide.untilLost();
  assertInstanceOf(pair.clientSide.error, TimeoutError);
  assertMatch(pair.clientSide.error.message, /^shutdownTimeout: \d+ bytes were not sent within 50 ms$/);
  assertEquals(pair.clientSide.log.entries, ["connectionMade", "pauseWriting", "connectionLost TimeoutError"]);
});
