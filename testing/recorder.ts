import { checkProtocol } from "../checks.ts";
import { toError } from "../errors.ts";
import { Protocol } from "../protocols/mod.ts";
import { formatBytes, joinBytes, toBytes } from "./format_bytes.ts";

type Method = (...args: unknown[]) => unknown;

/** The callbacks that are recorded if the protocol has them. */
const CALLBACKS = [
  "dataReceived",
  "getBuffer",
  "bufferUpdated",
  "eofReceived",
  "drain",
  "pauseWriting",
  "resumeWriting",
  "datagramReceived",
  "errorReceived",
  "pipeDataReceived",
  "pipeConnectionLost",
  "processExited",
  "frameReceived",
  "frameTooLong",
  "rawReceived",
];
/** What these get was received by another callback before. */
const PARSED = ["frameReceived", "rawReceived"];

/** The callbacks of a protocol, in order. {@linkcode recorder} makes it. */
export class Recording<P extends object> {
  /** The protocol that you passed. Its callbacks are recorded. */
  readonly protocol: P;
  /**
   * The callbacks, one line for each, such as `dataReceived "hello"`, `eofReceived` and `connectionLost null`. A callback
   * that returns `true`, and one that throws, is followed by a line that says so.
   */
  readonly calls: string[] = [];
  #pieces: Uint8Array[] = [];
  #lost = Promise.withResolvers<Error | null>();
  /** The memory of a `BufferedProtocol`. */
  #buffer: Uint8Array = new Uint8Array(0);
  #waiters: { done: () => boolean; resolve: () => void }[] = [];

  /** Called by {@linkcode recorder}. */
  constructor(protocol: P) {
    this.protocol = protocol;
    const target = protocol as Record<string, unknown>;
    for (const name of CALLBACKS) if (typeof target[name] === "function") this.#wrap(target, name);
    this.#wrap(target, "connectionMade");
    this.#wrap(target, "connectionLost");
  }

  /** Everything that was received. */
  get received(): Uint8Array<ArrayBuffer> {
    return joinBytes(this.#pieces);
  }

  /** The same, as text. */
  get text(): string {
    return new TextDecoder().decode(this.received);
  }

  /** Resolves to the argument of `connectionLost`. */
  get lost(): Promise<Error | null> {
    return this.#lost.promise;
  }

  /**
   * Waits for a callback.
   *
   * @param prefix How its line begins.
   */
  until(prefix: string): Promise<void> {
    const done = () => this.calls.some((line) => line.startsWith(prefix));
    if (done()) return Promise.resolve();
    return new Promise((resolve) => void this.#waiters.push({ done, resolve }));
  }

  /** Returns all lines. */
  toString(): string {
    return this.calls.join("\n");
  }

  #wrap(target: Record<string, unknown>, name: string): void {
    const original = target[name];
    const recorded: Method = (...args) => {
      this.#note(name, args);
      const index = this.calls.length;
      try {
        const result = typeof original === "function" ? (original as Method).apply(target, args) : undefined;
        if (name === "getBuffer" && result instanceof Uint8Array) this.#buffer = result;
        // In front of what the callback has caused.
        if (result === true) this.calls.splice(index, 0, `${name} returned true`);
        return result;
      } catch (error) {
        this.calls.splice(index, 0, `${name} threw ${describeError(toError(error))}`);
        throw error;
      } finally {
        if (name === "connectionLost") this.#lost.resolve(args[0] as Error | null);
        this.#wake();
      }
    };
    Object.defineProperty(target, name, { value: recorded, configurable: true, writable: true, enumerable: false });
  }

  #note(name: string, args: unknown[]): void {
    const bytes = name === "bufferUpdated" ? this.#buffer.slice(0, args[0] as number) : args.find(isBytes)?.slice();
    if (bytes !== undefined && !PARSED.includes(name)) this.#pieces.push(bytes);
    this.calls.push([name, ...describeArgs(name, args, bytes)].join(" "));
  }

  #wake(): void {
    const ready = this.#waiters.filter(({ done }) => done());
    this.#waiters = this.#waiters.filter((waiter) => !ready.includes(waiter));
    for (const { resolve } of ready) resolve();
  }
}

/**
 * Records the callbacks of a protocol. The protocol goes on working: its callbacks are replaced by ones that record, then
 * call the original. So a `BufferedProtocol` and private fields work too. Of a protocol of frames, the frames are recorded
 * as well.
 *
 * @typeParam P The type of the protocol.
 * @param protocol The protocol; a `Protocol` that does nothing by default.
 * @returns The recording, whose `protocol` you pass to the loop.
 * @throws {TypeError} If `protocol` is not an object, or is frozen.
 *
 * @example Compare
 * ```ts
 * import { Protocol } from "@tandem/io";
 * import { memoryPair, recorder } from "@tandem/io/testing";
 *
 * const server = recorder(new Protocol());
 * await using pair = await memoryPair(new Protocol(), server.protocol);
 * pair.transportA.write(new TextEncoder().encode("hello"));
 * pair.transportA.close();
 * await server.lost;
 * console.log(server.calls);
 * // [ "connectionMade", 'dataReceived "hello"', "eofReceived", "connectionLost null" ]
 * ```
 */
export function recorder(): Recording<Protocol>;
/** Records the callbacks of a protocol. */
export function recorder<P extends object>(protocol: P): Recording<P>;
export function recorder(protocol: object = new Protocol()): Recording<object> {
  checkProtocol("recorder()", "protocol", protocol);
  if (!Object.isExtensible(protocol)) {
    throw new TypeError("recorder(): protocol must be extensible, got a frozen object");
  }
  return new Recording(protocol);
}

function describeArgs(name: string, args: unknown[], bytes: Uint8Array | undefined): string[] {
  switch (name) {
    case "connectionMade":
    case "getBuffer":
      return [];
    case "pipeDataReceived":
    case "pipeConnectionLost":
      return [String(args[0]), bytes === undefined ? describeError(args[1]) : formatBytes(bytes)];
  }
  if (PARSED.includes(name)) return args.map((arg) => describeFrame(arg));
  if (bytes !== undefined) return [formatBytes(bytes)];
  return args.map((arg) => arg === null || arg instanceof Error ? describeError(arg) : String(arg));
}

/** Text is quoted, as bytes are. */
function describeFrame(frame: unknown): string {
  return isBytes(frame) || typeof frame === "string" ? formatBytes(toBytes(frame)) : String(frame);
}

/** Returns the code of the system, or the class, without the message, which differs from system to system. */
function describeError(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  const { code } = error as { code?: unknown };
  return typeof code === "string" ? `${error.name} ${code}` : error.name;
}

function isBytes(value: unknown): value is Uint8Array {
  return value instanceof Uint8Array;
}
