/**
 * The loop: what makes transports and protocols meet. Each method hands over to the file that does the work.
 *
 * @module
 */
import type { ExceptionContext, Handle, LoopContext, TimerHandle } from "../transports/context.ts";
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
import {
  type ConnectionOptions,
  createConnection,
  createUnixConnection,
  type ExistingConnOptions,
  type TcpOptions,
  type UnixConnectionOptions,
} from "./connect.ts";
import { createDatagramEndpoint, type DatagramOptions } from "./datagram.ts";
import { type ExceptionHandler, Exceptions } from "./exceptions.ts";
import type { ProtocolFactory } from "./factory.ts";
import { connectReadPipe, connectWritePipe, type ReadablePipe, type WritablePipe } from "./pipes.ts";
import { subprocessExec, type SubprocessExecOptions, type SubprocessOptions, subprocessShell } from "./process.ts";
import { checkTime, Scheduler } from "./scheduler.ts";
import { sendfile, type SendfileOptions } from "./sendfile.ts";
import {
  createServer,
  createUnixServer,
  type ExistingListenerOptions,
  type Server,
  type ServerOptions,
  type UnixServerOptions,
} from "./server.ts";
import { Signals } from "./signals.ts";

/**
 * asyncio's event loop on top of Deno's own: {@linkcode getRunningLoop} gives the one there is.
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
export class EventLoop {
  #exceptions = new Exceptions();
  #scheduler = new Scheduler(this.#exceptions);
  #context: LoopContext = makeContext(this.#exceptions, this.#scheduler);
  #signals = new Signals(this.#context);

  // ---- Scheduling

  /**
   * Runs a callback in the next turn, after those already waiting.
   *
   * @typeParam A The types of its arguments.
   * @param callback What to run. What it throws goes to the exception handler.
   * @param args With what.
   * @returns A handle to call it off.
   * @throws {TypeError} If `callback` is not a function.
   *
   * @example Usage
   * ```ts
   * import { getRunningLoop } from "@tandem/io";
   *
   * getRunningLoop().callSoon(console.log, "in a moment");
   * ```
   */
  callSoon<A extends unknown[]>(callback: (...args: A) => unknown, ...args: A): Handle {
    return this.#scheduler.callSoon(callback, args);
  }

  /**
   * Runs a callback after a delay.
   *
   * @typeParam A The types of its arguments.
   * @param delayMs How long to wait, in milliseconds; zero or less is the next turn but one.
   * @param callback What to run.
   * @param args With what.
   * @returns A handle to call it off.
   * @throws {TypeError} If `callback` is not a function, or `delayMs` not a number.
   * @throws {RangeError} If `delayMs` is not finite.
   *
   * @example Usage
   * ```ts
   * import { getRunningLoop } from "@tandem/io";
   *
   * const timer = getRunningLoop().callLater(1000, console.log, "a second later");
   * timer.cancel();
   * ```
   */
  callLater<A extends unknown[]>(delayMs: number, callback: (...args: A) => unknown, ...args: A): TimerHandle {
    checkTime("callLater(): delayMs", delayMs);
    return this.#scheduler.callAt(this.time() + delayMs, callback, args, "callLater()");
  }

  /**
   * Runs a callback at a time of the loop's clock. Never early; in order of time, then of calling.
   *
   * @typeParam A The types of its arguments.
   * @param whenMs When, on the clock of {@linkcode time}.
   * @param callback What to run.
   * @param args With what.
   * @returns A handle to call it off.
   * @throws {TypeError} If `callback` is not a function, or `whenMs` not a number.
   * @throws {RangeError} If `whenMs` is not finite.
   */
  callAt<A extends unknown[]>(whenMs: number, callback: (...args: A) => unknown, ...args: A): TimerHandle {
    checkTime("callAt(): whenMs", whenMs);
    return this.#scheduler.callAt(whenMs, callback, args, "callAt()");
  }

  /**
   * Reads the loop's clock, which never goes back.
   *
   * @returns Milliseconds since some fixed moment.
   */
  time(): number {
    return this.#scheduler.time();
  }

  /**
   * Makes a promise that others resolve.
   *
   * @typeParam T What it resolves to.
   * @returns The promise and the functions that settle it.
   */
  createFuture<T>(): PromiseWithResolvers<T> {
    return Promise.withResolvers<T>();
  }

  // ---- Connections

  /**
   * Connects over TCP, or takes a connection that exists.
   *
   * @typeParam P The protocol's type.
   * @param factory Makes the protocol, once connected.
   * @param options Where to, or `{ conn }`.
   * @returns The transport and the protocol, after `connectionMade` and before the first data callback.
   * @throws {Deno.errors.ConnectionRefused} If nobody listens; other errors are Deno's own, too.
   */
  createConnection<P extends StreamCallbacks>(
    factory: ProtocolFactory<P>,
    options: ConnectionOptions | ExistingConnOptions,
  ): Promise<[Transport, P]> {
    return createConnection(this.#context, factory, options);
  }

  /**
   * Serves TCP, or takes a listener that exists.
   *
   * @param factory Makes the protocol of each connection.
   * @param options Where, or `{ listener }`.
   * @returns The server.
   * @throws {Deno.errors.AddrInUse} If one of the addresses is taken; none is then left open.
   */
  createServer(
    factory: ProtocolFactory<StreamCallbacks>,
    options: ServerOptions | ExistingListenerOptions,
  ): Promise<Server> {
    return createServer(this.#context, factory, options);
  }

  /**
   * Connects to a Unix socket, or takes a connection that exists.
   *
   * @typeParam P The protocol's type.
   * @param factory Makes the protocol, once connected.
   * @param options Where to, or `{ conn }`.
   * @returns The transport and the protocol, after `connectionMade` and before the first data callback.
   * @throws {Deno.errors.NotFound} If there is no such socket; other errors are Deno's own, too.
   */
  createUnixConnection<P extends StreamCallbacks>(
    factory: ProtocolFactory<P>,
    options: UnixConnectionOptions | ExistingConnOptions,
  ): Promise<[Transport, P]> {
    return createUnixConnection(this.#context, factory, options);
  }

  /**
   * Serves a Unix socket, or takes a listener that exists.
   *
   * @param factory Makes the protocol of each connection.
   * @param options Where, or `{ listener }`.
   * @returns The server.
   * @throws {Deno.errors.AddrInUse} If a live socket, or a file of another kind, is there.
   */
  createUnixServer(
    factory: ProtocolFactory<StreamCallbacks>,
    options: UnixServerOptions | ExistingListenerOptions,
  ): Promise<Server> {
    return createUnixServer(this.#context, factory, options);
  }

  /**
   * Makes a pair over a connection that was accepted elsewhere.
   *
   * @typeParam P The protocol's type.
   * @param factory Makes the protocol.
   * @param conn The connection; the transport's from now on.
   * @param options What else it is given.
   * @returns The transport and the protocol.
   */
  connectAcceptedSocket<P extends StreamCallbacks>(
    factory: ProtocolFactory<P>,
    conn: Deno.Conn,
    options: TcpOptions = {},
  ): Promise<[Transport, P]> {
    return createConnection(this.#context, factory, { ...options, conn });
  }

  /**
   * Opens a datagram socket, UDP or Unix.
   *
   * @typeParam P The protocol's type.
   * @param factory Makes the protocol.
   * @param options Where to receive, and the only address to talk to.
   * @returns The transport and the protocol, after `connectionMade`.
   * @throws {Deno.errors.AddrInUse} If the local address is taken; other errors are Deno's own, too.
   */
  createDatagramEndpoint<P extends DatagramCallbacks>(
    factory: ProtocolFactory<P>,
    options: DatagramOptions = {},
  ): Promise<[DatagramTransport, P]> {
    return createDatagramEndpoint(this.#context, factory, options);
  }

  // ---- Pipes and processes

  /**
   * Reads a pipe.
   *
   * @typeParam P The protocol's type.
   * @param factory Makes the protocol.
   * @param pipe The pipe; the transport's from now on.
   * @returns The transport and the protocol, after `connectionMade`.
   */
  connectReadPipe<P extends StreamCallbacks>(
    factory: ProtocolFactory<P>,
    pipe: ReadablePipe,
  ): Promise<[ReadTransport, P]> {
    return connectReadPipe(this.#context, factory, pipe);
  }

  /**
   * Writes a pipe.
   *
   * @typeParam P The protocol's type.
   * @param factory Makes the protocol.
   * @param pipe The pipe; the transport's from now on.
   * @returns The transport and the protocol, after `connectionMade`.
   */
  connectWritePipe<P extends StreamCallbacks>(
    factory: ProtocolFactory<P>,
    pipe: WritablePipe,
  ): Promise<[WriteTransport, P]> {
    return connectWritePipe(this.#context, factory, pipe);
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
   */
  subprocessExec<P extends SubprocessCallbacks>(
    factory: ProtocolFactory<P>,
    program: string | URL,
    options: SubprocessExecOptions = {},
  ): Promise<[SubprocessTransport, P]> {
    return subprocessExec(this.#context, factory, program, options);
  }

  /**
   * Runs a command line with the system's shell. Quote what comes from others: the shell reads it all.
   *
   * @typeParam P The protocol's type.
   * @param factory Makes the protocol.
   * @param command The command line.
   * @param options Its streams and surroundings.
   * @returns The transport and the protocol, after `connectionMade`.
   */
  subprocessShell<P extends SubprocessCallbacks>(
    factory: ProtocolFactory<P>,
    command: string,
    options: SubprocessOptions = {},
  ): Promise<[SubprocessTransport, P]> {
    return subprocessShell(this.#context, factory, command, options);
  }

  // ---- Files, TLS, signals

  /**
   * Sends a file, at the pace that its reader takes it, in bounded memory.
   *
   * @param transport Where to. Do not write to it meanwhile.
   * @param file The file, open for reading; its position afterwards is behind the last byte sent.
   * @param options What part of it.
   * @returns How many bytes were sent; fewer than `count` if the file is shorter.
   * @throws {SendfileError} If the transport or the file failed midway; it tells how many bytes were sent.
   * @throws {InvalidStateError} If another `sendfile` runs on the transport, or it is closing.
   */
  sendfile(transport: WriteTransport, file: Deno.FsFile, options: SendfileOptions = {}): Promise<number> {
    return sendfile(transport, file, options);
  }

  /**
   * Reserved: upgrades a connection to TLS.
   *
   * @param _transport The transport.
   * @param _protocol Its protocol.
   * @param _options How.
   * @returns A promise that rejects.
   * @throws {Deno.errors.NotSupported} Always, for now.
   */
  startTls(_transport: Transport, _protocol: StreamCallbacks, _options: object = {}): Promise<Transport> {
    return Promise.reject(new Deno.errors.NotSupported("startTls(): TLS is not supported yet"));
  }

  /**
   * Runs a callback, in a turn of the loop, whenever a signal arrives. Replaces the one before.
   *
   * @typeParam A The types of its arguments.
   * @param signal The signal's name.
   * @param callback What to run.
   * @param args With what.
   * @throws {TypeError} If the system does not know the signal, or does not let it be handled.
   */
  addSignalHandler<A extends unknown[]>(signal: Deno.Signal, callback: (...args: A) => void, ...args: A): void {
    this.#signals.add(signal, callback, args);
  }

  /**
   * Takes a signal's callback away.
   *
   * @param signal The signal's name.
   * @returns Whether there was one.
   */
  removeSignalHandler(signal: Deno.Signal): boolean {
    return this.#signals.remove(signal);
  }

  // ---- Exceptions and debugging

  /**
   * Says who is told of exceptions that nobody awaits.
   *
   * @param handler The function, or `null` for {@linkcode defaultExceptionHandler}.
   * @throws {TypeError} If it is neither.
   */
  setExceptionHandler(handler: ExceptionHandler | null): void {
    this.#exceptions.setHandler(handler);
  }

  /**
   * Tells who is told of exceptions.
   *
   * @returns The function, or `null` for the default one.
   */
  getExceptionHandler(): ExceptionHandler | null {
    return this.#exceptions.handler;
  }

  /**
   * Tells the exception handler of something. Never throws.
   *
   * @param context What happened.
   */
  callExceptionHandler(context: ExceptionContext): void {
    this.#exceptions.report(context);
  }

  /**
   * Prints what happened to standard error.
   *
   * @param context What happened.
   */
  defaultExceptionHandler(context: ExceptionContext): void {
    this.#exceptions.reportByDefault(context);
  }

  /**
   * Switches debug mode: the exception handler then hears of callbacks that take longer than
   * {@linkcode slowCallbackDuration}, and of transports made from now on that are never closed.
   *
   * @param on Whether it is on.
   */
  setDebug(on: boolean): void {
    this.#exceptions.debug = on;
  }

  /**
   * Tells whether debug mode is on.
   *
   * @returns `true` if so.
   */
  getDebug(): boolean {
    return this.#exceptions.debug;
  }

  /** How many milliseconds a callback may take before debug mode tells of it; 100 to begin with, as in asyncio. */
  get slowCallbackDuration(): number {
    return this.#exceptions.slowCallbackDuration;
  }

  set slowCallbackDuration(ms: number) {
    checkTime("slowCallbackDuration", ms);
    this.#exceptions.slowCallbackDuration = ms;
  }
}

function makeContext(exceptions: Exceptions, scheduler: Scheduler): LoopContext {
  return {
    get debug() {
      return exceptions.debug;
    },
    callSoon: (callback, ...args) => scheduler.callSoon(callback, args),
    report: (context) => exceptions.report(context),
    reportIfSlow: (what, startedAt, context) => exceptions.reportIfSlow(what, startedAt, context),
    watch: (transport) => exceptions.watch(transport),
    unwatch: (transport) => exceptions.unwatch(transport),
  };
}

let running: EventLoop | undefined;

/**
 * Gives the loop. There is one in each isolate, and it always runs.
 *
 * @returns The loop.
 *
 * @example Usage
 * ```ts
 * import { getRunningLoop } from "@tandem/io";
 *
 * const loop = getRunningLoop();
 * ```
 */
export function getRunningLoop(): EventLoop {
  return running ??= new EventLoop();
}
