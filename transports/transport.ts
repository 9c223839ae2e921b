/**
 * The interfaces everything else stands on: what a transport can do, and which callbacks it makes.
 *
 * A protocol says what bytes mean, a transport moves them, and the two ride together one to one.
 * The order of the callbacks is fixed:
 *
 * ```text
 * stream:     connectionMade  (dataReceived | getBuffer bufferUpdated)*  eofReceived?  connectionLost
 * datagram:   connectionMade  (datagramReceived | errorReceived)*                      connectionLost
 * subprocess: connectionMade  (pipeDataReceived | pipeConnectionLost | processExited)* connectionLost
 * ```
 *
 * with `pauseWriting` and `resumeWriting`, strictly paired, anywhere between the two ends.
 *
 * @module
 */

/** How the bytes are encrypted. */
export interface TlsCipher {
  /** The cipher suite, for example `"TLS_AES_256_GCM_SHA384"`. */
  name: string;
  /** The version of TLS, `"TLSv1.2"` or `"TLSv1.3"`. */
  version: string;
  /** The length of the key in bits. */
  bits: number;
}

/**
 * What a certificate says. The first six fields have the names of Python's `SSLSocket.getpeercert()`, and JavaScript's
 * types.
 */
export interface PeerCertificate {
  /** Whose it is, by attribute: `{ CN: "localhost" }`. An attribute that is there several times is an array. */
  subject: Record<string, string | string[]>;
  /** Who signed it. */
  issuer: Record<string, string | string[]>;
  /**
   * All that it is for, as in Python: `["DNS", "localhost"]`, `["IP Address", "127.0.0.1"]`, `["email", ...]`,
   * `["URI", ...]`, `["Registered ID", "1.2.3"]`; of other kinds the value is `"<unsupported>"`. A value is what the
   * certificate has, one character a byte: do not join them to one text.
   */
  subjectAltName: [type: string, value: string][];
  /** Its number, in hexadecimal. */
  serialNumber: string;
  /** From when on it is valid. */
  notBefore: Date;
  /** Until when. */
  notAfter: Date;
  /** The SHA-256 of the whole, as pairs of hexadecimal digits with colons between. */
  fingerprint256: string;
  /** The whole, as DER. */
  raw: Uint8Array;
}

/** What a `TlsContext` can do. */
export interface TlsContextLike {
  /** Parses the certificates and keys. */
  load(): Promise<void>;
  /** Replaces options for the connections to come. */
  reload(options: object): Promise<void>;
}

/** What {@linkcode BaseTransport.getExtraInfo} knows of TLS. A connection without TLS knows none of it. */
export interface TlsInfo {
  /** How the bytes are encrypted. Missing on a `Deno.TlsConn` that was given, which does not tell. */
  cipher: TlsCipher;
  /** Always `null`: compression is not used any more. */
  compression: null;
  /** The other side's certificate; missing where it has shown none. */
  peercert: PeerCertificate;
  /** The `TlsContext` it was made with; missing on a `Deno.TlsConn` that was given. */
  sslcontext: TlsContextLike;
  /** What does the work: a `TLSSocket` of `node:tls`, not to be read or written, or the `Deno.TlsConn`. */
  sslObject: object;
  /** What both have agreed to speak; missing where they have not (ALPN). */
  alpnProtocol: string;
}

/** What {@linkcode BaseTransport.getExtraInfo} knows, by key. Every answer outlives the transport. */
export interface ExtraInfo extends TlsInfo {
  /** The remote address of a socket. */
  peername: Deno.Addr;
  /** The local address of a socket. */
  sockname: Deno.Addr;
  /** The `Deno.Conn` or `Deno.DatagramConn` that carries the bytes; `node:dgram`'s socket where that stands in. */
  socket: object;
  /** The pipe object that was given to `connectReadPipe` or `connectWritePipe`. */
  pipe: object;
  /** The `Deno.ChildProcess` of a subprocess transport. */
  subprocess: Deno.ChildProcess;
}

