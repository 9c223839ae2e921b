/**
 * asyncio's transports and protocols for Deno: a protocol says what bytes mean, a transport moves them, the
 * loop makes the pair.
 *
 * @example An echo server
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
 * const server = await getRunningLoop().createServer(() => new Echo(), { port: 0 });
 * console.log("listening on", server.addresses);
 * await server.serveForever();
 * ```
 *
 * @module
 */
export * from "./loop/mod.ts";
export * from "./protocols/mod.ts";
export * from "./transports/mod.ts";
