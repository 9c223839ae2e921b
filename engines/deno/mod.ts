/**
 * The default engine: connections, listeners, datagrams and children by what Deno has.
 *
 * @module
 */
export { DenoEngine } from "./deno_engine.ts";
