/** For the tests of startTls(): plain pairs over everything that it upgrades, and a peer that is node:tls. */
import { Duplex } from "node:stream";
import nodeTls from "node:tls";
import { type ServerOptions, socketPair, type StartTlsOptions, type TcpOptions, type Transport } from "../../mod.ts";
import type { Server } from "../../mod.ts";
import type { StreamSink } from "../../transports/stream_handle.ts";
import { assertEquals } from "../std.ts";
import { concat, EventLog, loop, pattern, portOf, Recorder, tempPath, text, turn } from "../kit.ts";
import { FakeHandle, writeAll } from "../streams/kit.ts";
import { CA, clientTls, SERVER, serverTls, tlsRecorders } from "../tls/kit.ts";

/** What the server's side gives to `startTls()`. */
export const ANSWERING: StartTlsOptions = { ...SERVER, serverSide: true };

/** What can be upgraded. */
export const PLAIN_WAYS = ["TCP", "a Unix socket", "socketPair()", "TLS", "TLS (native)"] as const;

/** A pair that is to be upgraded, or has been. */
export interface PlainPair {
  readonly server: Server | null;
  readonly clientSide: Recorder;
  readonly serverSide: Recorder;
}

/** A pair that cleans up after itself. */
class CleanPair implements PlainPair, AsyncDisposable {
  readonly server: Server | null;
  readonly clientSide: Recorder;
  readonly serverSide: Recorder;
  readonly #accepted: EventLog;
  readonly #protocols: Recorder[];
  readonly #directory: Disposable | null;

  constructor(
    server: Server | null,
    clientSide: Recorder,
    accepted: { log: EventLog; protocols: Recorder[] },
    directory: Disposable | null,
  ) {
    this.server = server;
    this.clientSide = clientSide;
    this.serverSide = accepted.protocols[0]!;
    this.#accepted = accepted.log;
    this.#protocols = accepted.protocols;
    this.#directory = directory;
  }

  /** Waits for the next connection that the server accepts. */
  async next(): Promise<Recorder> {
    await this.#accepted.until(() => this.#protocols.length > 1);
    return this.#protocols.pop()!;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.server?.close();
    this.server?.abortClients();
    for (const side of [this.clientSide, this.serverSide]) {
      side.transport.abort();
      // Where a test has set another protocol, that one was told.
      if (side.transport.getProtocol() === side) await side.untilLost();
    }
    await this.server?.waitClosed();
    // The socket is closed behind connectionLost.
    await turn();
    this.#directory?.[Symbol.dispose]();
  }
}

/** Connects two recorders in the clear, or, with the ways called TLS, with one layer of it. */
export async function plainPair(
  way: typeof PLAIN_WAYS[number],
  options: { server?: Partial<ServerOptions>; client?: TcpOptions } = {},
): Promise<CleanPair> {
  const accepted = { log: new EventLog(), protocols: [] as Recorder[] };
  const accept = () => {
    const protocol = new Recorder();
    // A turn later, after connectionMade has run.
    loop.callSoon(() => {
      accepted.protocols.push(protocol);
      accepted.log.changed();
    });
    return protocol;
  };
  if (way === "TLS" || way === "TLS (native)") {
    const { server, clientSide, serverSide } = await tlsRecorders({ native: way === "TLS (native)" });
    return new CleanPair(server, clientSide, { log: accepted.log, protocols: [serverSide] }, null);
  }
  if (way === "socketPair()") {
    const [near, far] = await socketPair();
    const [, serverSide] = await loop.connectAcceptedSocket(() => new Recorder(), far);
    const [, clientSide] = await loop.createConnection(() => new Recorder(), { conn: near, ...options.client });
    return new CleanPair(null, clientSide, { log: accepted.log, protocols: [serverSide] }, null);
  }
  const directory = way === "TCP" ? null : tempPath();
  const path = directory?.path ?? "";
  const server = directory === null
    ? await loop.createServer(accept, { hostname: "127.0.0.1", port: 0, ...options.server })
    : await loop.createUnixServer(accept, { path });
  const [, clientSide] = directory === null
    ? await loop.createConnection(() => new Recorder(), { port: portOf(server), ...options.client })
    : await loop.createUnixConnection(() => new Recorder(), { path });
  await accepted.log.until(() => accepted.protocols.length === 1);
  return new CleanPair(server, clientSide, accepted, directory);
}

