import { checkOptions, namesOf } from "../check_options.ts";
import { checkBoolean, checkFunction, checkString } from "../checks.ts";
import type { EventLoop } from "../loop/mod.ts";
import type { StreamCallbacks, Transport } from "../transports/mod.ts";
import { halfCloseTests, transportTests } from "./transport_tests.ts";

/** Two transports that are connected, for {@linkcode testTransport}. {@linkcode MemoryPair} is one. */
export interface TransportPair {
  /** The loop of both. */
  readonly loop: EventLoop;
  /** The transport of the first protocol. */
  readonly transportA: Transport;
  /** The transport of the second protocol. */
  readonly transportB: Transport;
  /** Closes what else belongs to the pair, such as a server. Called after both transports have been closed or aborted. */
  [Symbol.asyncDispose]?(): PromiseLike<void>;
}

/** The options of {@linkcode testTransport}. */
export interface TransportTestOptions {
  /**
   * What the names of the tests end with.
   *
   * @default {undefined} nothing
   */
  name?: string | undefined;
  /**
   * Whether one direction can end alone. TLS cannot.
   *
   * @default {true}
   */
  halfCloses?: boolean | undefined;
  /**
   * Registers a test.
   *
   * @default {undefined} `Deno.test`
   */
  register?: ((name: string, run: () => Promise<void>) => void) | undefined;
}

const OPTIONS = namesOf<TransportTestOptions>({ name: true, halfCloses: true, register: true });

/**
 * Registers the tests that the transports of every engine and every handle must pass: the order of callbacks, the ownership
 * of bytes, flow control, pausing, closing, aborting, half-close and exceptions. They use the public interface alone.
 *
 * Each test calls `makePair` once, and waits for events only, never for time to pass.
 *
 * @param makePair Connects two protocols. It resolves after `connectionMade` of both.
 * @param options The names of the tests, and what the transports cannot do.
 * @throws {TypeError} If an argument is wrong.
 *
 * @example Test the network in memory
 * ```ts
 * import { memoryPair, testTransport } from "@tandem/io/testing";
 *
 * testTransport(memoryPair, { name: "in memory" });
 * ```
 */
export function testTransport(
  makePair: (protocolA: StreamCallbacks, protocolB: StreamCallbacks) => Promise<TransportPair>,
  options: TransportTestOptions = {},
): void {
  const method = "testTransport()";
  checkFunction(method, "makePair", makePair);
  checkOptions(method, options, OPTIONS);
  const { name, halfCloses = true, register = (name, run) => Deno.test(name, run) } = options;
  if (name !== undefined) checkString(method, "name", name);
  checkBoolean(method, "halfCloses", halfCloses);
  checkFunction(method, "register", register);
  const tests = halfCloses ? { ...transportTests, ...halfCloseTests } : transportTests;
  for (const [title, run] of Object.entries(tests)) {
    register(name === undefined ? title : `${title}, over ${name}`, () => run(makePair));
  }
}
