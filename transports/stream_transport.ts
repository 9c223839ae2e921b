import { checkOptions, namesOf } from "../check_options.ts";
import { checkBoolean, checkBytes, checkPieces } from "../checks.ts";
import { describe } from "../errors.ts";
import { lookUpExtraInfo } from "./extra_info.ts";
import type { StreamConnection } from "./stream_connection.ts";
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
  #extra: Partial<ExtraInfo>;

  static {
    connectionOfTransport = (transport) => transport.#connection;
    extraOfTransport = (transport) => transport.#extra;
  }

  constructor(connection: StreamConnection, extra: Partial<ExtraInfo>) {
    this.#connection = connection;
    this.#extra = extra;
    connection.transport = this;
  }

  getExtraInfo<K extends keyof StreamExtraInfo, D = null>(name: K, defaultValue?: D): StreamExtraInfo[K] | D;
  getExtraInfo(name: string, defaultValue: unknown = null): unknown {
    return lookUpExtraInfo(this.#extra, name, defaultValue);
  }

  setProtocol(protocol: StreamCallbacks): void {
    this.#connection.checkProtocol(protocol);
    if (!this.#isDead) this.#connection.protocol = protocol;
  }

  getProtocol(): StreamCallbacks {
    return this.#connection.protocol;
  }

  isClosing(): boolean {
    return this.#isDead || this.#connection.isClosing;
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
    return !this.#isDead && this.#connection.isReading;
  }

  pauseReading(): void {
    if (!this.#isDead) this.#connection.pauseReading();
  }

  resumeReading(): void {
    if (!this.#isDead) this.#connection.resumeReading();
  }

  write(data: Uint8Array): void {
    checkBytes("write()", "data", data);
    if (this.#acceptsWrites("write()")) this.#connection.sender.copy(data);
  }

  writeOwned(data: Uint8Array): void {
    checkBytes("writeOwned()", "data", data);
    if (this.#acceptsWrites("writeOwned()")) this.#connection.sender.own(data);
  }

  writelines(pieces: Iterable<Uint8Array>): void {
    if (typeof pieces?.[Symbol.iterator] !== "function") {
      throw new TypeError(`writelines(): pieces must be iterable, got ${describe(pieces)}`);
    }
    const list = [...pieces];
    checkPieces("writelines()", "pieces", list);
    if (this.#acceptsWrites("writelines()")) this.#connection.sender.copyAll(list);
  }

  writeEof(): void {
    if (this.#isDead) this.#acceptsWrites("writeEof()");
    this.#connection.writeEof();
  }

  canWriteEof(): boolean {
    return !this.#isDead && this.#connection.canWriteEof;
  }

  getWriteBufferSize(): number {
    return this.#isDead ? 0 : this.#connection.unsent;
  }

  getWriteBufferLimits(): [low: number, high: number] {
    return this.#connection.sender.limits;
  }

  setWriteBufferLimits(limits: WriteBufferLimits = {}): void {
    this.#connection.sender.setLimits(limits);
  }

  get #isDead(): boolean {
    return this.#connection.transport !== this;
  }

  #acceptsWrites(method: string): boolean {
    return this.#connection.acceptsWrites(method, this);
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
