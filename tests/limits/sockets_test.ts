/** The limits of a server that are times, at the sockets of the engine and over TLS. */
import { type EventLoop, LimitError, type LimitOptions, SendfileError } from "../../mod.ts";
import { makeLoop } from "../engine.ts";
import { bytes, ManualClock, Recorder, tempPath, turn } from "../kit.ts";
import { assert, assertEquals, assertInstanceOf, assertRejects, assertStrictEquals } from "../std.ts";
import { createServer, HOST, SERVER, TRUSTING } from "../tls/kit.ts";

/** A loop on a clock of its own, whose server has limits, and a client of it. */
class Sockets implements AsyncDisposable {
  readonly clock = new ManualClock();
  readonly loop: EventLoop = makeLoop({ clock: this.clock });
  readonly events: LimitError[] = [];
  readonly serverSide: Recorder = new Recorder();
  readonly client: Recorder = new Recorder();
  #close: () => Promise<void> = () => Promise.resolve();

  async connect(limits: LimitOptions, kind: "TCP" | "TLS" | "TLS (native)"): Promise<this> {
    const onLimit = (error: LimitError) => void this.events.push(error);
    const options = { hostname: HOST, port: 0, limits: { onLimit, ...limits } };
    const made = Promise.withResolvers<void>();
    const factory = () => {
      this.loop.callSoon(made.resolve);
      return this.serverSide;
    };
    const tls = kind !== "TCP";
    const server = tls
      ? await createServer(factory, { ...options, tls: { ...SERVER, native: kind !== "TLS" } }, this.loop)
      : await this.loop.createServer(factory, options);
    const { port } = server;
    await this.loop.createConnection(() => this.client, { hostname: HOST, port, ...tls && { tls: TRUSTING } });
    await made.promise;
    this.#close = async () => {
      this.client.transport.abort();
      server.close();
      server.abortClients();
      await server.waitClosed();
      await this.client.untilLost();
      await turn(this.loop);
    };
    return this;
  }

  /** Lets the kernel take what it can. */
  async untilStuck(): Promise<void> {
    const { transport } = this.serverSide;
    for (let size = -1, same = 0; same < 20; await turn(this.loop)) {
      const now = transport.getWriteBufferSize();
      same = now === size ? same + 1 : 0;
      size = now;
    }
  }

  advance(ms: number): Promise<void> {
    return this.clock.advance(ms, this.loop);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#close();
    assertEquals(this.clock.due, null);
  }
}

for (const kind of ["TCP", "TLS", "TLS (native)"] as const) {
  Deno.test(`limits over ${kind}: idleTimeout ends a silent peer, and no other`, async () => {
    await using sockets = await new Sockets().connect({ idleTimeout: 1000 }, kind);
    const { client, serverSide } = sockets;
    for (let i = 1; i <= 3; i++) {
      await sockets.advance(900);
      client.transport.write(bytes("x"));
      await serverSide.untilReceived(i);
      await sockets.advance(100);
    }
    await sockets.advance(800);
    assertEquals(serverSide.error, undefined);
    await sockets.advance(300);
    await serverSide.untilLost();
    assertStrictEquals(serverSide.error, sockets.events[0]);
    assertEquals(sockets.events.map(({ limit }) => limit), ["idleTimeout"]);
    await client.untilLost();
  });

  Deno.test(`limits over ${kind}: writeTimeout ends a peer that does not read`, async () => {
    await using sockets = await new Sockets().connect({ writeTimeout: 1000 }, kind);
    const { client, serverSide } = sockets;
    client.transport.pauseReading();
    await sockets.advance(5000);
    serverSide.transport.write(new Uint8Array(50_000_000));
    await sockets.untilStuck();
    await sockets.advance(900);
    // What is queued is no progress.
    serverSide.transport.write(new Uint8Array(1000));
    assertEquals(serverSide.error, undefined);
    await sockets.advance(300);
    await serverSide.untilLost();
    assertInstanceOf(serverSide.error, LimitError);
    assertEquals(serverSide.error.limit, "writeTimeout");
    client.transport.resumeReading();
    await client.untilLost();
  });

  Deno.test(`limits over ${kind}: progress ends a peer that sends a byte now and then`, async () => {
    await using sockets = await new Sockets().connect(
      { idleTimeout: 1000, progress: { bytes: 9, within: 3000 } },
      kind,
    );
    const { client, serverSide } = sockets;
    for (let i = 1; i <= 6; i++) {
      client.transport.write(bytes("x"));
      await serverSide.untilReceived(i);
      await sockets.advance(i < 6 ? 500 : 400);
    }
    assertEquals(sockets.events, []);
    await sockets.advance(400);
    await serverSide.untilLost();
    assertEquals((serverSide.error as LimitError).limit, "progress");
  });
}

Deno.test("limits over TCP: writeTimeout ends a sendfile() that the peer does not read", async () => {
  await using sockets = await new Sockets().connect({ writeTimeout: 1000 }, "TCP");
  using temp = tempPath("file");
  const { client, serverSide } = sockets;
  client.transport.pauseReading();
  using file = await Deno.open(temp.path, { read: true, write: true, create: true });
  await file.truncate(50_000_000);
  const sending = assertRejects(() => sockets.loop.sendfile(serverSide.transport, file), SendfileError);
  let over = false;
  sending.then(() => over = true);
  while (!over) {
    await sockets.advance(20);
    await turn(sockets.loop);
  }
  const error = await sending;
  assertInstanceOf(error.cause, LimitError);
  assert(error.bytesSent < 50_000_000);
  await serverSide.untilLost();
  assertStrictEquals(serverSide.error, error.cause);
});
