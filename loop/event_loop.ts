/**
 * The loop: what makes transports and protocols meet. Each method hands over to the file that does the work.
 *
 * @module
 */
import type { ProtocolFactory } from "./protocol_factory.ts";
import { checkOptions, namesOf } from "../check_options.ts";
import { DenoEngine } from "../engines/deno/deno_engine.ts";
import { describe } from "../errors.ts";
import type { DenoConn, DenoFile, Engine, ReadablePipe, WritablePipe } from "../transports/engine.ts";
import type {
  DatagramCallbacks,
  DatagramTransport,
  ReadTransport,
  StreamCallbacks,
  SubprocessCallbacks,
  SubprocessTransport,
  Transport,
  WriteTransport,
} from "../transports/transport.ts";
import { BaseEventLoop } from "./base_event_loop.ts";
import {
  type AcceptedSocketOptions,
  connectAcceptedSocket,
  type ConnectionOptions,
  createConnection,
  createUnixConnection,
  type ExistingConnOptions,
  type UnixConnectionOptions,
} from "./connect.ts";
import { type Clock, systemClock } from "./clock.ts";
import { createDatagramEndpoint, type DatagramOptions } from "./datagram.ts";
import { LoopCore } from "./loop_core.ts";
import { connectPipe, type PipeOptions } from "./pipes.ts";
import { subprocessExec, type SubprocessExecOptions, type SubprocessOptions, subprocessShell } from "./subprocess.ts";
import { sendfile, type SendfileOptions } from "./sendfile.ts";
import {
  createServer,
  createUnixServer,
  type ExistingListenerOptions,
  type ServerOptions,
  type UnixServerOptions,
} from "./create_server.ts";
import type { Server } from "./server.ts";
import { startTls, type StartTlsOptions } from "./start_tls.ts";

/** What a loop runs on. */
export interface EventLoopOptions {
  /**
   * Where connections, listeners, datagrams and children come from. It serves this loop alone.
   *
   * @default {new DenoEngine()}
   */
  engine?: Engine | undefined;
  /**
   * The clock that all timers of the loop go by.
   *
   * @default {undefined} the system's: `performance.now()` and `setTimeout`
   */
  clock?: Clock | undefined;
}

const ENGINE_METHODS = ["start", "soon", "connect", "listen", "adopt", "adoptListener", "datagram", "pipe", "spawn"];

const LOOP_OPTIONS = namesOf<EventLoopOptions>({ engine: true, clock: true });

function checkLoopOptions(options: EventLoopOptions): void {
  checkOptions("new EventLoop()", options, LOOP_OPTIONS);
  checkMethods("engine", options.engine, ENGINE_METHODS);
  checkMethods("clock", options.clock, ["now", "setTimer"]);
}

function checkMethods(name: string, value: object | undefined, methods: string[]): void {
  if (value === undefined) return;
  const missing = methods.find((method) => typeof (value as Record<string, unknown> | null)?.[method] !== "function");
  if (missing !== undefined) {
    throw new TypeError(`new EventLoop(): ${name} must have a method ${missing}(), got ${describe(value)}`);
  }
}

/**
 * asyncio's event loop on top of Deno's own. {@linkcode getRunningLoop} returns the one that programs share.
 *
 * @example An echo server, and a client that talks to it
 * ```ts
 * import { getRunningLoop, Protocol, type Transport } from "@tandem/io";
 *
 * class Echo extends Protocol {
 *   #transport!: Transport;
 *   override connectionMade(transport: Transport) {
 *     this.#transport = transport;
 *   }
 *   override dataReceived(data: Uint8Array) {
 *     this.#transport.write(data);
 *   }
 * }
 *
 * const loop = getRunningLoop();
 * const server = await loop.createServer(() => new Echo(), { hostname: "127.0.0.1", port: 0 });
 * const { port } = server.addresses[0] as Deno.NetAddr;
 * const [transport] = await loop.createConnection(() => new Protocol(), { port });
 * transport.write(new TextEncoder().encode("hello"));
 * transport.close();
 * server.close();
 * ```
 */
export class EventLoop extends BaseEventLoop {
  #core: LoopCore;

  /**
   * Creates a loop, which runs at once. Most programs share the one of {@linkcode getRunningLoop}.
   *
   * @param options What it runs on.
   * @throws {TypeError} If `engine` or `clock` lacks a method.
   */
  constructor(options: EventLoopOptions = {}) {
    checkLoopOptions(options);
    const { engine = new DenoEngine(), clock = systemClock } = options;
    const core = new LoopCore(engine, clock);
    super(core);
    this.#core = core;
  }

