/**
 * The event loop creates transports for protocols, and runs callbacks and timers.
 *
 * {@linkcode getRunningLoop} returns the loop, which always runs. Its methods are asyncio's:
 *
 * - **Connect and serve:** {@linkcode EventLoop.createConnection}, {@linkcode EventLoop.createServer},
 *   {@linkcode EventLoop.createUnixConnection}, {@linkcode EventLoop.createUnixServer},
 *   {@linkcode EventLoop.connectAcceptedSocket}, {@linkcode EventLoop.startTls}.
 * - **Datagrams:** {@linkcode EventLoop.createDatagramEndpoint}.
 * - **Pipes and files:** {@linkcode EventLoop.connectReadPipe}, {@linkcode EventLoop.connectWritePipe},
 *   {@linkcode EventLoop.sendfile}.
 * - **Child processes:** {@linkcode EventLoop.subprocessExec}, {@linkcode EventLoop.subprocessShell}.
 * - **Callbacks:** {@linkcode BaseEventLoop.callSoon}, {@linkcode BaseEventLoop.callLater},
 *   {@linkcode BaseEventLoop.callAt}, {@linkcode BaseEventLoop.addSignalHandler}.
 * - **Debugging:** {@linkcode BaseEventLoop.inspect}.
 * - **Exceptions:** {@linkcode BaseEventLoop.setExceptionHandler}, {@linkcode BaseEventLoop.setDebug}.
 *
 * ```sh
 * deno add jsr:@tandem/io
 * ```
 *
 * @example Timers, and an exception that does not end the process
 * ```ts
 * import { getRunningLoop } from "@tandem/io/loop";
 *
 * const loop = getRunningLoop();
 * loop.setExceptionHandler(({ message, error }) => console.log(`${message}: ${error?.message}`));
 * loop.callLater(5, console.log, "later");
 * loop.callSoon(console.log, "soon");
 * loop.callSoon(function fails() {
 *   throw new Error("oops");
 * });
 * console.log("now");
 *
 * // Output:
 * // now
 * // soon
 * // Exception in callback fails: oops
 * // later
 * ```
 *
 * @module
 */
export type { ExceptionContext, Handle, TimerHandle } from "../transports/loop_context.ts";
export type {
  ChildPipeInfo,
  LoopInfo,
  PauseInfo,
  ServerInfo,
  ServerState,
  TrafficInfo,
  TransportInfo,
  TransportState,
} from "../transports/inspection.ts";
export { BaseEventLoop } from "./base_event_loop.ts";
export type {
  AcceptedSocketOptions,
  ConnectionFdOptions,
  ConnectionOptions,
  ExistingConnOptions,
  GivenConn,
  StreamOptions,
  TcpOptions,
  UnixConnectionOptions,
} from "./connect.ts";
export type { Clock, ClockTimer } from "./clock.ts";
export type { DatagramFdOptions, DatagramOptions } from "./datagram.ts";
export { EventLoop, type EventLoopOptions } from "./event_loop.ts";
export type { ExceptionHandler } from "./exceptions.ts";
export type { ProtocolFactory } from "./protocol_factory.ts";
export type { ProxyClientOptions, ProxyProtocolOptions } from "./proxy_protocol.ts";
export type { PipeOptions } from "./pipes.ts";
export type {
  DatagramAddr,
  Descriptor,
  DescriptorOwner,
  GivenDescriptor,
  ReadablePipe,
  Stdio,
  WritablePipe,
} from "../transports/engine.ts";
export type { SubprocessExecOptions, SubprocessOptions } from "./subprocess.ts";
export { getRunningLoop, setRunningLoop } from "./running_loop.ts";
export type { FileDescriptor } from "../transports/watcher.ts";
export type { SendfileOptions } from "./sendfile.ts";
export type {
  ExistingListenerOptions,
  GivenListener,
  ListenerFdOptions,
  ServerOptions,
  UnixServerOptions,
} from "./create_server.ts";
export type { DrainCounts, DrainOptions } from "./drain.ts";
export type { LimitOptions, ProgressOptions } from "./limits.ts";
export { type ServeOptions, Server } from "./server.ts";
export type { StartTlsOptions } from "./start_tls.ts";
export type { TlsOptions } from "../tls/tls_options.ts";
export { socketPair } from "../engines/deno/socket_pair.ts";
