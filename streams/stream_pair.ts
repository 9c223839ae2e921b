import type { Transport } from "../transports/mod.ts";
import type { StreamLink } from "./stream_link.ts";
import { StreamReader } from "./stream_reader.ts";
import { StreamWriter } from "./stream_writer.ts";
import { makeReadable, makeWritable } from "./web_streams.ts";

/**
 * A connection, as a reader and a writer, and as two web streams.
 *
 * `reader` and `readable` share what arrives: you can read a header with one and the rest with the other, but not with both
 * at once. So do `writer` and `writable`. `using` closes the connection, `await using` also waits until it is closed.
 *
 * | call                                            | effect                                                            |
 * | ----------------------------------------------- | ----------------------------------------------------------------- |
 * | `writer.writeEof()`, `writable.close()`         | the peer receives end of file; reading goes on                    |
 * | the peer's end of file                          | the reader and `readable` end; writing goes on                    |
 * | both of these                                   | the connection is closed                                          |
 * | `readable.cancel()`                             | reading stops; writing goes on until you end it                   |
 * | `writable.abort()`, `abort()`                   | the connection is closed, and buffered writes are dropped         |
 * | `writer.close()`, `close()`, `using`            | the connection is closed after buffered writes                    |
 *
 * TLS cannot end one direction alone: `writable.close()` and the peer's end close the connection.
 */
export class StreamPair implements Disposable, AsyncDisposable {
  /** Reads with `await`. */
  readonly reader: StreamReader;
  /** Writes. */
  readonly writer: StreamWriter;
  #link: StreamLink;
  #readable: ReadableStream<Uint8Array<ArrayBuffer>> | null = null;
  #writable: WritableStream<Uint8Array> | null = null;

  /** Called by the factories of {@linkcode toStreams}. */
  constructor(link: StreamLink) {
    this.#link = link;
    this.reader = new StreamReader(link.read);
    this.writer = new StreamWriter(link);
  }

  /** What arrives, as a byte stream, also for BYOB readers. If the connection is lost, the stream fails with the error. */
  get readable(): ReadableStream<Uint8Array<ArrayBuffer>> {
    return this.#readable ??= makeReadable(this.#link);
  }

  /** A stream that writes at the pace of the peer. If the connection is lost, the stream fails with the error. */
  get writable(): WritableStream<Uint8Array> {
    return this.#writable ??= makeWritable(this.#link);
  }

  /** The transport. After `startTls()` it is another one. */
  get transport(): Transport {
    return this.#link.transport;
  }

  /**
   * Aborted when the server of the connection ends soon, by `server.drain()`: pass it to what waits for the next request, and
   * close the pair when you have answered. If you never ask for this signal, `server.drain()` closes the connection.
   */
  get draining(): AbortSignal {
    return this.#link.draining;
  }

  /**
   * Settles once, when the connection is closed: resolves after `close()`, `abort()` and the end of both directions, and
   * rejects with the error of `connectionLost`. You need not handle the rejection.
   */
  get closed(): Promise<void> {
    return this.#link.write.closed;
  }

  /** Closes the connection after buffered writes. The reader keeps what has arrived. */
  close(): void {
    this.transport.close();
  }

  /** Closes the connection at once, and drops buffered writes. */
  abort(): void {
    this.transport.abort();
  }

  /** Does what {@linkcode close} does. */
  [Symbol.dispose](): void {
    this.close();
  }

  /** Closes the connection, and waits until it is closed. An error of the connection is not thrown. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.close();
    await this.closed.catch(() => {});
  }
}
