import type { ProtocolFactory } from "./protocol_factory.ts";
import { checkOptions, namesOf } from "../check_options.ts";
import { DenoEngine } from "../engines/deno/deno_engine.ts";
import { describe } from "../errors.ts";
import type { DenoConn, DenoFile, Engine, GivenDescriptor, ReadablePipe, WritablePipe } from "../transports/engine.ts";
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
  type GivenConn,
  type UnixConnectionOptions,
} from "./connect.ts";
import { type Clock, systemClock } from "./clock.ts";
import { createDatagramEndpoint, type DatagramFdOptions, type DatagramOptions } from "./datagram.ts";
import { LoopCore } from "./loop_core.ts";
import { connectPipe, type PipeOptions } from "./pipes.ts";
import { subprocessExec, type SubprocessExecOptions, type SubprocessOptions, subprocessShell } from "./subprocess.ts";
import { sendfile, type SendfileOptions } from "./sendfile.ts";
import {
  createServer,
  createUnixServer,
  type GivenListener,
  type ServerOptions,
  type UnixServerOptions,
} from "./create_server.ts";
import type { Server } from "./server.ts";
import { startTls, type StartTlsOptions } from "./start_tls.ts";

/** The options of a loop. */
export interface EventLoopOptions {
  /**
   * Provides connections, listeners, datagram sockets, pipes and child processes. An engine serves one loop.
   *
   * @default {new DenoEngine()}
   */
  engine?: Engine | undefined;
  /**
   * The clock of all timers and time limits.
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
 * asyncio's event loop on top of Deno's. It runs from its creation. {@linkcode getRunningLoop} returns the shared loop.
 *
 * These rules hold for all methods that create transports:
 *
 * - `factory` is called once for each transport and returns the protocol. `P` is the protocol's type.
 * - The promise resolves to the transport and the protocol, after `connectionMade` and before the first data callback.
 * - Errors of the operating system keep Deno's class and `code`; the message names the address.
 * - TLS: the promise rejects with a {@linkcode TlsError} if the handshake fails, and with a {@linkcode TimeoutError} after
 *   `handshakeTimeout`. Servers report both to the exception handler instead, and go on.
 * - A wrong argument is a `TypeError` or a `RangeError`; so are a certificate and a key that cannot be read. A `conn`,
 *   `listener`, `fd` or pipe that you pass is then untouched and still yours. Otherwise the transport or the server owns it,
 *   and closes it if the promise rejects for another reason, such as an exception of the factory.
 *
 * @example An echo server and a client
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
 * const [transport] = await loop.createConnection(() => new Protocol(), { port: server.port });
 * transport.write(new TextEncoder().encode("hello"));
 * transport.close();
 * server.close();
 * ```
 */
export class EventLoop extends BaseEventLoop {
  #core: LoopCore;

