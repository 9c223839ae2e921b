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
 * Sizes are bytes, times are milliseconds. An exception in a callback goes to the loop's exception handler. An exception
 * in `dataReceived`, `getBuffer`, `bufferUpdated` or `eofReceived` also closes the transport.
 */
import type { ProxyHeader } from "./proxy_header.ts";
import type { TlsInfo } from "./tls_extra_info.ts";

export type * from "./tls_extra_info.ts";

/** The keys of {@linkcode BaseTransport.getExtraInfo}. They keep their values after the transport has closed. */
export interface ExtraInfo extends TlsInfo {
  /** The remote address of a socket. */
  peername: Deno.Addr;
  /** The local address of a socket. */
  sockname: Deno.Addr;
  /**
   * The `Deno.Conn`, the `Deno.DatagramConn`, or without `--unstable-net` the `node:dgram` socket. With the epoll engine, a
   * `Socket` or a `DatagramSocket` of `@tandem/io/epoll`.
   */
  socket: object;
  /** The pipe that was given to `connectReadPipe` or `connectWritePipe`. */
  pipe: object;
  /** The `Deno.ChildProcess` of a subprocess transport. */
  subprocess: Deno.ChildProcess;
  /** The PROXY header of a connection to a server with the option `proxyProtocol`; missing if its peer is not trusted. */
  proxyProtocol: ProxyHeader;
  /** With a PROXY header, the remote address of the socket: the proxy's. `peername` is that of the proxy's client. */
  proxyPeername: Deno.Addr;
  /** With a PROXY header, the local address of the socket. `sockname` is the address that the client has connected to. */
  proxySockname: Deno.Addr;
}

/** The keys of {@linkcode BaseTransport.getExtraInfo} for a stream. */
export interface StreamExtraInfo extends ExtraInfo {
  /** The connection that carries the bytes. With the epoll engine, it is a `Socket`: use `socketOf()` of `@tandem/io/epoll`. */
  socket: Deno.Conn;
}

/** The callbacks that any protocol can have. All are optional, so a plain object can be a protocol. */
export interface BaseCallbacks {
  /** Called once, before every other callback, when the transport is ready. You can write at once. */
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
   * Called when the write buffer has drained to its low-water mark after `pauseWriting`. Go on writing. Not called if the
   * transport ends while writing is paused.
   */
  resumeWriting?(): void;
}

/**
 * The callbacks of a protocol on a byte stream: TCP, Unix sockets, TLS and pipes.
 *
 * A protocol that has both `getBuffer` and `bufferUpdated` receives by these, any other by `dataReceived`.
 */
export interface StreamCallbacks extends BaseCallbacks {
  /** Called once, before every other callback: when the connection is made, and on TLS after the handshake. */
  connectionMade?(transport: Transport): void;
  /**
   * Called with bytes that were received, one or more, in order. Message boundaries are not kept.
   *
   * @param data The bytes. They are yours: nothing overwrites them. Use `data` and not `data.buffer`, which can be larger
   * and can hold bytes of other connections. Transfer a copy of `data` to a worker; a buffer that several pieces share
   * cannot be transferred.
   */
  dataReceived?(data: Uint8Array<ArrayBuffer>): void;
  /**
   * Called when the transport needs memory to read into. Over Deno's sockets that is before bytes have arrived.
   *
   * @param sizeHint The size in bytes that suits the transport. You can return another size, but not an empty array.
   * @returns The memory. It belongs to the transport until `bufferUpdated` is called.
   */
  getBuffer?(sizeHint: number): Uint8Array;
  /**
   * Called when bytes were read into the memory that `getBuffer` returned last. The memory is yours again.
   *
   * @param nbytes The number of bytes, at the start of that memory. One or more.
   */
  bufferUpdated?(nbytes: number): void;
  /**
   * Whether memory for the next read is likely to be there a few microtasks after `bufferUpdated`: `getBuffer` is called no
   * sooner then. Looked at by `setProtocol`.
   *
   * @default {false}
   */
  readonly suppliesLate?: boolean;
  /**
   * Called at most once, when the peer has ended its side of the stream. No data callback follows.
   *
   * @returns `true` to keep the transport open for writing. Any false value closes it; so does `true` on TLS.
   */
  eofReceived?(): boolean | void;
  /**
   * Called once if the server of the connection ends soon, by `server.drain()`: finish what you do, and close the
   * transport. A connection whose protocol does not have this callback is closed instead. An exception closes the transport.
   */
  drain?(): void;
}

