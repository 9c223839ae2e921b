import { checkOptions, namesOf } from "../check_options.ts";
import { checkBytes, checkProtocol } from "../checks.ts";
import { describe, InvalidStateError } from "../errors.ts";
import { Protocol } from "../protocols/mod.ts";
import type { StreamCallbacks, Transport } from "../transports/mod.ts";
import { formatBytes, joinBytes, toBytes } from "./format_bytes.ts";
import { MemoryLoop } from "./memory_loop.ts";
import { memoryPair, type MemoryPairOptions } from "./memory_pair.ts";
import { checkMs, VirtualClock } from "./virtual_clock.ts";

/** The options of what a {@linkcode ScriptedPeer} expects. */
export interface ExpectOptions {
  /**
   * The most virtual time until then, in milliseconds. The clock moves no further than it must.
   *
   * @default {0} at once
   */
  within?: number | undefined;
}

/** The options of a {@linkcode ScriptedPeer}. */
export interface ScriptedPeerOptions {
  /**
   * The clock of the loop. With it, what is expected and does not come is an error. Without it, the peer waits.
   *
   * @default {undefined}
   */
  clock?: VirtualClock | undefined;
}

const EXPECT_OPTIONS = namesOf<ExpectOptions>({ within: true });
const PEER_OPTIONS = namesOf<ScriptedPeerOptions>({ clock: true });

/**
 * The other side of the protocol under test. A test sends and expects bytes by it, step by step.
 *
 * {@linkcode scriptedPeer} connects one to a protocol in memory. It is a protocol itself, so you can also pass one to
 * `createServer()` or `createConnection()`.
 *
 * @example A server of a script, for a client that connects by itself
 * ```ts
 * import { MemoryLoop, ScriptedPeer } from "@tandem/io/testing";
 *
 * const loop = new MemoryLoop();
 * const peer = new ScriptedPeer({ clock: loop.clock });
 * await using server = await loop.createServer(() => peer, { hostname: "db.test", port: 5432 });
 * const [transport] = await loop.createConnection(() => ({}), { hostname: "db.test", port: 5432 });
 * transport.write(new TextEncoder().encode("login"));
 * await peer.expect("login");
 * peer.reset();
 * ```
 */
export class ScriptedPeer extends Protocol implements AsyncDisposable {
  #clock: VirtualClock | undefined;
  #transport: Transport | null = null;
  #received = new Uint8Array(0);
  #state: "open" | "ended" | "lost" = "open";
  #error: Error | null = null;
  #changed = Promise.withResolvers<void>();

  /**
   * Creates a peer that is not connected yet.
   *
   * @param options The clock.
   * @throws {TypeError} If the clock is not a `VirtualClock`.
   */
  constructor(options: ScriptedPeerOptions = {}) {
    super();
    checkOptions("new ScriptedPeer()", options, PEER_OPTIONS);
    const { clock } = options;
    if (clock !== undefined && !(clock instanceof VirtualClock)) {
      throw new TypeError(`new ScriptedPeer(): clock must be a VirtualClock, got ${describe(clock)}`);
    }
    this.#clock = clock;
  }