/** Upgrades both ends, each with its own protocol; `reversed` makes the one that has dialled the server. */
export async function upgrade(
  { clientSide, serverSide }: PlainPair,
  options: { client?: StartTlsOptions; server?: StartTlsOptions; reversed?: boolean } = {},
): Promise<void> {
  const [asking, answering] = options.reversed ? [serverSide, clientSide] : [clientSide, serverSide];
  [asking.transport, answering.transport] = await Promise.all([
    loop.startTls(asking.transport, asking, clientTls(options.client)),
    loop.startTls(answering.transport, answering, { ...serverTls(options.server), serverSide: true }),
  ]) as [Transport, Transport];
}

/** Sends a pattern each way, and checks what arrives. */
export async function exchange({ clientSide, serverSide }: PlainPair, length: number): Promise<void> {
  const before = [clientSide.received, serverSide.received] as const;
  clientSide.transport.write(pattern(length, 1));
  serverSide.transport.write(pattern(length, 2));
  await Promise.all([
    clientSide.untilReceived(before[0] + length),
    serverSide.untilReceived(before[1] + length),
  ]);
  assertEquals(clientSide.data.subarray(before[0]), pattern(length, 2));
  assertEquals(serverSide.data.subarray(before[1]), pattern(length, 1));
}

/** A handle whose other end is a client of node:tls: what is read, and when, is the test's. */
export class WireHandle extends FakeHandle implements Disposable {
  /** The transport over it. */
  transport: Transport | undefined;
  /** What the client has received, in the clear, or has to say. */
  readonly received = new EventLog();
  /** Takes what the client says, instead of the reads. */
  onSaid: ((data: Uint8Array) => void) | undefined;
  #waiting: Uint8Array[] = [];
  #delivering = false;
  #duplex: Duplex;
  #client: nodeTls.TLSSocket;
  #onCleartext: (data: Uint8Array) => void = (data) => {
    this.#pieces.push(data);
    this.received.changed();
  };
  #pieces: Uint8Array[] = [];

  constructor() {
    super();
    this.#duplex = new Duplex({
      read: () => {},
      write: (data: Uint8Array, _encoding, done) => {
        if (this.onSaid !== undefined) this.onSaid(new Uint8Array(data));
        else this.hold(new Uint8Array(data));
        done();
      },
    });
    this.#client = nodeTls.connect({ socket: this.#duplex, host: "localhost", ca: [CA] });
    this.#client.on("data", (data: Uint8Array) => this.#onCleartext(new Uint8Array(data)));
    this.#client.on("error", () => {});
  }

  /** What the client has received, as text. */
  get text(): string {
    return text(concat(this.#pieces));
  }

  /** Waits for the client's first message, and takes it. */
  async clientHello(): Promise<Uint8Array> {
    await this.received.until(() => this.#waiting.length > 0);
    return concat(this.#waiting.splice(0));
  }

  /** Keeps bytes for the next reads. */
  hold(data: Uint8Array): void {
    if (data.length > 0) this.#waiting.push(data);
    this.received.changed();
    this.#flush();
  }

  /** From now on, what is kept is delivered whenever a read is posted. */
  goOn(): void {
    this.#delivering = true;
    this.#flush();
  }

  /** Makes the client say something. */
  say(message: string): void {
    this.#client.write(message);
  }

  /** The same in bytes. */
  sayBytes(data: Uint8Array): void {
    this.#client.write(data);
  }

  /** Gives another client the inside of this one's connection. */
  relay(inner: WireHandle): void {
    inner.onSaid = (data) => this.sayBytes(data);
    this.#onCleartext = (data) => void inner.write(data);
  }

  override write(data: Uint8Array): number {
    this.writes.push(new Uint8Array(data));
    this.#duplex.push(new Uint8Array(data));
    return data.length;
  }

  override readStart(sink: StreamSink): void {
    super.readStart(sink);
    queueMicrotask(() => this.#flush());
  }

  [Symbol.dispose](): void {
    this.#client.destroy();
    this.#duplex.destroy();
  }

  #flush(): void {
    while (this.#delivering && this.reading && this.#waiting.length > 0) {
      const [piece] = this.#waiting as [Uint8Array];
      const count = Math.min(piece.length, this.target!.length);
      if (count === piece.length) this.#waiting.shift();
      else this.#waiting[0] = piece.subarray(count);
      this.deliver(piece.subarray(0, count));
    }
  }
}

/** Takes what a connection brings to a client of node:tls, and back, until it ends. */
export async function pump(conn: Deno.Conn, client: WireHandle): Promise<void> {
  client.onSaid = (data) => writeAll(conn, data).catch(() => {});
  const buffer = new Uint8Array(65536);
  try {
    for (let count; (count = await conn.read(buffer)) !== null;) client.write(buffer.slice(0, count));
  } catch {
    // Closed by the test.
  }
}
