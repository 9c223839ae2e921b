/**
 * The interfaces of all transports, and the callbacks that they call on a protocol.
 *
 * A transport moves bytes; its protocol decides what they mean. Each transport has one protocol at a time. The order of
 * the callbacks is fixed:
 *
 * ```text
 * stream:     connectionMade  (dataReceived | getBuffer bufferUpdated)*  eofReceived?  connectionLost
 * datagram:   connectionMade  (datagramReceived | errorReceived)*                      connectionLost
 * subprocess: connectionMade  (pipeDataReceived | pipeConnectionLost | processExited)* connectionLost
 * ```
 *
 * `pauseWriting` and `resumeWriting` alternate, anywhere between `connectionMade` and `connectionLost`.
 *
 * Sizes are bytes, times are milliseconds. What a callback throws goes to the loop's exception handler; from
 * `dataReceived`, `getBuffer`, `bufferUpdated` and `eofReceived` it also closes the transport.
 *
 * @module
 */

/** The encryption of a TLS connection. */
export interface TlsCipher {
  /** The cipher suite, for example `"TLS_AES_256_GCM_SHA384"`. */
  name: string;
  /** The version of TLS, `"TLSv1.2"` or `"TLSv1.3"`. */
  version: string;
  /** The length of the key in bits. */
  bits: number;
}

/**
 * The contents of a certificate. The first six fields have the names of Python's `SSLSocket.getpeercert()`, and
 * JavaScript's types.
 */
export interface PeerCertificate {
  /** The holder, by attribute: `{ CN: "localhost" }`. An attribute that occurs more than once is an array. */
  subject: Record<string, string | string[]>;
  /** The CA that signed the certificate, by attribute. */
  issuer: Record<string, string | string[]>;
  /**
   * The names and addresses that the certificate is valid for, as in Python: `["DNS", "localhost"]`,
   * `["IP Address", "127.0.0.1"]`, `["email", ...]`, `["URI", ...]`, `["Registered ID", "1.2.3"]`. The value of any other
   * kind is `"<unsupported>"`. A value has one character for each byte in the certificate, whatever that byte is, so do
   * not join values to one text and split it again.
   */
  subjectAltName: [type: string, value: string][];
  /** The serial number, in hexadecimal. */
  serialNumber: string;
  /** The time from which the certificate is valid. */
  notBefore: Date;
  /** The time until which the certificate is valid. */
  notAfter: Date;
  /** The SHA-256 of the certificate, as pairs of hexadecimal digits separated by colons. */
  fingerprint256: string;
  /** The certificate, as DER. */
  raw: Uint8Array;
}

/** The methods of a `TlsContext`. */
export interface TlsContextLike {
  /** Parses the certificates and keys. */
  load(): Promise<void>;
  /** Replaces options for new connections. */
  reload(options: object): Promise<void>;
}

/** What {@linkcode BaseTransport.getExtraInfo} knows about TLS. Without TLS every key has its default value. */
export interface TlsInfo {
  /** The encryption. Missing if the transport was given a `Deno.TlsConn`, which does not report it. */
  cipher: TlsCipher;
  /** Always `null`: TLS compression is obsolete. */
  compression: null;
  /** The peer's certificate; missing if the peer sent none. */
  peercert: PeerCertificate;
  /** The `TlsContext` of the connection. Missing if the transport was given a `Deno.TlsConn`. */
  sslcontext: TlsContextLike;
  /** The object that encrypts: a `TLSSocket` of `node:tls`, which you must not read or write, or the `Deno.TlsConn`. */
  sslObject: object;
  /** The protocol that both sides agreed on by ALPN; missing if they agreed on none. */
  alpnProtocol: string;
}

/** What {@linkcode BaseTransport.getExtraInfo} knows, by key. Every key still has its value after the transport closed. */
export interface ExtraInfo extends TlsInfo {
  /** The remote address of a socket. */
  peername: Deno.Addr;
  /** The local address of a socket. */
  sockname: Deno.Addr;
  /** The `Deno.Conn` or `Deno.DatagramConn` of the transport, or the `node:dgram` socket if Deno has no datagrams. */
  socket: object;
  /** The pipe that was given to `connectReadPipe` or `connectWritePipe`. */
  pipe: object;
  /** The `Deno.ChildProcess` of a subprocess transport. */
  subprocess: Deno.ChildProcess;
}

/** What the transport of a socket knows. */
export interface StreamExtraInfo extends ExtraInfo {
  /** The connection that carries the bytes. */
  socket: Deno.Conn;
}