/** The callbacks that every protocol may have. All are optional: a plain object will do. */
export interface BaseCallbacks {
  /**
   * Runs once, first, when the transport is ready. Writing is allowed at once.
   *
   * @param transport The transport that this protocol now rides with.
   */
  connectionMade?(transport: BaseTransport): void;
  /**
   * Runs once, last, in a later turn of the loop than the `close()` or `abort()` that caused it.
   *
   * @param error `null` after end of file, `close()` and `abort()`; otherwise what went wrong.
   */
  connectionLost?(error: Error | null): void;
  /** Runs inside the `write` that takes the buffer over the high-water mark. */
  pauseWriting?(): void;
  /**
   * Runs when the buffer has drained to the low-water mark. Always follows a `pauseWriting`, but does not follow
   * every one: a transport that ends while it is paused goes straight to `connectionLost`.
   */
  resumeWriting?(): void;
}

/**
 * The callbacks of a protocol on a byte stream. One that has both `getBuffer` and `bufferUpdated` is
 * served as a `BufferedProtocol`, any other through `dataReceived`.
 */
export interface StreamCallbacks extends BaseCallbacks {
  /** {@inheritDoc BaseCallbacks.connectionMade} */
  connectionMade?(transport: Transport): void;
  /**
   * Some bytes arrived: any number above zero, cut anywhere.
   *
   * @param data The bytes. They belong to the protocol from now on and are never overwritten. `data.buffer` may be
   * larger, and what lies there beside them is another connection's: use `data` alone, and transfer a copy of it to a
   * worker (the buffer that small ones share cannot be transferred at all).
   */
  dataReceived?(data: Uint8Array): void;
  /**
   * The transport wants memory to read into. It asks when it posts the read, before bytes are there.
   *
   * @param sizeHint A size in bytes that suits the transport; any size above zero is allowed.
   * @returns The memory, which belongs to the transport until the matching `bufferUpdated`.
   */
  getBuffer?(sizeHint: number): Uint8Array;
  /**
   * Bytes were read straight into the buffer last returned by `getBuffer`, which is the protocol's again.
   *
   * @param nbytes How many, counted from the start of that buffer.
   */
  bufferUpdated?(nbytes: number): void;
  /**
   * The other side will send nothing more. Runs at most once; no data callback follows.
   *
   * @returns `true` to stay open for writing; anything false closes the transport.
   */
  eofReceived?(): boolean | void;
}

/** The callbacks of a protocol on datagrams. */
export interface DatagramCallbacks extends BaseCallbacks {
  /** {@inheritDoc BaseCallbacks.connectionMade} */
  connectionMade?(transport: DatagramTransport): void;
  /**
   * One whole datagram arrived, possibly an empty one.
   *
   * @param data The payload. It belongs to the protocol from now on, but not what is beside it in `data.buffer`.
   * @param addr The sender.
   */
  datagramReceived?(data: Uint8Array, addr: Deno.Addr): void;
  /**
   * A send or a receive failed. The transport lives on.
   *
   * @param error The operating system's error, for example one with `code` `"EMSGSIZE"`.
   */
  errorReceived?(error: Error): void;
}

/** The callbacks of a protocol on a child process. */
export interface SubprocessCallbacks extends BaseCallbacks {
  /** {@inheritDoc BaseCallbacks.connectionMade} */
  connectionMade?(transport: SubprocessTransport): void;
  /**
   * The child wrote something.
   *
   * @param fd 1 for its standard output, 2 for its standard error.
   * @param data The bytes. They belong to the protocol from now on, but not what is beside them in `data.buffer`.
   */
  pipeDataReceived?(fd: number, data: Uint8Array): void;
  /**
   * One of the pipes to the child has closed. Runs once for each piped descriptor.
   *
   * @param fd 0, 1 or 2.
   * @param error `null` for an orderly end; a broken pipe, for example, otherwise.
   */
  pipeConnectionLost?(fd: number, error: Error | null): void;
  /**
   * The child has ended; `getReturncode()` has its return code. Pipes may still hold output. Standard input is closed
   * once no other pipe is open and nothing waits in it: until then, children of the child's may read it.
   */
  processExited?(): void;
}

