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
export type * from "./transport.ts";
export type * from "./engine.ts";
export type * from "./stream_handle.ts";
export type * from "./file_source.ts";
export type * from "./proxy_header.ts";
export { encodeProxyHeader, parseProxyHeader } from "../proxy_protocol/proxy_header.ts";
export type { ProxyAddress, ProxyHeaderOptions } from "../proxy_protocol/encode_header.ts";
export { ProxyHeaderError } from "../proxy_protocol/proxy_header_error.ts";
export type * from "./datagram_handle.ts";
export type * from "./listen_handle.ts";
export type * from "./process_handle.ts";
export type * from "./openssl_settings.ts";
export type * from "./tls_provider.ts";
export type * from "./watcher.ts";
export type * from "../memory/read_memory.ts";
export { TlsContext, type TlsContextOptions } from "../tls/tls_context.ts";
export { TlsError, type TlsErrorCode } from "../tls/tls_error.ts";
export {
  InvalidStateError,
  LimitError,
  type LimitName,
  ProcessLookupError,
  SendfileError,
  TimeoutError,
} from "../errors.ts";