  /**
   * Connects over TCP, or takes a connection that exists.
   *
   * @typeParam P The protocol's type.
   * @param factory Makes the protocol, once connected.
   * @param options Where to, or `{ conn }`.
   * @returns The transport and the protocol, after `connectionMade` and before the first data callback.
   * @throws {Deno.errors.ConnectionRefused} If nobody listens; other errors are Deno's own, too.
   * @throws {TlsError} If the TLS handshake fails; its `code` names the cause.
   * @throws {TimeoutError} If it takes longer than `handshakeTimeout`.
   *
   * @example Usage
   * ```ts
   * import { getRunningLoop, Protocol } from "@tandem/io";
   *
   * const loop = getRunningLoop();
   * const signal = AbortSignal.timeout(5000);
   * const [transport] = await loop.createConnection(() => new Protocol(), { hostname: "localhost", port: 6379, signal });
   * transport.write(new TextEncoder().encode("PING\r\n"));
   * ```
   */
  createConnection<P extends StreamCallbacks>(
    factory: ProtocolFactory<P>,
    options: ConnectionOptions | ExistingConnOptions,
  ): Promise<[Transport, P]> {
    return createConnection(this.#core, factory, options);
  }

  /**
   * Serves TCP, or takes a listener that exists.
   *
   * @param factory Makes the protocol of each connection.
   * @param options Where, or `{ listener }`.
   * @returns The server.
   * @throws {Deno.errors.AddrInUse} If one of the addresses is taken; none is then left open.
   * @throws {TypeError} If a certificate or key cannot be read. A handshake that fails later goes to the exception
   * handler, and disturbs nobody.
   *
   * @example Usage
   * ```ts
   * import { getRunningLoop, Protocol } from "@tandem/io";
   *
   * const loop = getRunningLoop();
   * const server = await loop.createServer(() => new Protocol(), { hostname: ["127.0.0.1", "::1"], port: 0 });
   * console.log(server.addresses);
   * ```
   */
  createServer(
    factory: ProtocolFactory<StreamCallbacks>,
    options: ServerOptions | ExistingListenerOptions,
  ): Promise<Server> {
    return createServer(this.#core, factory, options);
  }

  /**
   * Connects to a Unix socket, or takes a connection that exists.
   *
   * @typeParam P The protocol's type.
   * @param factory Makes the protocol, once connected.
   * @param options Where to, or `{ conn }`.
   * @returns The transport and the protocol, after `connectionMade` and before the first data callback.
   * @throws {Deno.errors.NotFound} If there is no such socket; other errors are Deno's own, too.
   * @throws {TlsError} If the TLS handshake fails; its `code` names the cause.
   * @throws {TimeoutError} If it takes longer than `handshakeTimeout`.
   *
   * @example Usage
   * ```ts
   * import { getRunningLoop, Protocol } from "@tandem/io";
   *
   * const [transport] = await getRunningLoop().createUnixConnection(() => new Protocol(), { path: "app.sock" });
   * transport.close();
   * ```
   */
  createUnixConnection<P extends StreamCallbacks>(
    factory: ProtocolFactory<P>,
    options: UnixConnectionOptions | ExistingConnOptions,
  ): Promise<[Transport, P]> {
    return createUnixConnection(this.#core, factory, options);
  }

  /**
   * Serves a Unix socket, or takes a listener that exists.
   *
   * @param factory Makes the protocol of each connection.
   * @param options Where, or `{ listener }`.
   * @returns The server.
   * @throws {Deno.errors.AddrInUse} If a live socket, or a file of another kind, is there.
   * @throws {TypeError} If a certificate or key cannot be read. A handshake that fails later goes to the exception
   * handler, and disturbs nobody.
   *
   * @example Usage
   * ```ts
   * import { getRunningLoop, Protocol } from "@tandem/io";
   *
   * const server = await getRunningLoop().createUnixServer(() => new Protocol(), { path: "app.sock" });
   * server.close();
   * ```
   */
  createUnixServer(
    factory: ProtocolFactory<StreamCallbacks>,
    options: UnixServerOptions | ExistingListenerOptions,
  ): Promise<Server> {
    return createUnixServer(this.#core, factory, options);
  }

  /**
   * Makes a pair over a connection that was accepted elsewhere; in TLS it is the server.
   *
   * @typeParam P The protocol's type.
   * @param factory Makes the protocol.
   * @param conn The connection; the transport's from now on. If the call rejects because of an argument, it is still
   * yours; if it rejects for any other reason, it is closed.
   * @param options What else it is given.
   * @returns The transport and the protocol.
   * @throws {TlsError} If the TLS handshake fails; its `code` names the cause.
   * @throws {TimeoutError} If it takes longer than `handshakeTimeout`.
   *
   * @example Usage
   * ```ts
   * import { getRunningLoop, Protocol } from "@tandem/io";
   *
   * using listener = Deno.listen({ port: 8000 });
   * await getRunningLoop().connectAcceptedSocket(() => new Protocol(), await listener.accept());
   * ```
   */
  connectAcceptedSocket<P extends StreamCallbacks>(
    factory: ProtocolFactory<P>,
    conn: DenoConn,
    options: AcceptedSocketOptions = {},
  ): Promise<[Transport, P]> {
    return connectAcceptedSocket(this.#core, factory, conn, options);
  }

  /**
   * Opens a datagram socket, UDP or Unix.
   *
   * @typeParam P The protocol's type.
   * @param factory Makes the protocol.
   * @param options Where to receive, and the only address to talk to.
   * @returns The transport and the protocol, after `connectionMade`.
   * @throws {Deno.errors.AddrInUse} If the local address is taken; other errors are Deno's own, too.
   *
   * @example Usage
   * ```ts
   * import { getRunningLoop, DatagramProtocol } from "@tandem/io";
   *
   * const remoteAddr = { hostname: "127.0.0.1", port: 5353 };
   * const [transport] = await getRunningLoop().createDatagramEndpoint(() => new DatagramProtocol(), { remoteAddr });
   * transport.sendto(new Uint8Array([1, 2, 3]));
   * ```
   */
  createDatagramEndpoint<P extends DatagramCallbacks>(
    factory: ProtocolFactory<P>,
    options: DatagramOptions = {},
  ): Promise<[DatagramTransport, P]> {
    return createDatagramEndpoint(this.#core, factory, options);
  }

  /**
   * Reads a pipe.
   *
   * @typeParam P The protocol's type.
   * @param factory Makes the protocol.
   * @param pipe The pipe; the transport's from now on. If the call rejects because of an argument, it is still yours; if
   * the factory fails, it is closed.
   * @param options What else it is given.
   * @returns The transport and the protocol, after `connectionMade`.
   *
   * @example Usage
   * ```ts
   * import { getRunningLoop, Protocol } from "@tandem/io";
   *
   * class Print extends Protocol {
   *   override dataReceived(data: Uint8Array) {
   *     console.log(new TextDecoder().decode(data));
   *   }
   * }
   *
   * await getRunningLoop().connectReadPipe(() => new Print(), Deno.stdin);
   * ```
   */
  connectReadPipe<P extends StreamCallbacks>(
    factory: ProtocolFactory<P>,
    pipe: ReadablePipe,
    options: PipeOptions = {},
  ): Promise<[ReadTransport, P]> {
    return connectPipe(this.#core, factory, pipe, "read", options);
  }

  /**
   * Writes a pipe.
   *
   * @typeParam P The protocol's type.
   * @param factory Makes the protocol.
   * @param pipe The pipe; the transport's from now on. If the call rejects because of an argument, it is still yours; if
   * the factory fails, it is closed.
   * @param options What else it is given.
   * @returns The transport and the protocol, after `connectionMade`.
   *
   * @example Usage
   * ```ts
   * import { getRunningLoop, BaseProtocol } from "@tandem/io";
   *
   * const [transport] = await getRunningLoop().connectWritePipe(() => new BaseProtocol(), Deno.stdout);
   * transport.write(new TextEncoder().encode("hello\n"));
   * ```
   */
  connectWritePipe<P extends StreamCallbacks>(
    factory: ProtocolFactory<P>,
    pipe: WritablePipe,
    options: PipeOptions = {},
  ): Promise<[WriteTransport, P]> {
    return connectPipe(this.#core, factory, pipe, "write", options);
  }

  /**
   * Starts a program.
   *
   * @typeParam P The protocol's type.
   * @param factory Makes the protocol.
   * @param program The program's path or name.
   * @param options Its arguments, streams and surroundings.
   * @returns The transport and the protocol, after `connectionMade`.
   * @throws {Deno.errors.NotFound} If there is no such program.
   * @throws {Deno.errors.PermissionDenied} If it may not be run.
   *
   * @example Usage
   * ```ts
   * import { getRunningLoop, SubprocessProtocol } from "@tandem/io";
   *
   * class Child extends SubprocessProtocol {
   *   override pipeDataReceived(fd: number, data: Uint8Array) {
   *     console.log(fd, new TextDecoder().decode(data));
   *   }
   * }
   *
   * await getRunningLoop().subprocessExec(() => new Child(), "date", { args: ["-u"], stdin: "null" });
   * ```
   */
  subprocessExec<P extends SubprocessCallbacks>(
    factory: ProtocolFactory<P>,
    program: string | URL,
    options: SubprocessExecOptions = {},
  ): Promise<[SubprocessTransport, P]> {
    return subprocessExec(this.#core, factory, program, options);
  }

  /**
   * Runs a command line with the system's shell. Quote what comes from others: the shell reads it all.
   *
   * @typeParam P The protocol's type.
   * @param factory Makes the protocol.
   * @param command The command line.
   * @param options Its streams and surroundings.
   * @returns The transport and the protocol, after `connectionMade`.
   *
   * @example Usage
   * ```ts
   * import { getRunningLoop, SubprocessProtocol } from "@tandem/io";
   *
   * const options = { stderr: "stdout" } as const;
   * await getRunningLoop().subprocessShell(() => new SubprocessProtocol(), "ls | wc -l", options);
   * ```
   */
  subprocessShell<P extends SubprocessCallbacks>(
    factory: ProtocolFactory<P>,
    command: string,
    options: SubprocessOptions = {},
  ): Promise<[SubprocessTransport, P]> {
    return subprocessShell(this.#core, factory, command, options);
  }

  /**
   * Sends a file, at the pace that its reader takes it, in bounded memory.
   *
   * @param transport Where to. Do not write to it meanwhile.
   * @param file The file, open for reading. Several transports may be sent it at once; leave it alone otherwise. Its
   * position afterwards is behind the last byte sent, by the call that ends last.
   * @param options What part of it.
   * @returns How many bytes were sent; fewer than `count` if the file is shorter.
   * @throws {SendfileError} If the transport or the file failed midway; it tells how many bytes were sent, and its
   * `cause` is the file's error, or the one that `connectionLost` gets.
   * @throws {InvalidStateError} If another `sendfile` runs on the transport, or it is closing.
   *
   * @example Usage
   * ```ts
   * import { getRunningLoop, Protocol } from "@tandem/io";
   *
   * const loop = getRunningLoop();
   * const [transport] = await loop.createConnection(() => new Protocol(), { port: 8000 });
   * using file = await Deno.open("large.bin");
   * const sent = await loop.sendfile(transport, file, { offset: 1024 });
   * console.log(sent, "bytes");
   * ```
   */
  sendfile(transport: WriteTransport, file: DenoFile, options: SendfileOptions = {}): Promise<number> {
    return sendfile(transport, file, options);
  }

  /**
   * Upgrades a connection to TLS: TCP, a Unix socket, a socket pair, or TLS again. Call it inside the callback that has
   * read the plain command, before anything is awaited: from the call on, what arrives is TLS. What was read by then
   * stays with the protocol; it came in the clear, so a server throws it away (RFC 3207, 4.2). What was written before
   * leaves before.
   *
   * The old transport is dead afterwards: `isClosing()` is true, `write` throws, `close` and `abort` go to the new one.
   * `connectionMade` is not called again. If the handshake fails the connection is closed, and `protocol` hears
   * `connectionLost` with the same error.
   *
   * @param transport The transport to replace.
   * @param protocol The protocol from now on, often the one that it has.
   * @param options Which side to be, whom to trust and who to be; a client needs `serverHostname`, a server `cert` and
   * `key`.
   * @returns The new transport, which delivers from the next turn on. Give it to the protocol.
   * @throws {TlsError} If the handshake fails.
   * @throws {TimeoutError} If it takes longer than `handshakeTimeout`.
   * @throws {InvalidStateError} If the transport is closing, half closed, sending a file, or upgraded already.
   * @throws {TypeError} If an option is of the wrong kind, or missing; the transport then goes on as it was, as it does
   * if a getter of `protocol` throws.
   * @throws {Deno.errors.ConnectionAborted} If the transport is closed meanwhile.
   *
   * @example A protocol that upgrades when it is asked to
   * ```ts
   * import { getRunningLoop, Protocol, type Transport } from "@tandem/io";
   *
   * const loop = getRunningLoop();
   * const cert = await Deno.readTextFile("server.pem");
   * const key = await Deno.readTextFile("server.key");
   *
   * class Server extends Protocol {
   *   #transport!: Transport;
   *   override connectionMade(transport: Transport) {
   *     this.#transport = transport;
   *   }
   *   override dataReceived(data: Uint8Array) {
   *     if (new TextDecoder().decode(data) !== "STARTTLS\r\n") return;
   *     loop.startTls(this.#transport, this, { serverSide: true, cert, key }).then(
   *       (transport) => this.#transport = transport,
   *       () => {}, // connectionLost() is given the error.
   *     );
   *   }
   * }
   *
   * await loop.createServer(() => new Server(), { port: 2525 });
   * ```
   */
  startTls(transport: Transport, protocol: StreamCallbacks, options: StartTlsOptions): Promise<Transport> {
    return startTls(this.#core, transport, protocol, options);
  }
}