/** What every transport can do. */
export interface BaseTransport extends Disposable {
  /**
   * Closes in an orderly way: reading stops at once, what is buffered is flushed, then
   * `connectionLost(null)` runs in a later turn. Idempotent.
   */
  close(): void;
  /**
   * Tells whether the transport is closing or closed.
   *
   * @returns `true` from the first `close()`, `abort()` or fatal error on.
   */
  isClosing(): boolean;
  /**
   * Looks up what is known about the transport. Still answers after it has closed.
   *
   * @param name The key.
   * @param defaultValue What to return where the transport has no such thing.
   * @returns The value, or `defaultValue`.
   */
  getExtraInfo<K extends keyof ExtraInfo, D = null>(name: K, defaultValue?: D): ExtraInfo[K] | D;
  /** The same for a key that has no type of its own. */
  getExtraInfo(name: string, defaultValue?: unknown): unknown;
  /**
   * Hands the transport to another protocol, from the next callback on. `connectionMade` is not
   * called on it. If the former one is paused, this one is told when to go on.
   *
   * @param protocol The new protocol.
   * @throws {TypeError} If it is not an object. What a getter of it throws is passed on; nothing has changed then.
   */
  setProtocol(protocol: BaseCallbacks): void;
  /**
   * Gives the protocol that rides with this transport now.
   *
   * @returns The protocol, as the factory or `setProtocol` gave it.
   */
  getProtocol(): BaseCallbacks;
}

/** The reading half of a stream. */
export interface ReadTransport extends BaseTransport {
  /** {@inheritDoc BaseTransport.setProtocol} */
  setProtocol(protocol: StreamCallbacks): void;
  /** {@inheritDoc BaseTransport.getProtocol} */
  getProtocol(): StreamCallbacks;
  /**
   * Tells whether data callbacks may run.
   *
   * @returns `false` while paused and once closing.
   */
  isReading(): boolean;
  /**
   * Stops data callbacks: none runs after this returns, even if a read was in flight, whose bytes are
   * held in order. The kernel's buffer then fills and slows the peer down. Idempotent.
   */
  pauseReading(): void;
  /** Undoes {@linkcode pauseReading}; what was held arrives in a later turn. Idempotent. */
  resumeReading(): void;
}

/** The limits of a write buffer, in bytes. */
export interface WriteBufferLimits {
  /**
   * More than this pauses the protocol.
   *
   * @default {65536} or four times `low` where only that is given
   */
  high?: number;
  /**
   * This or less resumes it.
   *
   * @default {high / 4}
   */
  low?: number;
}

/** The part of writing that streams and datagrams share. */
export interface WriteBuffer {
  /** Closes at once and drops what is buffered; `connectionLost(null)` follows in a later turn. Idempotent. */
  abort(): void;
  /**
   * Tells how much has been accepted but not yet been taken by the kernel.
   *
   * @returns The number of bytes; a datagram counts for 8 more than it has, so that empty ones do not wait unseen.
   */
  getWriteBufferSize(): number;
  /**
   * Tells at which sizes the protocol is paused and resumed.
   *
   * @returns `[low, high]`, in bytes.
   */
  getWriteBufferLimits(): [low: number, high: number];
  /**
   * Sets the sizes at which the protocol is paused and resumed.
   *
   * @param limits The new limits; what is left out follows from the other.
   * @throws {RangeError} If `high >= low >= 0` does not hold.
   */
  setWriteBufferLimits(limits?: WriteBufferLimits): void;
}

/** The writing half of a stream. */
export interface WriteTransport extends BaseTransport, WriteBuffer {
  /** {@inheritDoc BaseTransport.setProtocol} */
  setProtocol(protocol: StreamCallbacks): void;
  /** {@inheritDoc BaseTransport.getProtocol} */
  getProtocol(): StreamCallbacks;
  /**
   * Sends bytes. Never blocks: they are copied, and all small writes of one callback leave together.
   * Dropped without a word once the transport is closing.
   *
   * @param data The bytes; the caller's again once this returns.
   * @throws {TypeError} If `data` is not a `Uint8Array`.
   * @throws {InvalidStateError} After {@linkcode writeEof}.
   */
  write(data: Uint8Array): void;
  /**
   * The same without the copy.
   *
   * @param data The bytes; the transport's from now on. Neither change nor read them afterwards: what
   * `dataReceived` was given is read into again by the same connection, or becomes empty. Given more than once within
   * the callback, whole or in parts, it is sent each time as it was, and not read into again. What `bufferUpdated` was
   * told of may be given within that callback; then nothing is read into that memory until it has been sent.
   * @throws {TypeError} If `data` is not a `Uint8Array`.
   * @throws {InvalidStateError} After {@linkcode writeEof}.
   */
  writeOwned(data: Uint8Array): void;
  /**
   * Sends several pieces as if they were one. Nothing is sent if one of them is no `Uint8Array`.
   *
   * @param pieces The pieces; the caller's again once this returns.
   * @throws {TypeError} If one of them is not a `Uint8Array`.
   * @throws {InvalidStateError} After {@linkcode writeEof}.
   */
  writelines(pieces: Iterable<Uint8Array>): void;
  /**
   * Says that nothing more will be written: what is buffered is flushed, then the other side sees the
   * end of the stream. Reading goes on. On a pipe, which has no other half, it closes.
   *
   * @throws {Deno.errors.NotSupported} On TLS, which cannot end one direction alone.
   */
  writeEof(): void;
  /**
   * Tells whether {@linkcode writeEof} is to be had.
   *
   * @returns `true` for TCP, Unix sockets and pipes, `false` for TLS.
   */
  canWriteEof(): boolean;
}

