import { checkOptions, namesOf } from "../check_options.ts";
import { checkProtocol } from "../checks.ts";
import type { StreamCallbacks, Transport } from "../transports/mod.ts";
import { MemoryLoop } from "./memory_loop.ts";

/** The options of {@linkcode memoryPair}. */
export interface MemoryPairOptions {
  /**
   * The loop.
   *
   * @default {new MemoryLoop()}
   */
  loop?: MemoryLoop | undefined;
}

const OPTIONS = namesOf<MemoryPairOptions>({ loop: true });
const ADDRESS = { hostname: "pair.test", port: 0 };

/** Two protocols that are connected in memory. {@linkcode memoryPair} makes it. Disposing of it aborts both transports. */
export class MemoryPair<A extends StreamCallbacks, B extends StreamCallbacks> implements AsyncDisposable {
  /** The loop, with its network and its clock. */
  readonly loop: MemoryLoop;
  /** The protocol of the client. */
  readonly protocolA: A;
  /** The protocol of the server. */
  readonly protocolB: B;
  /** The client's transport. */
  readonly transportA: Transport;
  /** The server's transport. */
  readonly transportB: Transport;

  /** Called by {@linkcode memoryPair}. */
  constructor(loop: MemoryLoop, [transportA, protocolA]: [Transport, A], [transportB, protocolB]: [Transport, B]) {
    this.loop = loop;
    this.protocolA = protocolA;
    this.protocolB = protocolB;
    this.transportA = transportA;
    this.transportB = transportB;
  }

  /** Lets all that is on its way arrive. The clock stands still. */
  settle(): Promise<void> {
    return this.loop.clock.advance(0);
  }

  /** Aborts both transports, and lets `connectionLost` be called. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.transportA.abort();
    this.transportB.abort();
    await this.settle();
  }
}

/**
 * Connects two protocols in memory, A as the client and B as the server.
 *
 * @typeParam A The type of the client's protocol.
 * @typeParam B The type of the server's protocol.
 * @param protocolA The client's protocol.
 * @param protocolB The server's protocol.
 * @param options The loop.
 * @returns The pair, after `connectionMade` of both.
 * @throws {TypeError} If a protocol is not an object, or an option is wrong.
 *
 * @example Usage
 * ```ts
 * import { Protocol } from "@tandem/io";
 * import { memoryPair, recorder } from "@tandem/io/testing";
 *
 * const { protocol, calls } = recorder();
 * await using pair = await memoryPair(new Protocol(), protocol);
 * pair.transportA.write(new TextEncoder().encode("hello"));
 * await pair.settle();
 * console.log(calls); // [ "connectionMade", 'dataReceived "hello"' ]
 * ```
 */
export async function memoryPair<A extends StreamCallbacks, B extends StreamCallbacks>(
  protocolA: A,
  protocolB: B,
  options: MemoryPairOptions = {},
): Promise<MemoryPair<A, B>> {
  const method = "memoryPair()";
  checkProtocol(method, "protocolA", protocolA);
  checkProtocol(method, "protocolB", protocolB);
  checkOptions(method, options, OPTIONS);
  const { loop = new MemoryLoop() } = options;
  if (!(loop instanceof MemoryLoop)) throw new TypeError(`${method}: loop must be a MemoryLoop`);
  const made = Promise.withResolvers<Transport>();
  // The server's transport is known to its protocol alone.
  class Finder {
    connectionMade(transport: Transport): void {
      transport.setProtocol(protocolB);
      made.resolve(transport);
      protocolB.connectionMade?.(transport);
    }
  }
  const server = await loop.createServer(() => new Finder(), ADDRESS);
  const connecting = loop.createConnection(() => protocolA, { ...ADDRESS, port: server.port });
  try {
    const transportB = await Promise.race([made.promise, connecting.then(() => made.promise)]);
    return new MemoryPair(loop, await connecting, [transportB, protocolB]);
  } finally {
    server.close();
  }
}