/** The callbacks of a protocol on datagrams. */
export interface DatagramCallbacks extends BaseCallbacks {
  /** Called once, before every other callback, when the socket is bound. You can send at once. */
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
  /** Called once, before every other callback, when the child has started. You can write to its pipe 0 at once. */
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
   * Called once, when the child has ended; `getReturncode()` returns its return code. Pipes can still hold output. The
   * pipe to standard input stays open for processes that the child has started, and is closed once no other pipe is open
   * and its write buffer is empty.
   */
  processExited?(): void;
}

/**
 * What every transport can do.
 *
 * @typeParam P The callbacks that the transport calls.
 * @typeParam E The keys of {@linkcode BaseTransport.getExtraInfo}, with the types of their values.
 */
export interface BaseTransport<P = BaseCallbacks, E = ExtraInfo> extends Disposable {
  /**
   * Closes the transport: reading stops at once, buffered writes are sent, then `connectionLost(null)` is called in a
   * later turn. Calling `close` again does nothing. `using` calls `close` at the end of the scope.
   */
  close(): void;
  /** Reports whether the transport is closing or closed: `true` after `close()`, `abort()` or a fatal error. */
  isClosing(): boolean;
  /**
   * Returns information about the transport, also after the transport has closed.
   *
   * @typeParam K The key.
   * @typeParam D The type of the default value.
   * @param name The key, such as `"peername"`.
   * @param defaultValue The value to return if the transport does not have the key; `null` by default.
   * @returns The value, or `defaultValue`.
   */
  getExtraInfo<K extends keyof E, D = null>(name: K, defaultValue?: D): E[K] | D;
  /** Does the same for a key that is known only at run time. */
  getExtraInfo(name: string, defaultValue?: unknown): unknown;
  /** Keeps the process alive while the transport is open, which is the default. */
  ref(): void;
  /**
   * Lets the process end while the transport is open. Buffered writes still keep the process alive. Callbacks are called
   * as long as the process lives. Files, standard streams and web streams do not support this. The pipes of a child follow
   * the child's transport.
   */
  unref(): void;
  /**
   * Replaces the protocol. The next callback is called on the new protocol, and no bytes are lost, also between a
   * protocol with `dataReceived` and one with `getBuffer`. `connectionMade` is not called again. If writing is paused,
   * `resumeWriting` is called on the new protocol.
   *
   * @param protocol The new protocol.
   * @throws {TypeError} If `protocol` is not an object, or its callbacks are misspelt or incomplete. An exception of a
   * getter of `protocol` is passed on. The old protocol then stays.
   */
  setProtocol(protocol: P): void;
  /** Returns the protocol: the object that the factory returned, or the last one given to `setProtocol`. */
  getProtocol(): P;
}

/**
 * The reading half of a stream.
 *
 * @typeParam E The keys of `getExtraInfo`, with the types of their values.
 */
export interface ReadTransport<E = ExtraInfo> extends BaseTransport<StreamCallbacks, E> {
  /** Reports whether data callbacks can be called: `false` while reading is paused or the transport is closing. */
  isReading(): boolean;
  /**
   * Pauses reading: until {@linkcode resumeReading}, no data callback and no `eofReceived` is called. Bytes of a read in
   * flight are kept, in order. The kernel's buffer fills up and slows the peer down. Calling it again does nothing.
   */
  pauseReading(): void;
  /** Resumes reading; kept bytes are delivered in a later turn of the loop. Does nothing if reading is not paused. */
  resumeReading(): void;
}

/** The marks of a write buffer, in bytes. */
export interface WriteBufferLimits {
  /**
   * The high-water mark: `pauseWriting` is called when the buffer is larger.
   *
   * @default {65536} or four times `low` if only `low` is given
   */
  high?: number;
  /**
   * The low-water mark: `resumeWriting` is called when the buffer of a paused protocol is no larger.
   *
   * @default {high / 4}
   */
  low?: number;
}

/** The write buffer of streams and datagrams. */
export interface WriteBuffer {
  /**
   * Closes the transport at once and drops buffered writes; `connectionLost(null)` is called in a later turn. Calling
   * `abort` again does nothing.
   */
  abort(): void;
  /**
   * Returns the number of bytes that were written and that the kernel has not taken. Each datagram counts 8 bytes more
   * than its payload, so that empty datagrams count.
   */
  getWriteBufferSize(): number;
  /** Returns the marks at which writing is resumed and paused, in bytes. */
  getWriteBufferLimits(): [low: number, high: number];
  /**
   * Sets the marks at which writing is paused and resumed. If the buffer is already larger than `high`, `pauseWriting`
   * is called before this returns.
   *
   * @param limits The new marks. A mark that is left out has its default.
   * @throws {TypeError} If `limits` is not an object, has an unknown option, or a mark is not a number.
   * @throws {RangeError} Unless `high >= low >= 0`.
   */
  setWriteBufferLimits(limits?: WriteBufferLimits): void;
}