/** The callbacks that any protocol can have. All are optional, so a plain object can be a protocol. */
export interface BaseCallbacks {
  /**
   * Called once, before every other callback, when the transport is ready. You can write at once.
   *
   * @param transport The transport of this protocol. Keep it to write, pause and close.
   */
  connectionMade?(transport: BaseTransport): void;
  /**
   * Called once, after every other callback, in a later turn of the loop than the `close()` or `abort()` that caused it.
   *
   * @param error `null` after end of file, `close()` and `abort()`; otherwise the error that ended the transport.
   */
  connectionLost?(error: Error | null): void;
  /** Called inside the `write` that takes the write buffer over its high-water mark. Stop writing. */
  pauseWriting?(): void;
  /**
   * Called when the write buffer has drained to its low-water mark after `pauseWriting`. Go on writing. A transport that
   * ends while writing is paused calls `connectionLost` instead.
   */
  resumeWriting?(): void;
}

/**
 * The callbacks of a protocol on a byte stream: TCP, Unix sockets, TLS and pipes.
 *
 * A protocol that has both `getBuffer` and `bufferUpdated` receives by these, any other by `dataReceived`.
 */
export interface StreamCallbacks extends BaseCallbacks {
  /**
   * Called once, before every other callback, when the connection is made, on TLS after the handshake. You can write at once.
   *
   * @param transport The transport of this protocol.
   */
  connectionMade?(transport: Transport): void;
  /**
   * Called with bytes that were received: one or more, in order, divided without regard to messages.
   *
   * @param data The bytes. They are yours: nothing overwrites them. Use `data` and not `data.buffer`, which can be larger
   * and can hold bytes of other connections. Transfer a copy of `data` to a worker; the buffer of small pieces cannot be
   * transferred.
   */
  dataReceived?(data: Uint8Array<ArrayBuffer>): void;
  /**
   * Called for memory to read into, when the transport begins to read, which is before bytes have arrived.
   *
   * @param sizeHint The size in bytes that suits the transport. You can return another size, but not an empty array.
   * @returns The memory. It belongs to the transport until `bufferUpdated` is called.
   */
  getBuffer?(sizeHint: number): Uint8Array;
  /**
   * Called when bytes were read into the memory that `getBuffer` returned last, which is yours again.
   *
   * @param nbytes The number of bytes, at the start of that memory. One or more.
   */
  bufferUpdated?(nbytes: number): void;
  /**
   * Called at most once, when the peer has ended its side of the stream. No data callback follows.
   *
   * @returns `true` to keep the transport open for writing. Any false value closes it; so does `true` on TLS.
   */
  eofReceived?(): boolean | void;
}

/** The callbacks of a protocol on datagrams. */
export interface DatagramCallbacks extends BaseCallbacks {
  /**
   * Called once, before every other callback, when the socket is bound. You can write at once.
   *
   * @param transport The transport of this protocol.
   */
  connectionMade?(transport: DatagramTransport): void;
  /**
   * Called with a datagram that was received.
   *
   * @param data The payload, which can be empty. It is yours. Use `data` and not `data.buffer`, which can be larger.
   * @param addr The address of the sender.
   */
  datagramReceived?(data: Uint8Array<ArrayBuffer>, addr: Deno.Addr): void;
  /**
   * Called if a datagram could not be sent or received. The transport stays open.
   *
   * @param error The error of the operating system, for example with `code` `"EMSGSIZE"`.
   */
  errorReceived?(error: Error): void;
}

/** The callbacks of a protocol on a child process. */
export interface SubprocessCallbacks extends BaseCallbacks {
  /**
   * Called once, before every other callback, when the child has started. You can write at once.
   *
   * @param transport The transport of this protocol.
   */
  connectionMade?(transport: SubprocessTransport): void;
  /**
   * Called with output of the child.
   *
   * @param fd 1 for standard output, 2 for standard error.
   * @param data The bytes. They are yours. Use `data` and not `data.buffer`, which can be larger.
   */
  pipeDataReceived?(fd: number, data: Uint8Array<ArrayBuffer>): void;
  /**
   * Called once for each pipe to the child, when it has closed.
   *
   * @param fd 0, 1 or 2.
   * @param error `null` after end of file and `close()`; otherwise the error, such as a broken pipe.
   */
  pipeConnectionLost?(fd: number, error: Error | null): void;
  /**
   * Called once, when the child has ended; `getReturncode()` has its return code. Pipes can still hold output. When
   * standard input is the last open pipe and nothing waits to be written, it is closed; until then, processes that the
   * child started can read it.
   */
  processExited?(): void;
}

/**
 * What every transport can do.
 *
 * @typeParam P The callbacks that the transport calls.
 * @typeParam E What {@linkcode BaseTransport.getExtraInfo} knows, by key.
 */
