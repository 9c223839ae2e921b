/** For the tests of byte streams: raw peers that do as they are told, and a handle whose every completion is the test's. */
import { connect as connectNode, type Socket as NodeSocket } from "node:net";
import type { ServerOptions } from "../../mod.ts";
import { openLibc } from "../../engines/epoll/libc.ts";
import { Socket } from "../../engines/epoll/mod.ts";
import { WindowMemory } from "../../memory/window_memory.ts";
import type { LoopContext } from "../../transports/loop_context.ts";
import type { StreamHandle, StreamSink } from "../../transports/stream_handle.ts";
import type { StreamConnectionOptions } from "../../transports/connection_owner.ts";
import { StreamConnection } from "../../transports/stream_connection.ts";
import { StreamTransport } from "../../transports/stream_transport.ts";
import type { StreamCallbacks } from "../../transports/transport.ts";
import type { Server, WriteTransport } from "../../mod.ts";
import { isOverEpoll } from "../engine.ts";
import { concat, loop, portOf } from "../kit.ts";

/** A loop for transports that a test makes by itself. */
export const context: LoopContext = {
  debug: false,
  time: () => loop.time(),
  callSoon: (callback, ...args) => loop.callSoon(callback, ...args),
  callLater: (delayMs, callback, ...args) => loop.callLater(delayMs, callback, ...args),
  report: (context) => loop.callExceptionHandler(context),
  reportIfSlow: () => {},
  watch: () => {},
  unwatch: () => {},
};

/** A Tandem server and one client that is a plain `Deno.TcpConn`; leaving the scope closes both. */
export class RawPeer<P> implements AsyncDisposable {
  readonly server: Server;
  readonly protocol: P;
  readonly conn: Deno.TcpConn;

  constructor(server: Server, protocol: P, conn: Deno.TcpConn) {
    this.server = server;
    this.protocol = protocol;
    this.conn = conn;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    closeQuietly(this.conn);
    this.server.close();
    this.server.abortClients();
    await this.server.waitClosed();
  }
}

/** Serves a protocol and connects a raw client to it; resolves when `connectionMade` has run. */
export async function serveRaw<P extends object>(
  makeProtocol: () => P,
  options: Partial<ServerOptions> = {},
): Promise<RawPeer<P>> {
  const [server, made] = await serveOne(makeProtocol, options);
  const conn = await Deno.connect({ hostname: "127.0.0.1", port: portOf(server) });
  return new RawPeer(server, await made, conn);
}

/** The same with a client that can reset its connection, which a `Deno.TcpConn` cannot; it reads nothing. */
export async function serveResettable<P extends object>(
  makeProtocol: () => P,
): Promise<AsyncDisposable & { protocol: P; reset(): Promise<void> }> {
  const [server, made] = await serveOne(makeProtocol);
  const socket = connectNode(portOf(server), "127.0.0.1");
  // Before that a reset is an orderly end.
  const connected = new Promise((resolve) => void socket.once("connect", resolve));
  const protocol = await made;
  await connected;
  return {
    protocol,
    reset: () => resetNode(socket),
    async [Symbol.asyncDispose]() {
      await resetNode(socket);
      server.close();
      server.abortClients();
      await server.waitClosed();
    },
  };
}

/** Makes a node socket send a reset, and waits until it is closed. */
export async function resetNode(socket: NodeSocket): Promise<void> {
  if (socket.closed) return;
  const closed = new Promise<void>((resolve) => void socket.once("close", () => resolve()));
  socket.resetAndDestroy();
  await closed;
}

async function serveOne<P extends object>(
  makeProtocol: () => P,
  options: Partial<ServerOptions> = {},
): Promise<[Server, Promise<P>]> {
  const made = Promise.withResolvers<P>();
  const factory = () => {
    const protocol = makeProtocol();
    // Resolved a turn later, after connectionMade has run.
    loop.callSoon(() => made.resolve(protocol));
    return protocol;
  };
  const server = await loop.createServer(factory, { hostname: "127.0.0.1", port: 0, ...options });
  return [server, made.promise];
}

/** Closes what may be closed already. */
export function closeQuietly(resource: { close(): void }): void {
  try {
    resource.close();
  } catch {
    // It was closed already.
  }
}

/** Reads so many bytes, or fewer if the stream ends before. */
export async function readBytes(conn: Deno.Conn, count: number): Promise<Uint8Array> {
  const data = new Uint8Array(count);
  let filled = 0;
  while (filled < count) {
    const n = await conn.read(data.subarray(filled));
    if (n === null) break;
    filled += n;
  }
  return data.subarray(0, filled);
}

/** Reads to the end of the stream, in pieces of at most `size` bytes. */
export async function readAll(conn: Deno.Conn, size = 64 * 1024): Promise<Uint8Array> {
  const pieces: Uint8Array[] = [];
  for (;;) {
    const buffer = new Uint8Array(size);
    const n = await conn.read(buffer);
    if (n === null) return concat(pieces);
    pieces.push(buffer.subarray(0, n));
  }
}

/** Writes all of `data`. */
export async function writeAll(conn: Deno.Conn, data: Uint8Array): Promise<void> {
  for (let sent = 0; sent < data.length;) sent += await conn.write(data.subarray(sent));
}

/** Notes the size of every system write of a connection from now on, given what `getExtraInfo("socket")` returns. */
export function countWrites(conn: unknown): number[] {
  return conn instanceof Socket ? countSends(conn) : countConnWrites(conn as Deno.Conn);
}

