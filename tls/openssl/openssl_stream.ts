/**
 * TLS on the descriptor of a socket, after the handshake. OpenSSL receives by itself, straight into the protocol's memory.
 *
 * What it sends goes to an `Output`, the same for all connections, and from there to the socket in the same call. For OpenSSL's
 * own way to send is write(2), which raises SIGPIPE, and sends each 16 KiB alone. And what it has to send while it receives,
 * such as the answer to a KeyUpdate, cannot meet a record that is half sent.
 */
import { lengthOf } from "../../checks.ts";
import { toError } from "../../errors.ts";
import type { ReadMemory } from "../../memory/read_memory.ts";
import type { CodecSocket, StreamCodec, StreamHandle, StreamSink } from "../../transports/stream_handle.ts";
import { TlsError } from "../tls_error.ts";
import * as c from "./constants.ts";
import { made } from "./credentials.ts";
import type { Libssl, Pointer } from "./libssl.ts";
import type { LiveConnection } from "./live_connection.ts";
import { beginRead, endRead, MAX_MESSAGES, tooManyMessages } from "./messages.ts";
import { takeError, toConnectionError } from "./openssl_error.ts";
import { Output } from "./output.ts";
import { partOf } from "./part_of.ts";

const MAX_RECORD = 16 * 1024;
/** How much is encrypted before it is sent: eight records, for one system call. */
const MAX_PART = 8 * MAX_RECORD;
/** How many records are read in one call, which then takes less than 0.1 ms. A hostile peer sends one byte in each. */
const MAX_RECORDS = 64;
/** How many messages behind close_notify are skipped in one call. */
const MAX_SKIPPED = 8;
/** A record takes the time of so many bytes of a plain stream, and of its own bytes as well. */
const RECORD_COST = 1024;
/** So does a message without data. */
const MESSAGE_COST = 8 * 1024;
/** The most ciphertext that waits for a peer that does not read: a part of its data, and answers that it has asked for. */
const MAX_REST = 2 * MAX_PART;
const NOTHING = new Uint8Array(0);
/**
 * The size of OpenSSL's read buffer while a peer sends more than a record at once: one system call receives seven records
 * (a 100 KiB echo: 3.5 calls to read and send instead of 12, 30 % less time in the kernel). OpenSSL frees the buffer when it is
 * empty; malloc() would map and unmap a larger one each time. From OpenSSL 3.2 on, the size cannot change any more.
 */
const LARGE_READ = 120n * 1024n;
/** The buffer has its usual size, one record, again after so many calls that received no more than that. */
const SMALL_READS = 64;

/** What the last `receive()` of all connections has cost. */
let lastCost = 0;

/** Of all connections, since it is empty again when a call has returned. */
let output: Output | undefined;

/** Empties the queue of errors. To clear an empty one takes 0.1 µs. */
function clearErrors(lib: Libssl): void {
  if (lib.ERR_peek_error() !== 0) lib.ERR_clear_error();
}

/** A byte stream over TLS. */
export class OpensslStream implements StreamHandle, StreamCodec {
  readonly shutdownTimeout: number;
  /** The number of bytes of ciphertext that the kernel has taken late. */
  progress = 0;
  pending = false;
  #connection: LiveConnection;
  #lower: StreamHandle;
  #socket: CodecSocket;
  #output: Output;
  /** Cleartext that came with the handshake, if there is any left, and who reads. */
  #early: Uint8Array[] | null;
  #sink: StreamSink | null = null;
  /** Ciphertext that the kernel has not taken yet. */
  #rest: Uint8Array = NOTHING;
  /** So much cleartext of the next `send()` is in `#rest`. */
  #owed = 0;
  /** What `receive()` throws next, behind the bytes that came before; what `send()` throws. */
  #failure: Error | null = null;
  #sendError: Error | null = null;
  /** OpenSSL's read buffer is large for so many more calls. */
  #largeReads = 0;
  /** The peer has ended the stream, or the connection is broken. */
  #over = false;
  /** Made by `shutdown()`. Settled when the peer has ended the stream, or cannot. */
  #peerEnded: PromiseWithResolvers<void> | null = null;