export interface BaseTransport<P = BaseCallbacks, E = ExtraInfo> extends Disposable {
  /**
   * Closes the transport in order: reading stops at once, buffered writes are sent, then `connectionLost(null)` is
   * called in a later turn. Calling it again does nothing. `using` calls it at the end of the scope.
   */
  close(): void;
  /**
   * Reports whether the transport is closing or closed.
   *
   * @returns `true` from the first `close()`, `abort()` or fatal error on.
   */
  isClosing(): boolean;
  /**
   * Returns what is known about the transport, also after it has closed.
   *
   * @typeParam K The key.
   * @typeParam D The type of the default value.
   * @param name The key, such as `"peername"`.
   * @param defaultValue The value to return if the transport does not have the key; `null` by default.
   * @returns The value, or `defaultValue`.
   */
  getExtraInfo<K extends keyof E, D = null>(name: K, defaultValue?: D): E[K] | D;
  /**
   * Returns what is known under a key that is known only at run time.
   *
   * @param name The key.
   * @param defaultValue The value to return if the transport does not have the key; `null` by default.
   * @returns The value, or `defaultValue`.
   */
  getExtraInfo(name: string, defaultValue?: unknown): unknown;
  /** Keeps the process alive while the transport is open, which is the default. */
  ref(): void;
  /**
   * Lets the process end while the transport is open. Its callbacks are called as long as something else keeps the process
   * alive; bytes that are still to be written do.
   */
  unref(): void;
  /**
   * Gives the transport another protocol, which the next callback is called on. `connectionMade` is not called on it. If
   * writing is paused, `resumeWriting` is called on the new protocol. A stream can change between `dataReceived` and
   * `getBuffer`: bytes that have arrived meanwhile go to the new protocol, in order.
   *
   * @param protocol The new protocol.
   * @throws {TypeError} If `protocol` is not an object, or has callbacks that cannot be meant. What a getter of
   * `protocol` throws is passed on. Nothing has changed then.
   */
  setProtocol(protocol: P): void;
  /**
   * Returns the protocol of the transport.
   *
   * @returns The object that the factory returned, or that `setProtocol` was called with last.
   */
  getProtocol(): P;
}

/**
 * The reading half of a stream.
 *
 * @typeParam E What `getExtraInfo` knows, by key.
 */
export interface ReadTransport<E = ExtraInfo> extends BaseTransport<StreamCallbacks, E> {
  /**
   * Reports whether data callbacks can be called.
   *
   * @returns `false` while reading is paused, and when the transport is closing.
   */
  isReading(): boolean;
  /**
   * Pauses reading: no data callback and no `eofReceived` is called after this returns, until {@linkcode resumeReading}.
   * Bytes that a read in flight brings are kept, in order. The kernel's buffer then fills and slows the peer down.
   * Calling it again does nothing.
   */
  pauseReading(): void;
  /** Resumes reading; kept bytes are delivered in a later turn of the loop. Does nothing if reading is not paused. */
  resumeReading(): void;
}

/** The marks of a write buffer, in bytes. */
export interface WriteBufferLimits {
  /**
   * The high-water mark: a larger buffer calls `pauseWriting`.
   *
   * @default {65536} or four times `low` if only `low` is given
   */
  high?: number;
  /**
   * The low-water mark: a paused buffer of this size or smaller calls `resumeWriting`.
   *
   * @default {high / 4}
   */
  low?: number;
}

/** The write buffer of streams and datagrams. */
export interface WriteBuffer {
  /**
   * Closes the transport at once and drops what is buffered; `connectionLost(null)` is called in a later turn. Calling it
   * again does nothing.
   */
  abort(): void;
  /**
   * Returns the number of bytes that were written and that the kernel has not taken.
   *
   * @returns The number of bytes. Each datagram counts for 8 bytes more than its payload, so that empty ones count.
   */
  getWriteBufferSize(): number;
  /**
   * Returns the marks at which writing is paused and resumed.
   *
   * @returns `[low, high]`, in bytes.
   */
  getWriteBufferLimits(): [low: number, high: number];
  /**
   * Sets the marks at which writing is paused and resumed. If the buffer is already larger than `high`, `pauseWriting`
   * is called before this returns.
   *
   * @param limits The new marks. One that is left out follows from the other; without any, both have their defaults.
   * @throws {TypeError} If `limits` is not an object, has an unknown option, or a mark is not a number.
   * @throws {RangeError} Unless `high >= low >= 0`.
   */
  setWriteBufferLimits(limits?: WriteBufferLimits): void;
}

/**
 * The writing half of a stream.
 *
 * @typeParam E What `getExtraInfo` knows, by key.
 */
