/**
 * The interfaces of transports, the callbacks of protocols, TLS contexts, errors, and the interfaces that engines
 * implement.
 *
 * The methods of the loop create transports. A protocol gets its transport in `connectionMade`.
 *
 * | interface                       | moves                                                                                     |
 * | ------------------------------- | ----------------------------------------------------------------------------------------- |
 * | {@linkcode Transport}           | a stream in both directions: TCP, TLS, Unix sockets                                       |
 * | {@linkcode ReadTransport}       | a stream in one direction: a pipe to read                                                 |
 * | {@linkcode WriteTransport}      | a stream in one direction: a pipe to write                                                |
 * | {@linkcode DatagramTransport}   | datagrams                                                                                 |
 * | {@linkcode SubprocessTransport} | a child process and its pipes                                                             |
 *
 * ```sh
 * deno add jsr:@tandem/io
 * ```
 *
 * @example A function for any transport that you can write to
 * ```ts
 * import type { WriteTransport } from "@tandem/io/transports";
 * import { getRunningLoop } from "@tandem/io/loop";
 *
 * function writeLine(transport: WriteTransport, line: string) {
 *   transport.write(new TextEncoder().encode(`${line}\n`));
 * }
 *
 * const [transport] = await getRunningLoop().connectWritePipe(() => ({}), Deno.stdout);
 * writeLine(transport, "hello");
 * transport.close();
 *
 * // Output:
 * // hello
 * ```
 *
 * @module
 */
export type {
  BaseCallbacks,
  BaseTransport,
  DatagramCallbacks,
  DatagramTarget,
  DatagramTransport,
  ExtraInfo,
  PeerCertificate,
  ReadTransport,
  StreamCallbacks,
  StreamExtraInfo,
  SubprocessCallbacks,
  SubprocessTransport,
  TlsCipher,
  TlsContextLike,
  TlsInfo,
  Transport,
  WriteBuffer,
  WriteBufferLimits,
  WriteTransport,
} from "./transport.ts";
export { TlsContext, type TlsContextOptions } from "../tls/tls_context.ts";
export { TlsError, type TlsErrorCode } from "../tls/tls_error.ts";
export type { ReadMemory } from "../memory/read_memory.ts";
export type { DatagramHandle, DatagramSink } from "./datagram_handle.ts";
export type {
  DatagramAddr,
  DatagramEndpoint,
  DenoConn,
  DenoFile,
  DenoListener,
  Engine,
  EngineHost,
  ListenTarget,
  ReadablePipe,
  SpawnOptions,
  Stdio,
  TcpSettings,
  TcpTarget,
  UnixTarget,
  WritablePipe,
} from "./engine.ts";
export type { AcceptSink, ListenHandle } from "./listen_handle.ts";
export type { ProcessHandle } from "./process_handle.ts";
export type { StreamEnd, StreamHandle, StreamSink } from "./stream_handle.ts";
export type {
  TlsEngine,
  TlsEngineSink,
  TlsProvider,
  TlsSession,
  TlsSettings,
  TlsSide,
  TlsVersion,
} from "./tls_provider.ts";
export { InvalidStateError, ProcessLookupError, SendfileError, TimeoutError } from "../errors.ts";
