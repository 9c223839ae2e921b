/**
 * Tests of protocols without sockets, without permissions and without waiting.
 *
 * - {@linkcode MemoryEngine} is a network in memory, with names, ports, servers and datagrams. The transports are the real
 *   ones.
 * - {@linkcode VirtualClock} drives all timers and time limits of a loop. {@linkcode MemoryLoop} is a loop with both.
 * - {@linkcode MemoryEngine.inject} makes the network slow, lossy or broken, and one seed replays it:
 *   {@linkcode withSeed}.
 * - {@linkcode scriptedPeer} is the other side of a protocol, {@linkcode memoryPair} connects two protocols, and
 *   {@linkcode recorder} writes down the callbacks.
 * - {@linkcode verifyProtocol} finds protocols that depend on how bytes arrive. {@linkcode testTransport} tests an engine or a
 *   handle of yours.
 *
 * ```sh
 * deno add jsr:@tandem/io
 * ```
 *
 * @example A timeout of an hour, over a slow network
 * ```ts
 * import { Protocol, type Transport } from "@tandem/io";
 * import { MemoryLoop, scriptedPeer } from "@tandem/io/testing";
 *
 * const loop = new MemoryLoop();
 *
 * class Upper extends Protocol {
 *   #transport!: Transport;
 *   override connectionMade(transport: Transport) {
 *     this.#transport = transport;
 *     loop.callLater(3_600_000, () => transport.close());
 *   }
 *   override dataReceived(data: Uint8Array) {
 *     this.#transport.write(new TextEncoder().encode(new TextDecoder().decode(data).toUpperCase()));
 *   }
 * }
 *
 * const peer = await scriptedPeer(new Upper(), { loop });
 * loop.engine.inject({ upstream: { latency: { latency: 250 } } });
 * peer.send("hello");
 * await peer.expect("HELLO", { within: 250 });
 * console.log("answered after", loop.time(), "ms");
 * await peer.expectEnd({ within: 3_600_000 });
 * console.log("closed after", loop.time(), "ms");
 *
 * // Output:
 * // answered after 250 ms
 * // closed after 3600000 ms
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
