/**
 * The classes that you extend. A protocol says what bytes mean; a transport calls it.
 *
 * | to talk over                  | extend                                                      |
 * | ----------------------------- | ----------------------------------------------------------- |
 * | TCP, TLS, Unix sockets, pipes | {@linkcode Protocol}, or {@linkcode BufferedProtocol}       |
 * | UDP, Unix datagrams           | {@linkcode DatagramProtocol}                                |
 * | a child process               | {@linkcode SubprocessProtocol}                              |
 *
 * `connectionMade` is called first and `connectionLost` last, each once. Callbacks are synchronous. A plain object with
 * some of the callbacks is also a protocol; the classes add types and empty defaults.
 *
 * ```sh
 * deno add jsr:@tandem/io
 * ```
 *
 * @example A protocol of lines
 * ```ts
 * import { Protocol } from "@tandem/io/protocols";
 * import { getRunningLoop } from "@tandem/io/loop";
 *
 * class Lines extends Protocol {
 *   #rest = "";
 *   #decoder = new TextDecoder();
 *
 *   override dataReceived(data: Uint8Array) {
 *     const lines = (this.#rest + this.#decoder.decode(data, { stream: true })).split("\n");
 *     this.#rest = lines.pop()!; // an incomplete line
 *     if (this.#rest.length > 8192) throw new RangeError("line too long"); // closes the connection
 *     for (const line of lines) console.log("line:", line);
 *   }
 * }
 *
 * const lines = ReadableStream.from([new TextEncoder().encode("one\ntw"), new TextEncoder().encode("o\n")]);
 * await getRunningLoop().connectReadPipe(() => new Lines(), lines);
 *
 * // Output:
 * // line: one
 * // line: two
 * ```
 *
 * @module
 */
export { BaseProtocol } from "./base_protocol.ts";
export { BufferedProtocol } from "./buffered_protocol.ts";
export { DatagramProtocol } from "./datagram_protocol.ts";
export { Protocol } from "./protocol.ts";
export { SubprocessProtocol } from "./subprocess_protocol.ts";
