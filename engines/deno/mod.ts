/**
 * The default engine: connections, listeners, datagrams and child processes by what Deno has.
 *
 * {@linkcode DenoEngine} is what `getRunningLoop()` and `new EventLoop()` use, so most programs never name it. Name it to
 * create a loop of your own, or to delegate to it from an engine of your own.
 *
 * ```sh
 * deno add jsr:@tandem/io
 * ```
 *
 * @example A loop of your own
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
