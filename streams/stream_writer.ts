import { checkOptions, namesOf } from "../check_options.ts";
import { checkSignal } from "../checks.ts";
import type { StartTlsOptions } from "../loop/mod.ts";
import type { StreamExtraInfo, Transport } from "../transports/mod.ts";
import type { StreamLink } from "./stream_link.ts";

/** The options of {@linkcode StreamWriter.drain}. */
export interface DrainOptions {
  /** Cancels the wait, which then rejects with the signal's reason. What was written is still sent. */
  signal?: AbortSignal | undefined;
}

const DRAIN_OPTIONS = namesOf<DrainOptions>({ signal: true });

/** Writes to a connection. The methods are those of asyncio's `StreamWriter`. */
export class StreamWriter {
  #link: StreamLink;

  /** Called by {@linkcode StreamPair}. */
  constructor(link: StreamLink) {
    this.#link = link;
  }

  /** The transport. After `startTls()` it is another one. */
  get transport(): Transport {
    return this.#link.transport;
  }

  /**
   * Sends a copy of bytes. Never blocks; call {@linkcode drain} after it. Does nothing if the connection is closing.
   *
   * @param data The bytes. They are yours again when this returns.
   * @throws {TypeError} If `data` is not a `Uint8Array`.
   * @throws {InvalidStateError} After `writeEof()`, and during `startTls()`.
   */
  write(data: Uint8Array): void {
    this.transport.write(data);
  }

  /**
   * Sends copies of several pieces, in order, as one write. If a piece is not a `Uint8Array`, nothing is sent.
   *
   * @param pieces The pieces. They are yours again when this returns.
   * @throws {TypeError} If `pieces` is not iterable, or a piece is not a `Uint8Array`.
   * @throws {InvalidStateError} After `writeEof()`, and during `startTls()`.
   */
  writelines(pieces: Iterable<Uint8Array>): void {
    this.transport.writelines(pieces);
  }

  /**
   * Waits until it is appropriate to go on writing: while the write buffer is over its high-water mark, until it is at its
   * low-water mark.
   *
   * @param options A signal.
   * @throws {Deno.errors.ConnectionReset} If the connection is closed, or the error of `connectionLost`.
   *
   * @example Usage
   * ```ts
   * import { openConnection } from "@tandem/io/streams";
   *
   * await using pair = await openConnection({ port: 8000 });
   * pair.writer.write(new Uint8Array(1_000_000));
   * await pair.writer.drain();
   * ```
   */
  async drain(options: DrainOptions = {}): Promise<void> {
    checkOptions("drain()", options, DRAIN_OPTIONS);
    const { signal } = options;
    checkSignal("drain()", signal);
    signal?.throwIfAborted();
    const { read, write, loop, transport } = this.#link;
    if (read.error !== null) throw read.error;
    // In a loop of write() and drain(), a closed connection must be noticed.
    if (transport.isClosing() && !write.lost) await new Promise<void>((resolve) => void loop.callSoon(resolve));
    if (write.lost) throw write.lostError("drain()");
    await write.drained(signal);
  }

  /**
   * Ends the writing half: buffered writes are sent, then the peer receives end of file. Reading goes on. If the peer has
   * ended its side, too, the connection is closed.
   *
   * @throws {Deno.errors.NotSupported} On TLS, which cannot end one direction alone.
   */
  writeEof(): void {
    this.transport.writeEof();
    this.#link.endWriting();
  }

  /** Reports whether {@linkcode writeEof} is supported. */
  canWriteEof(): boolean {
    return this.transport.canWriteEof();
  }

  /** Closes the connection, both ways, after buffered writes. The reader keeps what has arrived. */
  close(): void {
    this.transport.close();
  }

  /** Reports whether the connection is closing or closed. */
  isClosing(): boolean {
    return this.transport.isClosing();
  }

  /**
   * Waits until the connection is closed.
   *
   * @throws {Error} The error of `connectionLost`.
   */
  waitClosed(): Promise<void> {
    return this.#link.write.closed;
  }

  /** Returns information about the transport, as `getExtraInfo` of {@linkcode Transport} does. */
  getExtraInfo<K extends keyof StreamExtraInfo, D = null>(name: K, defaultValue?: D): StreamExtraInfo[K] | D {
    return this.transport.getExtraInfo(name, defaultValue);
  }

  /**
   * Upgrades the connection to TLS. What was written is sent first, in the clear. What has arrived and was not read goes to
   * TLS: a header and the ClientHello can arrive in one segment. Do not write until this resolves.
   *
   * @param options TLS options. A client needs `serverHostname`, a server `cert` and `key`. `serverSide` is `true` by default
   * for connections with a handler.
   * @throws {TlsError} If the handshake fails. The connection is then closed.
   * @throws {TypeError} If an option is missing or of the wrong kind. The connection then goes on unchanged.
   * @throws {InvalidStateError} While a BYOB read of `readable` waits. The connection then goes on unchanged.
   */
  startTls(options: Omit<StartTlsOptions, "readAhead">): Promise<void> {
    return this.#link.startTls(options);
  }
}