  /**
   * Creates a loop.
   *
   * @param options The engine and the clock.
   * @throws {TypeError} If `engine` or `clock` lacks a method.
   * @throws {Deno.errors.NotSupported} If the engine is the default one, and this Deno is too old.
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
   * @param factory Creates the protocol.
   * @param options The address, or `{ conn }` or `{ fd }`.
   * @returns The transport and the protocol.
   * @throws {Deno.errors.ConnectionRefused} If no server listens at the address.
   *
   * @example Connect within five seconds
   * ```ts
   * import { getRunningLoop, Protocol } from "@tandem/io";
   *
   * const signal = AbortSignal.timeout(5000);
   * const [transport] = await getRunningLoop().createConnection(() => new Protocol(), { port: 6379, signal });
   * transport.write(new TextEncoder().encode("PING\r\n"));
   * ```
   */
  createConnection<P extends StreamCallbacks>(
    factory: ProtocolFactory<P>,
    options: ConnectionOptions | GivenConn,
  ): Promise<[Transport, P]> {
    return createConnection(this.#core, factory, options);
  }

  /**
   * Serves TCP, or takes a listener that exists.
   *
   * @param factory Creates the protocol of each connection.
   * @param options The address, or `{ listener }` or `{ fd }`.
   * @returns The server.
   * @throws {Deno.errors.AddrInUse} If one of the addresses is taken. Then no address is left open.
   */
  createServer(
    factory: ProtocolFactory<StreamCallbacks>,
    options: ServerOptions | GivenListener,
  ): Promise<Server> {
    return createServer(this.#core, factory, options);
  }

  /**
   * Connects to a Unix socket, or takes a connection that exists.
   *
   * @param factory Creates the protocol.
   * @param options The path, or `{ conn }` or `{ fd }`.
   * @returns The transport and the protocol.
   * @throws {Deno.errors.NotFound} If there is no such socket.
   */
  createUnixConnection<P extends StreamCallbacks>(
    factory: ProtocolFactory<P>,
    options: UnixConnectionOptions | GivenConn,
  ): Promise<[Transport, P]> {
    return createUnixConnection(this.#core, factory, options);
  }

  /**
   * Serves a Unix socket, or takes a listener that exists.
   *
   * @param factory Creates the protocol of each connection.
   * @param options The path, or `{ listener }` or `{ fd }`.
   * @returns The server.
   * @throws {Deno.errors.AddrInUse} If the path is that of a live socket, or of a file that is not a socket.
   */
  createUnixServer(
    factory: ProtocolFactory<StreamCallbacks>,
    options: UnixServerOptions | GivenListener,
  ): Promise<Server> {
    return createUnixServer(this.#core, factory, options);
  }

  /**
   * Creates a transport and a protocol for a connection that was accepted elsewhere. In TLS it is the server.
   *
   * @param factory Creates the protocol.
   * @param conn The connection, or `{ fd }`: the file descriptor of one.
   * @param options TLS, time limits, TCP options and a signal.
   * @returns The transport and the protocol.
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
    conn: DenoConn | GivenDescriptor,
    options: AcceptedSocketOptions = {},
  ): Promise<[Transport, P]> {
    return connectAcceptedSocket(this.#core, factory, conn, options);
  }

  /**
   * Opens a datagram socket, UDP or Unix.
   *
   * @param factory Creates the protocol.
   * @param options The local address, and the remote address if there is only one peer; or `{ fd }`.
   * @returns The transport and the protocol.
   * @throws {Deno.errors.AddrInUse} If the local address is taken.
   *
   * @example Usage
   * ```ts
   * import { DatagramProtocol, getRunningLoop } from "@tandem/io";
   *
   * const remoteAddr = { hostname: "127.0.0.1", port: 5353 };
   * const [transport] = await getRunningLoop().createDatagramEndpoint(() => new DatagramProtocol(), { remoteAddr });
   * transport.sendto(new Uint8Array([1, 2, 3]));
   * ```
   */
  createDatagramEndpoint<P extends DatagramCallbacks>(
    factory: ProtocolFactory<P>,
    options: DatagramOptions | DatagramFdOptions = {},
  ): Promise<[DatagramTransport, P]> {
    return createDatagramEndpoint(this.#core, factory, options);
  }

  /**
   * Creates a transport that reads a pipe.
   *
   * @param factory Creates the protocol.
   * @param pipe The pipe, or `{ fd }`: the file descriptor of one.
   * @param options A time limit.
   * @returns The transport and the protocol.
   */
  connectReadPipe<P extends StreamCallbacks>(
    factory: ProtocolFactory<P>,
    pipe: ReadablePipe | GivenDescriptor,
    options: PipeOptions = {},
  ): Promise<[ReadTransport, P]> {
    return connectPipe(this.#core, factory, pipe, "read", options);
  }

  /**
   * Creates a transport that writes a pipe.
   *
   * @param factory Creates the protocol.
   * @param pipe The pipe, or `{ fd }`: the file descriptor of one.
   * @param options A time limit.
   * @returns The transport and the protocol.
   */
  connectWritePipe<P extends StreamCallbacks>(
    factory: ProtocolFactory<P>,
    pipe: WritablePipe | GivenDescriptor,
    options: PipeOptions = {},
  ): Promise<[WriteTransport, P]> {
    return connectPipe(this.#core, factory, pipe, "write", options);
  }

  /**
   * Starts a program.
   *
   * @param factory Creates the protocol.
   * @param program The path or name of the program.
   * @param options Arguments, standard streams, environment and others.
   * @returns The transport and the protocol.
   * @throws {Deno.errors.NotFound} If there is no such program.
   * @throws {Deno.errors.PermissionDenied} If the system does not permit executing the program.
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
   * Runs a command line with the system's shell. The shell interprets the whole text, so quote what comes from others.
   *
   * @param factory Creates the protocol.
   * @param command The command line.
   * @param options Standard streams, environment and others.
   * @returns The transport and the protocol.
   */
  subprocessShell<P extends SubprocessCallbacks>(
    factory: ProtocolFactory<P>,
    command: string,
    options: SubprocessOptions = {},
  ): Promise<[SubprocessTransport, P]> {
    return subprocessShell(this.#core, factory, command, options);
  }

  /**
   * Sends a file in bounded memory, at the pace of the peer. Sockets of the epoll engine send it without a copy.
   *
   * @param transport The transport. Do not write to it meanwhile.
   * @param file The file, open for reading. Several calls can send the same file at once; do not use it otherwise. At the
   * end, its position is behind the last byte that was sent by the call that ended last.
   * @param options The part of the file to send.
   * @returns The number of bytes that were sent; fewer than `count` if the file is shorter.
   * @throws {SendfileError} If the transport or the file fails. `bytesSent` is the number of bytes that were sent, and
   * `cause` is the error of the file or of `connectionLost`.
   * @throws {InvalidStateError} If the transport is closing, or another `sendfile` runs on it.
   *
   * @example Usage
   * ```ts
   * import { getRunningLoop, Protocol } from "@tandem/io";
   *
   * const loop = getRunningLoop();
   * const [transport] = await loop.createConnection(() => new Protocol(), { port: 8000 });
   * using file = await Deno.open("large.bin");
   * console.log(await loop.sendfile(transport, file, { offset: 1024 }), "bytes");
   * ```
   */
  sendfile(transport: WriteTransport, file: DenoFile, options: SendfileOptions = {}): Promise<number> {
    return sendfile(transport, file, options);
  }

  /**
   * Upgrades a connection to TLS: TCP, a Unix socket, a socket pair, or a TLS connection, for TLS inside TLS.
   *
   * Call it inside the callback that has read the plain command, before any `await`: bytes that arrive after the call are
   * TLS. Bytes that the protocol has read before the call were not encrypted, so a server must discard them (RFC 3207,
   * 4.2). Bytes that were written before the call are sent first.
   *
   * Afterwards the old transport is dead: `isClosing()` is `true`, `write` throws, and `close` and `abort` act on the new
   * transport. `connectionMade` is not called again. If the handshake fails, the connection is closed, and
   * `connectionLost` is called on `protocol` with the same error.
   *
   * @param transport The transport to replace.
   * @param protocol The protocol from now on, usually the same.
   * @param options TLS options. A client needs `serverHostname`, a server `serverSide`, `cert` and `key`.
   * @returns The new transport. Give it to the protocol. Data callbacks begin in the next turn.
   * @throws {TlsError} If the handshake fails.
   * @throws {TimeoutError} If the handshake takes longer than `handshakeTimeout`.
   * @throws {InvalidStateError} If the transport is closing, half closed, sending a file, or already upgraded.
   * @throws {TypeError} If an option is missing or of the wrong kind. Then, and if a getter of `protocol` throws, the
   * transport goes on unchanged.
   * @throws {Deno.errors.ConnectionAborted} If the transport is closed meanwhile.
   *
   * @example A protocol that upgrades when the client asks for it
   * ```ts
   * import { getRunningLoop, Protocol, type Transport } from "@tandem/io";
   *
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
   *     getRunningLoop().startTls(this.#transport, this, { serverSide: true, cert, key }).then(
   *       (transport) => this.#transport = transport,
   *       () => {}, // connectionLost() is called with the error.
   *     );
   *   }
   * }
   * ```
   */
  startTls(transport: Transport, protocol: StreamCallbacks, options: StartTlsOptions): Promise<Transport> {
    return startTls(this.#core, transport, protocol, options);
  }
}
