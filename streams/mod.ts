/**
 * Connections with `await`: readers and writers as asyncio's, and web streams.
 *
 * {@linkcode openConnection} and {@linkcode startServer} make a {@linkcode StreamPair} of each connection. Its `reader` and
 * `writer` have the methods of asyncio's `StreamReader` and `StreamWriter`; `readable` and `writable` are the same
 * connection as web streams. Back-pressure works both ways: a connection that you do not read is paused, and
 * `drain()` waits for a slow peer.
 *
 * - **Any call of the loop:** {@linkcode toStreams} makes a factory for Unix sockets, pipes and connections that exist.
 * - **Any two web streams:** {@linkcode fromStreams} makes a transport of them, for a protocol of yours.
 *
 * ```sh
 * deno add jsr:@tandem/io
 * ```
 *
 * @example An echo server and a client
 * ```ts
 * import { openConnection, startServer } from "@tandem/io/streams";
 *
 * await using server = await startServer(async (pair) => {
 *   await using _ = pair;
 *   for await (const line of pair.reader.lines()) {
 *     pair.writer.write(line);
 *     await pair.writer.drain();
 *   }
 * }, { hostname: "127.0.0.1", port: 0 });
 *
 * await using pair = await openConnection({ port: server.port });
 * pair.writer.write(new TextEncoder().encode("Hello, world!\n"));
 * const line = await pair.reader.readLine();
 * console.log("received", new TextDecoder().decode(line).trimEnd());
 *
 * // Output:
 * // received Hello, world!
 * ```
 *
 * @module
 */
export { IncompleteReadError, LimitOverrunError } from "./errors.ts";
export { fromStreams, type FromStreamsOptions, type WebStreams } from "./from_streams.ts";
export { openConnection, type OpenConnectionOptions, startServer, type StartServerOptions } from "./open_connection.ts";
export { StreamPair } from "./stream_pair.ts";
export { type ReadOptions, type ReadUntilOptions, StreamReader } from "./stream_reader.ts";
export { type DrainOptions, StreamWriter } from "./stream_writer.ts";
export {
  type StreamHandler,
  StreamProtocol,
  type StreamsOptions,
  toStreams,
  type ToStreamsOptions,
} from "./to_streams.ts";
export type { Separator } from "./separators.ts";