  /** The peer's transport. */
  get transport(): Transport {
    if (this.#transport === null) throw new InvalidStateError("transport: the peer is not connected");
    return this.#transport;
  }

  /** The bytes that have come and were not expected yet. */
  get unread(): Uint8Array<ArrayBuffer> {
    return this.#received;
  }

  /** Takes these bytes, without expecting anything. */
  takeUnread(): Uint8Array<ArrayBuffer> {
    const unread = this.#received;
    this.#received = new Uint8Array(0);
    return unread;
  }

  /**
   * Sends bytes.
   *
   * @param data Bytes, or text.
   * @throws {TypeError} If `data` is neither.
   */
  send(data: string | Uint8Array): void {
    const bytes = toBytes(data);
    checkBytes("send()", "data", bytes);
    this.transport.write(bytes);
  }

  /**
   * Waits for bytes, which must be the next ones.
   *
   * @param data Bytes, or text.
   * @param options How long to wait.
   * @throws {Error} If other bytes come, the connection ends, or nothing comes in time. The message shows both.
   */
  async expect(data: string | Uint8Array, options: ExpectOptions = {}): Promise<void> {
    const expected = toBytes(data);
    checkBytes("expect()", "data", expected);
    const fail = (why: string) => {
      throw new Error(`expect(): expected ${formatBytes(expected)}, got ${formatBytes(this.#received)}${why}`);
    };
    const enough = () => {
      const common = Math.min(expected.length, this.#received.length);
      for (let i = 0; i < common; i++) if (expected[i] !== this.#received[i]) fail("");
      return common === expected.length;
    };
    await this.#wait("expect()", enough, options, fail);
    this.#received = this.#received.slice(expected.length);
  }

  /**
   * Waits for the end of the stream. All bytes must have been expected.
   *
   * @param options How long to wait.
   * @throws {Error} If bytes come, the connection is lost by an error, or nothing comes in time.
   */
  async expectEnd(options: ExpectOptions = {}): Promise<void> {
    const fail = (why: string) => {
      throw new Error(`expectEnd(): expected the end, got ${formatBytes(this.#received)}${why}`);
    };
    const ended = () => {
      if (this.#received.length > 0) fail("");
      return this.#state === "ended" || this.#state === "lost" && this.#error === null;
    };
    await this.#wait("expectEnd()", ended, options, fail);
  }

  /**
   * Waits until the connection is lost.
   *
   * @param options How long to wait.
   * @returns The argument of `connectionLost`: an error if the protocol under test has reset, `null` otherwise.
   * @throws {Error} If it is not lost in time.
   */
  async expectLost(options: ExpectOptions = {}): Promise<Error | null> {
    const fail = (why: string) => {
      throw new Error(`expectLost(): the connection is still open${why}`);
    };
    await this.#wait("expectLost()", () => this.#state === "lost", options, fail);
    return this.#error;
  }

  /**
   * Asserts that no bytes come for some virtual time, and that the connection stays as it is.
   *
   * @param ms The time, in milliseconds; 0 by default.
   * @throws {Error} If something comes.
   * @throws {InvalidStateError} If the peer has no clock.
   */
  async expectNothing(ms = 0): Promise<void> {
    if (this.#clock === undefined) throw new InvalidStateError("expectNothing(): the peer needs a clock");
    const before = this.#state;
    await this.#clock.advance(ms);
    if (this.#received.length > 0) throw new Error(`expectNothing(): got ${formatBytes(this.#received)}`);
    if (this.#state !== before) throw new Error(`expectNothing(): the connection is ${this.#state}`);
  }

  /** Ends the direction to the protocol under test. The other one stays open. */
  end(): void {
    this.transport.writeEof();
  }

  /** Closes the connection. */
  close(): void {
    this.transport.close();
  }

  /** Resets the connection: the protocol under test gets a `ConnectionReset`. */
  reset(): void {
    this.transport.abort({ reset: true });
  }

  /** Aborts the connection, and lets `connectionLost` be called. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#transport?.abort();
    await this.#clock?.advance(0);
  }

  /** Called by the transport. */
  override connectionMade(transport: Transport): void {
    this.#transport = transport;
  }

  /** Called by the transport. */
  override dataReceived(data: Uint8Array<ArrayBuffer>): void {
    this.#received = joinBytes([this.#received, data]);
    this.#wake();
  }

  /** Called by the transport. */
  override eofReceived(): boolean {
    this.#state = "ended";
    this.#wake();
    return true;
  }

  /** Called by the transport. */
  override connectionLost(error: Error | null): void {
    this.#state = "lost";
    this.#error = error;
    this.#wake();
  }

  #wake(): void {
    this.#changed.resolve();
    this.#changed = Promise.withResolvers();
  }

  async #wait(method: string, done: () => boolean, options: ExpectOptions, fail: (why: string) => void): Promise<void> {
    checkOptions(method, options, EXPECT_OPTIONS);
    const { within = 0 } = options;
    checkMs(method, "within", within);
    const clock = this.#clock;
    const limit = clock === undefined ? 0 : clock.now() + within;
    await clock?.advance(0);
    while (!done()) {
      if (this.#state === "lost") fail(`, and the connection was lost: ${this.#error?.message ?? "it was closed"}`);
      if (this.#state === "ended" && method !== "expectLost()") fail(", and the stream has ended");
      if (clock === undefined) {
        await this.#changed.promise;
        continue;
      }
      const { due } = clock;
      if (due === null || due > limit) fail(` within ${within} ms${due === null ? ", and no timer is set" : ""}`);
      await clock.advance(Math.max(0, due! - clock.now()));
    }
  }
}

/**
 * Connects a protocol under test to a {@linkcode ScriptedPeer}, in memory.
 *
 * @param protocol The protocol under test.
 * @param options The loop.
 * @returns The peer, after `connectionMade` of the protocol.
 * @throws {TypeError} If `protocol` is not an object, or an option is wrong.
 *
 * @example A test of three lines
 * ```ts
 * import { Protocol, type Transport } from "@tandem/io";
 * import { scriptedPeer } from "@tandem/io/testing";
 *
 * class Pong extends Protocol {
 *   #transport!: Transport;
 *   override connectionMade(transport: Transport) {
 *     this.#transport = transport;
 *   }
 *   override dataReceived() {
 *     this.#transport.write(new TextEncoder().encode("PONG"));
 *   }
 * }
 *
 * await using peer = await scriptedPeer(new Pong());
 * peer.send("PING");
 * await peer.expect("PONG");
 * ```
 */
export async function scriptedPeer(protocol: StreamCallbacks, options: MemoryPairOptions = {}): Promise<ScriptedPeer> {
  checkProtocol("scriptedPeer()", "protocol", protocol);
  const { loop = new MemoryLoop() } = options;
  const peer = new ScriptedPeer({ clock: loop.clock });
  await memoryPair(peer, protocol, { ...options, loop });
  return peer;
}
