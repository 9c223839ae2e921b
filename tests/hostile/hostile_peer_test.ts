import { Protocol, type Server, type Transport } from "../../mod.ts";
import { makeLoop } from "../engine.ts";
import { assert, assertEquals, assertLess } from "../std.ts";
import { bytes, captureExceptions, EventLog, ManualClock, pattern, portOf, text, turn } from "../kit.ts";
import { closeQuietly, readAll, readBytes, resetNode, writeAll } from "../streams/kit.ts";
import { connect as connectNode, type Socket } from "node:net";

const MIB = 1024 * 1024;
/** More than the kernel's buffers on both sides take. */
const FLOOD = new Uint8Array(64 * MIB);

/** An echo that obeys flow control, and remembers what happened to each of its connections. */
class Echo extends Protocol {
  static log = new EventLog();
  /** By the peer's port. */
  static all = new Map<number, Echo>();
  calls: string[] = [];
  paused = false;
  #transport!: Transport;

  override connectionMade(transport: Transport): void {
    this.#transport = transport;
    this.calls.push("made");
    Echo.all.set((transport.getExtraInfo("peername") as Deno.NetAddr).port, this);
  }
  override dataReceived(data: Uint8Array): void {
    if (this.calls.at(-1) !== "data") this.calls.push("data");
    this.#transport.write(data);
  }
  override eofReceived(): boolean {
    this.calls.push("eof");
    return false;
  }
  override pauseWriting(): void {
    this.paused = true;
    this.#transport.pauseReading();
    Echo.log.changed();
  }
  override resumeWriting(): void {
    this.paused = false;
    this.#transport.resumeReading();
  }
  override connectionLost(): void {
    this.calls.push("lost");
    Echo.log.changed();
  }

  /** Waits until the connection from `port` has come to something. */
  static async when(port: number, done: (echo: Echo) => boolean): Promise<Echo> {
    await Echo.log.until(() => Echo.all.has(port) && done(Echo.all.get(port)!));
    return Echo.all.get(port)!;
  }
}

/** Its clock stands still: nothing that a client does makes the server wait for time to pass. */
const loop = makeLoop({ clock: new ManualClock() });

/** Serves echoes, and insists at the end that nothing went wrong and every connection ended as it should. */
async function serveEcho(test: (server: Server, port: number) => Promise<void>): Promise<void> {
  using captured = captureExceptions(loop);
  const printed: unknown[][] = [];
  const { error: print } = console;
  console.error = (...parts) => void printed.push(parts);
  Echo.all.clear();
  const server = await loop.createServer(() => new Echo(), { hostname: "127.0.0.1", port: 0 });
  try {
    await test(server, portOf(server));
  } finally {
    console.error = print;
    server.close();
    server.abortClients();
    await server.waitClosed();
  }
  assertEquals(captured.contexts, []);
  assertEquals(printed, []);
  for (const { calls } of Echo.all.values()) {
    assertEquals([calls[0], calls.at(-1)], ["made", "lost"]);
    assertEquals(calls.filter((call) => call === "made" || call === "lost").length, 2);
    assertEquals(calls.includes("eof") ? calls.at(-2) : "eof", "eof");
  }
}

function dial(port: number): Promise<Deno.TcpConn> {
  return Deno.connect({ hostname: "127.0.0.1", port });
}

async function dialNode(port: number): Promise<Socket> {
  const socket = connectNode(port, "127.0.0.1");
  await new Promise<void>((resolve) => void socket.once("connect", () => resolve()));
  return socket;
}

/** Behaves well: the server must, too. */
async function politely(port: number, size = 50_000): Promise<void> {
  const conn = await dial(port);
  const sending = writeAll(conn, pattern(size, port));
  assertEquals(await readBytes(conn, size), pattern(size, port));
  await sending;
  await conn.closeWrite();
  assertEquals(await conn.read(new Uint8Array(1)), null);
  conn.close();
}

async function vanish(port: number): Promise<void> {
  (await dial(port)).close();
}

async function vanishMidway(port: number): Promise<void> {
  const conn = await dial(port);
  await conn.write(pattern(10_000));
  conn.close();
}

async function halfClose(port: number): Promise<void> {
  using conn = await dial(port);
  await conn.write(bytes("half"));
  await conn.closeWrite();
  assertEquals(text(await readAll(conn)), "half");
}

async function reset(port: number): Promise<void> {
  const socket = await dialNode(port);
  socket.write("soon gone");
  await resetNode(socket);
}