/** The hook stays in the table of the C library, and is idle once the socket is closed. */
function countSends(socket: Socket): number[] {
  const sizes: number[] = [];
  const libc = openLibc();
  const { send } = libc;
  libc.send = (fd, data, length, flags) => {
    if (fd === socket.fd) sizes.push(Number(length));
    return send(fd, data, length, flags);
  };
  return sizes;
}

function countConnWrites(conn: Deno.Conn): number[] {
  const sizes: number[] = [];
  const write = conn.write.bind(conn);
  conn.write = (data) => {
    sizes.push(data.length);
    return write(data);
  };
  return sizes;
}

/** The bytes that sendfile(2) has sent, by descriptor. */
const sentByKernel = new Map<number, number>();

if (isOverEpoll()) {
  const libc = openLibc();
  const { sendfile, close } = libc;
  libc.sendfile = (out, ...args) => {
    const count = sendfile(out, ...args);
    sentByKernel.set(out, (sentByKernel.get(out) ?? 0) + Math.max(0, count));
    return count;
  };
  libc.close = (fd) => {
    sentByKernel.delete(fd);
    return close(fd);
  };
}

/** Waits until `sendfile()` on a transport has begun, and the kernel has stopped taking bytes. */
export function untilStuck(transport: WriteTransport): Promise<void> {
  const socket: unknown = transport.getExtraInfo("socket");
  return untilStill(() => socket instanceof Socket ? sentByKernel.get(socket.fd) ?? 0 : transport.getWriteBufferSize());
}

/** Waits until a number above 0 has stopped changing. Nothing tells of that, so this looks again and again. */
export async function untilStill(read: () => number): Promise<void> {
  for (let still = 0, before = -1; still < 5; still++) {
    const now = read();
    if (now !== before || now === 0) still = 0;
    before = now;
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}

/** Runs all microtasks that are queued, and those they queue, without a turn of the loop. */
export async function microtasks(): Promise<void> {
  for (let i = 0; i < 50; i++) await Promise.resolve();
}

/** A handle that reads and writes when the test says so. */
export class FakeHandle implements StreamHandle {
  readonly readable = true;
  readonly writable = true;
  readonly memory = new WindowMemory();
  /** A copy of what was given to each `write`. */
  readonly writes: Uint8Array[] = [];
  /** What was given to the last `write`, itself. */
  posted: Uint8Array | null = null;
  /** How many bytes `write` takes at once; `undefined` leaves it to {@linkcode take}. */
  takesAtOnce: number | undefined;
  closeWrites = 0;
  closed = false;
  #sink: StreamSink | null = null;
  #wanted = false;
  #target: Uint8Array | null = null;
  #pending: PromiseWithResolvers<number> | null = null;

  /** Whether a read has been posted and not been completed. */
  get reading(): boolean {
    return this.#target !== null;
  }

  /** The memory that the posted read goes to. */
  get target(): Uint8Array | null {
    return this.#target;
  }

  /** Whether a write has been posted and not been completed. */
  get writing(): boolean {
    return this.#pending !== null;
  }

  /** All that was taken or is being written. */
  get written(): Uint8Array {
    return concat(this.writes);
  }

  readStart(sink: StreamSink): void {
    this.#sink = sink;
    this.#wanted = true;
    this.#post();
  }

  readStop(): void {
    this.#wanted = false;
  }

  write(data: Uint8Array): number | Promise<number> {
    if (this.#pending !== null) throw new Error("a write while one is going on");
    this.posted = data;
    this.writes.push(new Uint8Array(data));
    if (this.takesAtOnce !== undefined) return Math.min(this.takesAtOnce, data.length);
    this.#pending = Promise.withResolvers();
    return this.#pending.promise;
  }

  closeWrite(): Promise<void> {
    this.closeWrites++;
    return Promise.resolve();
  }

  close(): void {
    this.closed = true;
    this.#wanted = false;
    this.#target = null;
    this.#pending?.reject(new Deno.errors.Interrupted("closed"));
    this.#pending = null;
  }

  /** Completes the posted read with these bytes. */
  deliver(data: Uint8Array): void {
    if (this.#target === null) throw new Error("no read is posted");
    this.#target.set(data);
    this.fill(data.length);
  }

  /** Completes the posted read with whatever is in its memory. */
  fill(count: number): void {
    this.#target = null;
    this.#sink!.filled(count);
    this.#post();
  }

  /** Completes the posted read with the end of the stream. */
  end(): void {
    this.#target = null;
    this.#sink!.end();
  }

  /** Makes the posted read fail. */
  failRead(error: Error): void {
    this.#target = null;
    this.#sink!.failed(error);
  }

  /** Completes the posted write; resolves when the transport has taken note. */
  async take(count: number): Promise<void> {
    const pending = this.#pending!;
    this.#pending = null;
    pending.resolve(count);
    await microtasks();
  }

  /** Makes the posted write fail. */
  async failWrite(error: Error): Promise<void> {
    const pending = this.#pending!;
    this.#pending = null;
    pending.reject(error);
    await microtasks();
  }

  #post(): void {
    if (this.#wanted && this.#target === null) this.#target = this.#sink!.allocate(1024);
  }
}

/** A transport over a handle of the test's, connected and reading. */
export function makeTransport(
  protocol: StreamCallbacks,
  handle: StreamHandle,
  options: StreamConnectionOptions<StreamConnection> = {},
): StreamTransport {
  const connection = new StreamConnection(context, handle, protocol, options);
  const transport = new StreamTransport(connection, { extra: {} });
  connection.start();
  connection.startReading();
  return transport;
}
