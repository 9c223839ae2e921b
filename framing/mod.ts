/**
 * Protocols of frames: lines, frames that begin with their length, frames of one length, and netstrings.
 *
 * | a frame                      | protocol                           | parser without a transport       |
 * | ---------------------------- | ---------------------------------- | -------------------------------- |
 * | ends with a delimiter        | {@linkcode LineProtocol}           | {@linkcode LineFramer}           |
 * | begins with its length       | {@linkcode LengthPrefixedProtocol} | {@linkcode LengthPrefixedFramer} |
 * | has always the same length   | {@linkcode FixedLengthProtocol}    | {@linkcode FixedLengthFramer}    |
 * | is a netstring: `5:hello,`   | {@linkcode NetstringProtocol}      | {@linkcode NetstringFramer}      |
 * | has a format of your own     | {@linkcode FrameProtocol}          | {@linkcode Framer}               |
 *
 * Each protocol is called with `frameReceived(frame)` and sends by `sendFrame(frame)`. A frame that is longer than `limit`
 * closes the connection with a {@linkcode FrameTooLongError}, or is skipped. A frame that does not end within
 * `frameTimeout` closes the connection.
 *
 * ```sh
 * deno add jsr:@tandem/io
 * ```
 *
 * @example A server and a client that exchange lines
 * ```ts
 * import { LineProtocol } from "@tandem/io/framing";
 * import { getRunningLoop } from "@tandem/io";
 *
 * class Server extends LineProtocol {
 *   constructor() {
 *     super({ limit: 1000, frameTimeout: 5000 });
 *   }
 *   override frameReceived(line: string) {
 *     this.sendFrame(line.toUpperCase());
 *   }
 * }
 *
 * class Client extends LineProtocol {
 *   readonly lost = Promise.withResolvers<void>();
 *   override frameReceived(line: string) {
 *     console.log("received", line);
 *     this.transport.close();
 *   }
 *   override connectionLost(error: Error | null) {
 *     super.connectionLost(error);
 *     this.lost.resolve();
 *   }
 * }
 *
 * const loop = getRunningLoop();
 * await using server = await loop.createServer(() => new Server(), { hostname: "127.0.0.1", port: 0 });
 * const [, client] = await loop.createConnection(() => new Client(), { port: server.port });
 * client.sendFrame("hello");
 * await client.lost.promise;
 *
 * // Output:
 * // received HELLO
 * ```
 *
 * @module
 */
export { FixedLengthFramer, type FixedLengthFramerOptions } from "./fixed_length_framer.ts";
export { FixedLengthProtocol, type FixedLengthProtocolOptions } from "./fixed_length_protocol.ts";
export { FrameProtocol, type FrameProtocolOptions } from "./frame_protocol.ts";
export { Framer } from "./framer.ts";
export { FrameTooLongError } from "./frame_too_long_error.ts";
export { InvalidFrameError } from "./invalid_frame_error.ts";
export { LengthPrefixedFramer, type LengthPrefixedFramerOptions } from "./length_prefixed_framer.ts";
export { LengthPrefixedProtocol, type LengthPrefixedProtocolOptions } from "./length_prefixed_protocol.ts";
export type { LengthPrefixFormat } from "./length_prefix.ts";
export { type ForLines, type LineFormat, LineFramer, type LineFramerOptions } from "./line_framer.ts";
export { LineProtocol, type LineProtocolOptions } from "./line_protocol.ts";
export { type NetstringFormat, NetstringFramer, type NetstringFramerOptions } from "./netstring_framer.ts";
export { NetstringProtocol, type NetstringProtocolOptions } from "./netstring_protocol.ts";