export interface WriteTransport<E = ExtraInfo> extends BaseTransport<StreamCallbacks, E>, WriteBuffer {
  /**
   * Sends a copy of bytes. Never blocks; all small writes of one callback are sent together. Does nothing if the
   * transport is closing.
   *
   * @param data The bytes, also in a `SharedArrayBuffer`. They are yours again when this returns.
   * @throws {TypeError} If `data` is not a `Uint8Array`.
   * @throws {InvalidStateError} After {@linkcode writeEof}, and on a transport that cannot be written to.
   */
  write(data: Uint8Array): void;
  /**
   * Sends bytes without a copy.
   *
   * @param data The bytes. They belong to the transport from now on: do not change or read them. The memory of what
   * `dataReceived` was called with is recycled for the same connection, or becomes empty. Within one callback you can
   * send it more than once, whole or in parts. Memory that `bufferUpdated` was called for can be sent within that
   * callback; the transport asks for no memory until it has been sent.
   * @throws {TypeError} If `data` is not a `Uint8Array`.
   * @throws {InvalidStateError} After {@linkcode writeEof}, and on a transport that cannot be written to.
   */
  writeOwned(data: Uint8Array): void;
  /**
   * Sends copies of several pieces, in order, as one write. If one is not a `Uint8Array`, none is sent.
   *
   * @param pieces The pieces. They are yours again when this returns.
   * @throws {TypeError} If `pieces` is not iterable, or one of them is not a `Uint8Array`.
   * @throws {InvalidStateError} After {@linkcode writeEof}, and on a transport that cannot be written to.
   */
  writelines(pieces: Iterable<Uint8Array>): void;
  /**
   * Ends the writing half: buffered writes are sent, then the peer receives end of file. Reading goes on. A pipe, which
   * has no reading half, is closed. Does nothing if the transport is closing.
   *
   * @throws {Deno.errors.NotSupported} On TLS, which cannot end one direction alone.
   * @throws {InvalidStateError} On a transport that cannot be written to.
   */
  writeEof(): void;
  /**
   * Reports whether the transport has {@linkcode writeEof}.
   *
   * @returns `true` for TCP, Unix sockets and pipes, `false` for TLS.
   */
  canWriteEof(): boolean;
}

/** A byte stream in both directions. */
export interface Transport extends ReadTransport<StreamExtraInfo>, WriteTransport<StreamExtraInfo> {}

/** The address of a datagram: a `Deno.NetAddr` or `Deno.UnixAddr`, or an object with these properties of one. */
export type DatagramTarget = Deno.Addr | { hostname: string; port: number } | { path: string };

/** Datagrams in both directions. */
export interface DatagramTransport extends BaseTransport<DatagramCallbacks>, WriteBuffer {
  /**
   * Sends a copy of one datagram. Never blocks. If it cannot be sent, `errorReceived` is called. Does nothing if the
   * transport is closing.
   *
   * @param data The payload, which can be empty. It is yours again when this returns.
   * @param addr The address to send to. Leave it out, or pass `null`, if the endpoint has a `remoteAddr`.
   * @throws {TypeError} If `data` is not a `Uint8Array`, or `addr` is missing and the endpoint has no `remoteAddr`.
   * @throws {RangeError} If the endpoint has a `remoteAddr`, and `addr` is another address.
   */
  sendto(data: Uint8Array, addr?: DatagramTarget | null): void;
}

/** A child process and the pipes to it. */
export interface SubprocessTransport extends BaseTransport<SubprocessCallbacks> {
  /**
   * Returns the process id of the child.
   *
   * @returns The id, also after the child has ended.
   */
  getPid(): number;
  /**
   * Returns the return code of the child.
   *
   * @returns `null` while the child runs, then its exit code, or `-N` if signal N ended it.
   */
  getReturncode(): number | null;
  /**
   * Returns the transport of the pipe to standard input.
   *
   * @param fd 0.
   * @returns The transport, or `null` if standard input is not `"piped"`.
   */
  getPipeTransport(fd: 0): WriteTransport | null;
  /**
   * Returns the transport of the pipe to standard output or standard error.
   *
   * @param fd 1 or 2.
   * @returns The transport, or `null` if that stream is not `"piped"`.
   */
  getPipeTransport(fd: 1 | 2): ReadTransport | null;
  /**
   * Returns the transport of a pipe whose number is known only at run time.
   *
   * @param fd 0, 1 or 2.
   * @returns The transport, or `null` if that stream is not `"piped"`.
   */
  getPipeTransport(fd: number): ReadTransport | WriteTransport | null;
  /**
   * Sends a signal to the child. Does nothing if the child has ended and `connectionLost` has not returned yet.
   *
   * @param signal The signal's name or number.
   * @throws {TypeError} If `signal` is neither a signal's name nor a number.
   * @throws {ProcessLookupError} After `connectionLost`.
   */
  sendSignal(signal: Deno.Signal | number): void;
  /**
   * Kills the child if it still runs, and drops what is buffered for it. To let the child finish, close its pipe 0 and
   * wait for `processExited`. Calling it again does nothing.
   */
  close(): void;
  /** Sends `SIGTERM`, as `sendSignal("SIGTERM")` does. */
  terminate(): void;
  /** Sends `SIGKILL`, as `sendSignal("SIGKILL")` does. */
  kill(): void;
}
