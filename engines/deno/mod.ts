/**
 * The default engine: connections, listeners, datagram sockets and child processes of Deno.
 *
 * `getRunningLoop()` and `new EventLoop()` use {@linkcode DenoEngine}, so most programs do not need this entry point. Use
 * it to create the engine of a loop yourself, or to delegate to it from an engine that you write.
 *
 * ```sh
 * deno add jsr:@tandem/io
 * ```
 *
 * @example A second loop
 * ```ts
 * import { EventLoop, Protocol } from "@tandem/io";
 * import { DenoEngine } from "@tandem/io/engines/deno";
 *
 * const loop = new EventLoop({ engine: new DenoEngine() });
 * await using server = await loop.createServer(() => new Protocol(), { hostname: "127.0.0.1", port: 0 });
 * console.log("serving:", server.isServing());
 *
 * // Output:
 * // serving: true
 * ```
 *
 * @module
 */
export { DenoEngine } from "./deno_engine.ts";
