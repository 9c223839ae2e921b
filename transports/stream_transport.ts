import { checkOptions, namesOf } from "../check_options.ts";
import { checkBoolean, checkBytes, checkPieces } from "../checks.ts";
import { describe } from "../errors.ts";
import { lookUpExtraInfo } from "./extra_info.ts";
import type { StreamConnection } from "./stream_connection.ts";
import type { StreamEnd } from "./stream_handle.ts";
import type { ExtraInfo, StreamCallbacks, StreamExtraInfo, Transport, WriteBufferLimits } from "./transport.ts";

const ABORT_OPTIONS = namesOf<NonNullable<Parameters<Transport["abort"]>[0]>>({ reset: true });

let connectionOfTransport: (transport: StreamTransport) => StreamConnection;
let extraOfTransport: (transport: StreamTransport) => Partial<ExtraInfo>;

/**
 * The transport that the protocol of a stream has: the methods of {@linkcode Transport}, and no others. After `startTls()`
 * it is dead: only `close()` and `abort()` still reach the connection.
 */
export class StreamTransport implements Transport {
  #connection: StreamConnection;
  /** What the engine has made of the connection, which may create the values of `getExtraInfo` on demand. */
  #end: Pick<StreamEnd, "extra">;

  static {
    connectionOfTransport = (transport) => transport.#connection;
    extraOfTransport = (transport) => transport.#end.extra;
  }

  constructor(connection: StreamConnection, end: Pick<StreamEnd, "extra">) {
    this.#connection = connection;
    this.#end = end;
    connection.transport = this;
  }

  getExtraInfo<K extends keyof StreamExtraInfo, D = null>(name: K, defaultValue?: D): StreamExtraInfo[K] | D;
  getExtraInfo(name: string, defaultValue: unknown = null): unknown {
    return lookUpExtraInfo(this.#end.extra, name, defaultValue);
  }

  setProtocol(protocol: StreamCallbacks): void {
    this.#connection.checkProtocol(protocol);
    if (!isDead(this)) this.#connection.protocol = protocol;
  }

  getProtocol(): StreamCallbacks {
    return this.#connection.protocol;
  }

  isClosing(): boolean {
    return isDead(this) || this.#connection.isClosing;
  }

  close(): void {
    this.#connection.close();
  }

  abort(options: { reset?: boolean | undefined } = {}): void {
    checkOptions("abort()", options, ABORT_OPTIONS);
    checkBoolean("abort()", "reset", options.reset);
    this.#connection.abort(options.reset);
  }

  [Symbol.dispose](): void {
    this.close();
  }

  ref(): void {
    this.#connection.ref();
  }

  unref(): void {
    this.#connection.unref();
  }

  isReading(): boolean {
    return !isDead(this) && this.#connection.isReading;
  }

  pauseReading(): void {
    if (!isDead(this)) this.#connection.pauseReading();
  }

  resumeReading(): void {
    if (!isDead(this)) this.#connection.resumeReading();
  }

  write(data: Uint8Array): void {
    checkBytes("write()", "data", data);
    const connection = this.#connection;
    if (connection.acceptsWrites("write()", this)) connection.sender.copy(data);
  }

  writeOwned(data: Uint8Array): void {
    checkBytes("writeOwned()", "data", data);
    const connection = this.#connection;
    if (connection.acceptsWrites("writeOwned()", this)) connection.sender.own(data);
  }

  writelines(pieces: Iterable<Uint8Array>): void {
    if (typeof pieces?.[Symbol.iterator] !== "function") {
      throw new TypeError(`writelines(): pieces must be iterable, got ${describe(pieces)}`);
    }
    const list = [...pieces];
    checkPieces("writelines()", "pieces", list);
    const connection = this.#connection;
    if (connection.acceptsWrites("writelines()", this)) connection.sender.copyAll(list);
  }

  writeEof(): void {
    if (isDead(this)) this.#connection.acceptsWrites("writeEof()", this);
    this.#connection.writeEof();
  }

  canWriteEof(): boolean {
    return !isDead(this) && this.#connection.canWriteEof;
  }

  getWriteBufferSize(): number {
    return isDead(this) ? 0 : this.#connection.unsent;
  }

  getWriteBufferLimits(): [low: number, high: number] {
    return this.#connection.sender.limits;
  }

  setWriteBufferLimits(limits: WriteBufferLimits = {}): void {
    this.#connection.sender.setLimits(limits);
  }
}

/** Returns the connection of a transport, for the loop; `null` if the value is not a stream transport. */
export function connectionOf(transport: unknown): StreamConnection | null {
  return transport instanceof StreamTransport ? connectionOfTransport(transport) : null;
}

/** Returns the values of `getExtraInfo`. */
export function extraOf(transport: StreamTransport): Partial<ExtraInfo> {
  return extraOfTransport(transport);
}

/** Reports whether `startTls()` has taken over. Not a private method: a class with one takes 8 bytes of each connection. */
function isDead(transport: StreamTransport): boolean {
  return connectionOfTransport(transport).transport !== transport;
}
