/**
 * A network in memory, for tests of protocols without sockets.
 *
 * ```sh
 * deno add jsr:@tandem/io
 * ```
 *
 * @example A server and a client in memory
 * ```ts
 * import { EventLoop, Protocol, type Transport } from "@tandem/io";
 * import { MemoryEngine } from "@tandem/io/testing";
 *
 * class Greeter extends Protocol {
 *   override connectionMade(transport: Transport) {
 *     transport.write(new TextEncoder().encode("hello"));
 *     transport.close();
 *   }
 * }
 *
 * const loop = new EventLoop({ engine: new MemoryEngine() });
 * await using server = await loop.createServer(() => new Greeter(), { hostname: "db.test", port: 5432 });
 * const received = Promise.withResolvers<string>();
 * const dataReceived = (data: Uint8Array) => received.resolve(new TextDecoder().decode(data));
 * await loop.createConnection(() => ({ dataReceived }), { hostname: "db.test", port: 5432 });
 * console.log(server.addresses[0], await received.promise);
 *
 * // Output:
 * // { transport: "tcp", hostname: "10.0.0.1", port: 5432 } hello
 * ```
 *
 * @module
 */
export { MemoryEngine, type MemoryEngineOptions } from "./memory_engine.ts";
export { MemoryLoop, type MemoryLoopOptions } from "./memory_loop.ts";
export { type Activity, type RunUntilIdleOptions, VirtualClock, type VirtualClockOptions } from "./virtual_clock.ts";
export { MemoryPair, memoryPair, type MemoryPairOptions } from "./memory_pair.ts";
export { recorder, Recording } from "./recorder.ts";
export { type ExpectOptions, ScriptedPeer, scriptedPeer, type ScriptedPeerOptions } from "./scripted_peer.ts";
export { Fault } from "./fault_set.ts";
export type { DatagramFaults, FaultOptions, FaultTarget, Latency, StreamFaults } from "./faults.ts";
export { type SeedOptions, withSeed } from "./with_seed.ts";
export { type Exchange, type VerifyOptions, verifyProtocol } from "./verify_protocol.ts";
export { testTransport, type TransportPair, type TransportTestOptions } from "./test_transport.ts";
