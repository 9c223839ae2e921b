/**
 * What makes transports and protocols meet: scheduling, connecting, serving, processes, errors.
 *
 * @module
 */
export type { ExceptionContext, Handle, TimerHandle } from "../transports/loop_context.ts";
export { BaseEventLoop } from "./base_event_loop.ts";
export type {
  AcceptedSocketOptions,
  ConnectionOptions,
  ExistingConnOptions,
  StreamOptions,
  TcpOptions,
  UnixConnectionOptions,
} from "./connect.ts";
export type { DatagramAddr, DatagramOptions } from "./datagram.ts";
export { EventLoop } from "./event_loop.ts";
export type { ExceptionHandler } from "./exceptions.ts";
export type { ProtocolFactory } from "./protocol_factory.ts";
export type { PipeOptions, ReadablePipe, WritablePipe } from "./pipes.ts";
export type { Stdio, SubprocessExecOptions, SubprocessOptions } from "./subprocess.ts";
export { getRunningLoop } from "./running_loop.ts";
export type { SendfileOptions } from "./sendfile.ts";
export type { ExistingListenerOptions, ServerOptions, UnixServerOptions } from "./create_server.ts";
export { type ServeOptions, Server } from "./server.ts";
export type { StartTlsOptions } from "./start_tls.ts";
export type { TlsOptions } from "../tls/tls_options.ts";
export { socketPair } from "../engines/deno/socket_pair.ts";