/** What a transport over a `Deno.Conn` knows. */
export interface StreamExtraInfo extends ExtraInfo {
  /** The connection that carries the bytes. */
  socket: Deno.Conn;
}

/** A byte stream in both directions. */
export interface Transport extends ReadTransport, WriteTransport {
  /** {@inheritDoc BaseTransport.getExtraInfo} */
  getExtraInfo<K extends keyof StreamExtraInfo, D = null>(name: K, defaultValue?: D): StreamExtraInfo[K] | D;
  /** The same for a key that has no type of its own. */
  getExtraInfo(name: string, defaultValue?: unknown): unknown;
  /** Replaces the protocol, from the next callback on, also between `dataReceived` and `getBuffer` kinds. */
  setProtocol(protocol: StreamCallbacks): void;
  /** {@inheritDoc BaseTransport.getProtocol} */
  getProtocol(): StreamCallbacks;
}

/** Where a datagram goes: a `Deno.NetAddr` or `Deno.UnixAddr`, or as much of one as this. */
export type DatagramTarget = Deno.Addr | { hostname: string; port: number } | { path: string };

/** Datagrams in both directions. */
export interface DatagramTransport extends BaseTransport, WriteBuffer {
  /** {@inheritDoc BaseTransport.setProtocol} */
  setProtocol(protocol: DatagramCallbacks): void;
  /** {@inheritDoc BaseTransport.getProtocol} */
  getProtocol(): DatagramCallbacks;
  /**
   * Sends one datagram; an empty one too. Never blocks. Errors reach `errorReceived`.
   *
   * @param data The payload; the caller's again once this returns.
   * @param addr Where to; `null` where the endpoint has a `remoteAddr`.
   * @throws {TypeError} If `data` is not a `Uint8Array`, or `addr` is missing with no `remoteAddr` set.
   * @throws {RangeError} If `addr` is not the endpoint's `remoteAddr` where it has one.
   */
  sendto(data: Uint8Array, addr?: DatagramTarget | null): void;
}

/** A child process and the pipes to it. */
export interface SubprocessTransport extends BaseTransport {
  /** {@inheritDoc BaseTransport.setProtocol} */
  setProtocol(protocol: SubprocessCallbacks): void;
  /** {@inheritDoc BaseTransport.getProtocol} */
  getProtocol(): SubprocessCallbacks;
  /**
   * Gives the child's process id.
   *
   * @returns The id, also after it has ended.
   */
  getPid(): number;
  /**
   * Gives what the child returned.
   *
   * @returns `null` while it runs, its exit code, or `-N` if signal N ended it.
   */
  getReturncode(): number | null;
  /**
   * Gives the transport of one of the child's pipes.
   *
   * @param fd 0, 1 or 2.
   * @returns A write transport for 0, a read transport for 1 and 2, `null` where it is not piped.
   */
  getPipeTransport(fd: 0): WriteTransport | null;
  /** The same for the child's standard output and standard error. */
  getPipeTransport(fd: 1 | 2): ReadTransport | null;
  /** The same for a number known only at run time. */
  getPipeTransport(fd: number): ReadTransport | WriteTransport | null;
  /**
   * Sends a signal to the child.
   *
   * @param signal The signal's name or number.
   * @throws {ProcessLookupError} If the child has ended.
   */
  sendSignal(signal: Deno.Signal | number): void;
  /** Kills the child if it still runs, and drops what is buffered for it. To let it finish, close pipe 0 and wait. */
  close(): void;
  /** Sends `SIGTERM`. */
  terminate(): void;
  /** Sends `SIGKILL`. */
  kill(): void;
}