/** Sends without reading until the server has stopped reading, too; gives back how to end it. */
async function flood(port: number): Promise<() => Promise<void>> {
  const conn = await dial(port);
  const flooding = writeAll(conn, FLOOD).catch(() => {});
  await Echo.when(conn.localAddr.port, ({ paused }) => paused);
  return () => {
    conn.close();
    return flooding;
  };
}

async function floodAndVanish(port: number): Promise<void> {
  const end = await flood(port);
  await end();
}

Deno.test("a client that connects and vanishes never takes the server down", () =>
  serveEcho(async (_server, port) => {
    for (let i = 0; i < 50; i++) {
      await vanish(port);
      await vanishMidway(port);
    }
    await politely(port);
  }));

Deno.test("a client that half-closes gets its answer and an end", () =>
  serveEcho(async (_server, port) => {
    await Promise.all(Array.from({ length: 20 }, () => halfClose(port)));
    await politely(port);
  }));

Deno.test("a client that resets never takes the server down", () =>
  serveEcho(async (_server, port) => {
    for (let i = 0; i < 20; i++) await reset(port);
    await politely(port);
    await Promise.all(Array.from({ length: 20 }, () => reset(port)));
    await politely(port);
  }));

Deno.test("clients that reset before they are accepted do not hold up the next one", () =>
  serveEcho(async (_server, port) => {
    for (let i = 0; i < 5; i++) {
      // Connected and reset within one turn: the server has had no chance to accept.
      const sockets = await Promise.all(Array.from({ length: 10 }, () => dialNode(port)));
      await Promise.all(sockets.map(resetNode));
    }
    await politely(port);
  }));

Deno.test("a client that resets while the server is closing on it is lost quietly", () =>
  serveEcho(async (server, port) => {
    const socket = await dialNode(port);
    const echo = await Echo.when(socket.localPort!, () => true);
    socket.write(pattern(100_000));
    await Promise.resolve();
    server.closeClients();
    await resetNode(socket);
    await Echo.log.until(() => echo.calls.at(-1) === "lost");
    await politely(port);
  }));

Deno.test("a client that floods without reading is slowed down in bounded memory, and does not block others", () =>
  serveEcho(async (server, port) => {
    const ends = await Promise.all(Array.from({ length: 8 }, () => flood(port)));
    const before = Deno.memoryUsage();
    for (let i = 0; i < 30; i++) await politely(port);
    assertEquals([...Echo.all.values()].filter(({ paused }) => paused).length, 8);
    const after = Deno.memoryUsage();
    assertLess(after.external + after.heapUsed - before.external - before.heapUsed, 64 * MIB);
    assert(server.isServing());
    for (const end of ends) await end();
    await Echo.log.until(() => [...Echo.all.values()].every(({ calls }) => calls.at(-1) === "lost"));
  }));

Deno.test("a client that sends byte by byte is served as it comes", () =>
  serveEcho(async (_server, port) => {
    const conn = await dial(port);
    conn.setNoDelay(true);
    for (const byte of bytes("patience, please")) {
      await conn.write(Uint8Array.of(byte));
      assertEquals(await readBytes(conn, 1), Uint8Array.of(byte));
    }
    conn.close();
    await Echo.log.until(() => [...Echo.all.values()].every(({ calls }) => calls.at(-1) === "lost"));
  }));

Deno.test("300 clients of mixed misbehaviour leave a server that serves", () =>
  serveEcho(async (server, port) => {
    const silent: Deno.TcpConn[] = [];
    const stayAndSayNothing = async (port: number) => void silent.push(await dial(port));
    const manners = [vanish, vanishMidway, halfClose, reset, floodAndVanish, politely, stayAndSayNothing];
    let next = 0;
    const crowd = async () => {
      while (next < 300) {
        const manner = manners[next++ % manners.length]!;
        await manner(port);
      }
    };
    await Promise.all(Array.from({ length: 25 }, crowd));
    for (let i = 0; i < 10; i++) await politely(port);
    const lost = () => [...Echo.all.values()].filter(({ calls }) => calls.at(-1) === "lost").length;
    await Echo.log.until(() => lost() === Echo.all.size - silent.length);
    for (const conn of silent) {
      await conn.write(bytes("awake"));
      assertEquals(text(await readBytes(conn, 5)), "awake");
    }
    server.abortClients();
    for (const conn of silent) {
      await conn.read(new Uint8Array(1)).catch(() => null);
      closeQuietly(conn);
    }
    await turn(loop);
  }));