/**
 * The writing half of a stream.
 *
 * @typeParam E The keys of `getExtraInfo`, with the types of their values.
 */
export interface WriteTransport<E = ExtraInfo> extends BaseTransport<StreamCallbacks, E>, WriteBuffer {
  /**
   * Sends a copy of bytes. Never blocks. Small writes in one callback are sent together. Does nothing if the transport is
   * closing or the connection is lost.
   *
   * @param data The bytes, also in a `SharedArrayBuffer`. They are yours again when this returns.
   * @throws {TypeError} If `data` is not a `Uint8Array`.
   * @throws {InvalidStateError} After {@linkcode writeEof}, and on a transport that cannot be written to.
   */
  write(data: Uint8Array): void;
  /**
   * Sends bytes without a copy.
   *
   * @param data The bytes. They belong to the transport from now on: do not change or read them. An array from
   * `dataReceived` is recycled for the same connection, or detached. Within one callback you can send such an array more
   * than once, whole or in parts. In `bufferUpdated` you can send the memory that was filled; `getBuffer` is not called
   * again until that memory has been sent.
   * @throws {TypeError} If `data` is not a `Uint8Array`.
   * @throws {InvalidStateError} After {@linkcode writeEof}, and on a transport that cannot be written to.
   */
  writeOwned(data: Uint8Array): void;
  /**
   * Sends copies of several pieces, in order, as one write. If a piece is not a `Uint8Array`, nothing is sent.
   *
   * @param pieces The pieces. They are yours again when this returns.
   * @throws {TypeError} If `pieces` is not iterable, or a piece is not a `Uint8Array`.
   * @throws {InvalidStateError} After {@linkcode writeEof}, and on a transport that cannot be written to.
   */
  writelines(pieces: Iterable<Uint8Array>): void;
  /**
   * Ends the writing half: buffered writes are sent, then the peer receives end of file. Reading goes on. A write pipe is
   * closed. Does nothing if the transport is closing.
   *
   * @throws {Deno.errors.NotSupported} On TLS, which cannot end one direction alone.
   * @throws {InvalidStateError} On a transport that cannot be written to.
   */
  writeEof(): void;
  /** Reports whether {@linkcode writeEof} is supported: `true` for TCP, Unix sockets and write pipes, `false` for TLS. */
  canWriteEof(): boolean;
  /**
   * Does what {@linkcode WriteBuffer.abort} does. With `reset`, the peer gets a reset instead of the end of the stream.
   *
   * @param options `reset` needs TCP, or TLS over it, and an engine that supports it; `false` by default.
   * @throws {Deno.errors.NotSupported} If the connection cannot be reset. The transport then stays open.
   */
  abort(options?: { reset?: boolean | undefined }): void;
}

/** A byte stream in both directions. */
export interface Transport extends ReadTransport<StreamExtraInfo>, WriteTransport<StreamExtraInfo> {}

/** The address of a datagram: a `Deno.NetAddr`, a `Deno.UnixAddr`, or a part of one. */
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
  /** Returns the process id of the child, also after the child has ended. */
  getPid(): number;
  /** Returns `null` while the child runs, then its exit code, or `-N` if signal N ended it. */
  getReturncode(): number | null;
  /** Returns the transport of the pipe to standard input, or `null` if standard input is not `"piped"`. */
  getPipeTransport(fd: 0): WriteTransport | null;
  /** Returns the transport of the pipe to standard output (1) or standard error (2), or `null` if it is not `"piped"`. */
  getPipeTransport(fd: 1 | 2): ReadTransport | null;
  /** Does the same for a number that is known only at run time. */
  getPipeTransport(fd: number): ReadTransport | WriteTransport | null;
  /**
   * Sends a signal to the child. Does nothing between the end of the child and the return of `connectionLost`.
   *
   * @param signal The signal's name or number.
   * @throws {TypeError} If `signal` is neither a signal's name nor a number.
   * @throws {ProcessLookupError} After `connectionLost`.
   */
  sendSignal(signal: Deno.Signal | number): void;
  /**
   * Kills the child if it still runs, and drops buffered writes to its standard input. To let the child finish, close
   * the transport of pipe 0 and wait for `processExited`. Calling `close` again does nothing.
   */
  close(): void;
  /** Sends `SIGTERM`, as `sendSignal("SIGTERM")` does. */
  terminate(): void;
  /** Sends `SIGKILL`, as `sendSignal("SIGKILL")` does. */
  kill(): void;
}