  /**
   * Takes the place of the BIOs of a connection, and owns it. Throws if OpenSSL has no memory.
   *
   * @param connection The connection, whose handshake is complete.
   * @param lower The handle of a socket.
   * @param early Cleartext that came with the handshake.
   * @param shutdownTimeout How long closing may take, in milliseconds.
   */
  constructor(connection: LiveConnection, lower: StreamHandle, early: Uint8Array[], shutdownTimeout: number) {
    const { lib } = connection;
    const ssl = connection.ssl!;
    this.#connection = connection;
    this.#lower = lower;
    this.#early = early.length === 0 ? null : early;
    this.shutdownTimeout = shutdownTimeout;
    this.#output = output ??= new Output(lib);
    this.#socket = lower.attach!(this);
    const reader = made(lib.BIO_new_socket(this.#socket.fd, c.BIO_NOCLOSE)); // If it fails, the caller closes `lower`.
    lib.SSL_set0_rbio(ssl, reader);
    this.#output.attach(ssl);
    // One system call for a record, not one for its header and one for the rest.
    lib.SSL_set_read_ahead(ssl, 1);
    this.pending = lib.SSL_has_pending(ssl) === 1;
  }

  // Not fields: each takes 8 bytes of a connection.
  get readable(): boolean {
    return true;
  }

  get writable(): boolean {
    return true;
  }

  get halfCloses(): boolean {
    return false;
  }

  get memory(): ReadMemory {
    return this.#lower.memory;
  }

  get cost(): number {
    return lastCost;
  }

  readStart(sink: StreamSink): void {
    if (this.#early === null) {
      this.#lower.readStart(sink);
      return;
    }
    this.#sink = sink;
    queueMicrotask(() => this.#deliverEarly());
  }

  readStop(): void {
    this.#sink = null;
    this.#lower.readStop();
  }

  tryWrite(data: Uint8Array): number {
    return this.#lower.tryWrite!(data);
  }

  write(data: Uint8Array): number | Promise<number> {
    return this.#lower.write(data);
  }

  closeWrite(): void {
    throw new Deno.errors.NotSupported("TLS cannot end one direction alone");
  }

  discard(): void {
    this.#early = null;
    if (this.#over) return;
    const over = () => this.#peerEnded?.resolve();
    this.#lower.readStart({
      allocate: () => this.#lower.memory.take(false),
      filled: () => {},
      chunk: () => {},
      end: over,
      failed: over,
    });
  }

  /** Sends close_notify after the last write, and waits for the peer's. */
  async shutdown(): Promise<void> {
    const { promise, resolve } = this.#peerEnded = Promise.withResolvers<void>();
    this.discard();
    const { lib, ssl } = this.#connection;
    if (ssl !== null && this.#failure === null && this.#sendError === null) {
      lib.ERR_clear_error();
      // From now on, OpenSSL ignores messages of TLS 1.2, and would go on for as long as a peer sends them.
      lib.SSL_ctrl(ssl, c.SSL_CTRL_CLEAR_MODE, c.SSL_MODE_AUTO_RETRY, null);
      lib.SSL_shutdown(ssl);
      lib.ERR_clear_error();
      this.#sendOwn();
    }
    if (this.#rest.length > 0) await this.#sendRest();
    if (this.#over || this.#sendError !== null) resolve();
    await promise;
  }

  reset(): void {
    this.#lower.reset!();
  }

  ref(): void {
    this.#lower.ref?.();
  }

  unref(): void {
    this.#lower.unref?.();
  }

  close(dropped: boolean): void {
    this.#over = true;
    this.pending = false;
    this.#sink = null;
    this.#early = null;
    this.#rest = NOTHING;
    this.#lower.close(dropped);
    this.#peerEnded?.resolve();
    this.#connection.free(this.#failure instanceof TlsError || this.#sendError instanceof TlsError);
  }

  receive(memory: Uint8Array): number {
    const { lib, ssl } = this.#connection;
    if (ssl === null) return 0;
    if (this.#failure !== null) throw this.#failure;
    const size = lengthOf(memory);
    clearErrors(lib);
    beginRead();
    let count = lib.SSL_read(ssl, memory, size);
    // While this side closes, it returns behind a message as well.
    for (let i = 0; i < MAX_SKIPPED && count < 0 && this.#peerEnded !== null && lib.SSL_has_pending(ssl) === 1; i++) {
      count = lib.SSL_read(ssl, memory, size);
    }
    let total = 0;
    let records = 1;
    // A call returns at most one record. What follows is read as well while there is room.
    for (; count > 0; records++) {
      total += count;
      this.pending = lib.SSL_has_pending(ssl) === 1;
      if (!this.pending || total === size || records === MAX_RECORDS) break;
      count = lib.SSL_read(ssl, partOf(memory, total, size - total), size - total);
    }
    const messages = endRead();
    if (total > MAX_RECORD || this.#largeReads > 0) this.#fitBuffer(ssl, total);
    lastCost = Math.max(total, records * RECORD_COST) + messages * MESSAGE_COST;
    let end = count > 0 ? total : this.#endOf(ssl, count, messages);
    // Behind a message or a failure, OpenSSL may have something to send by itself. To ask each time takes 50 ns.
    if ((messages > 0 || count <= 0) && this.#output.pending > 0) {
      this.#sendOwn();
      if (this.#rest.length > MAX_REST) end = this.#fail(doesNotRead());
    }
    if (end !== null) return total > 0 ? total : end;
    if (total === 0) throw this.#failure!;
    return total;
  }

  send(data: Uint8Array): number {
    const { lib, ssl } = this.#connection;
    const size = lengthOf(data);
    if (this.#sendError !== null) throw this.#sendError;
    if (ssl === null || size === 0) return 0;
    if (this.#rest.length > 0 && !this.#flush()) return -1;
    let done = this.#owed;
    this.#owed = 0;
    while (done < size) {
      const count = Math.min(size - done, MAX_PART);
      const part = count === size ? data : partOf(data, done, count);
      clearErrors(lib);
      const written = lib.SSL_write(ssl, part, count);
      if (written !== count) {
        this.#output.take(); // Nothing of this connection may stay in what all of them share.
        throw this.#sendError = toConnectionError(lib, takeError(lib), 0);
      }
      if (!this.#drain()) {
        this.#owed = count;
        return done === 0 ? -1 : done;
      }
      done += count;
    }
    return done;
  }

  /** Sets the size of OpenSSL's next read buffer. */
  #fitBuffer(ssl: Pointer, received: number): void {
    const { lib } = this.#connection;
    const before = this.#largeReads;
    this.#largeReads = received > MAX_RECORD ? SMALL_READS : before - 1;
    if (before === 0) lib.SSL_set_default_read_buffer_len(ssl, LARGE_READ);
    else if (this.#largeReads === 0) lib.SSL_set_default_read_buffer_len(ssl, 0n);
  }

  #deliverEarly(): void {
    while (this.#sink !== null && this.#early !== null) {
      const data = this.#early.shift()!;
      if (this.#early.length === 0) this.#early = null;
      this.#sink.chunk(data);
    }
    if (this.#sink !== null) this.#lower.readStart(this.#sink);
  }

  /** Returns what a read that has returned no bytes means: -1 for none yet, 0 for the end, `null` for `#failure`. */
  #endOf(ssl: Pointer, result: number, messages: number): -1 | 0 | null {
    if (messages > MAX_MESSAGES) return this.#fail(tooManyMessages());
    const { lib } = this.#connection;
    const error = lib.SSL_get_error(ssl, result);
    if (error === c.SSL_ERROR_WANT_READ) {
      this.pending = false; // At most a part of a record, whose other part is an event.
      return -1;
    }
    if (error === c.SSL_ERROR_ZERO_RETURN) return this.#end(0);
    return this.#fail(error === c.SSL_ERROR_SYSCALL ? this.#socket.lastError() : this.#explain(ssl));
  }

  #fail(failure: Error): null {
    this.#failure = failure;
    return this.#end(null);
  }

  #end<T>(result: T): T {
    // Until it is reported, which may be behind bytes.
    this.pending = true;
    this.#over = true;
    return result;
  }

  #explain(ssl: Pointer): Error {
    const { lib } = this.#connection;
    const error = takeError(lib);
    if (error?.ofSsl && error.reason === c.SSL_R_UNEXPECTED_EOF_WHILE_READING) {
      return new Deno.errors.UnexpectedEof(
        "TLS: the peer closed the connection without close_notify; bytes may be missing",
      );
    }
    return toConnectionError(lib, error, lib.SSL_get_verify_result(ssl));
  }

  /** Sends what OpenSSL has encrypted. Reports whether the kernel has taken all of it. */
  #drain(): boolean {
    const size = this.#output.take();
    if (size <= 0) return this.#rest.length === 0;
    const { bytes } = this.#output;
    let sent = 0;
    try {
      if (this.#rest.length === 0) {
        sent = Math.max(0, this.#socket.sendRaw(bytes, size));
        this.progress += sent;
      }
    } catch (error) {
      throw this.#sendError = toError(error);
    }
    if (sent === size) return true;
    const kept = new Uint8Array(this.#rest.length + size - sent);
    kept.set(this.#rest);
    kept.set(bytes.subarray(sent, size), this.#rest.length);
    this.#rest = kept;
    return false;
  }

  /** Sends what the kernel has not taken before. Reports whether it has taken all. */
  #flush(): boolean {
    while (this.#rest.length > 0) {
      const sent = this.#socket.sendRaw(this.#rest, this.#rest.length);
      if (sent <= 0) return false;
      this.progress += sent;
      this.#rest = sent === this.#rest.length ? NOTHING : this.#rest.subarray(sent);
    }
    return true;
  }

  /** Sends what OpenSSL has to say by itself: an alert, close_notify, the answer to a KeyUpdate. */
  #sendOwn(): void {
    try {
      if (!this.#drain() && !this.#socket.writePending) void this.#sendRest();
    } catch {
      // The next write meets the same error.
    }
  }

  async #sendRest(): Promise<void> {
    try {
      await this.#socket.whenWritable(() => this.#flush() ? 0 : -1);
    } catch (error) {
      this.#sendError = toError(error);
    }
  }
}

function doesNotRead(): TlsError {
  return new TlsError("FAILED", "TLS: the peer does not read the answers to its KeyUpdates or requests to renegotiate");
}
