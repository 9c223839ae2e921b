/** What `loop.inspect()` returns. Times are milliseconds of the loop's clock. All of it can be written as JSON. */

/** Why a direction of a transport stands still. */
export interface PauseInfo {
  /**
   * For reading: `"program"` has called `pauseReading()`, `"startTls"` upgrades the connection, or memory of the protocol is
   * being sent (`"writes"`). For writing: the `"peer"` does not read, so the write buffer is above its high-water mark.
   */
  by: "program" | "startTls" | "writes" | "peer";
  /** For how long, in milliseconds; `null` if that is not measured, as for `"writes"`. */
  for: number | null;
}

/** The bytes of a transport, or of a pipe to a child. */
export interface TrafficInfo {
  /** The number of bytes that have arrived from the system, after decryption on TLS. */
  bytesReceived: number;
  /** The number of bytes that the system, or TLS, has taken. Those in the write buffer are not counted yet. */
  bytesSent: number;
  /** The number of bytes in the write buffer, as `getWriteBufferSize()`. */
  writeBufferSize: number;
  /** Whether the transport is closing. */
  closing: boolean;
  /** Why nothing is read; `null` while reading goes on. */
  readingPaused: PauseInfo | null;
  /** Why the protocol must not write, since `pauseWriting()` was called; `null` otherwise. */
  writingPaused: PauseInfo | null;
}

/** A pipe to a child process. */
export interface ChildPipeInfo extends TrafficInfo {
  /** 0 for standard input, 1 for standard output, 2 for standard error. */
  fd: number;
}

/** What a transport says of itself. */
export interface TransportState extends TrafficInfo {
  /** `"stream"` is a connection, TLS included; `"pipe"` goes one way. */
  kind: "stream" | "pipe" | "datagram" | "subprocess";
  /** The name of the protocol's class. A plain object is an `"Object"`. */
  protocol: string;
  /** As in `getExtraInfo("peername")`. */
  peername: Deno.Addr | null;
  /** As in `getExtraInfo("sockname")`. */
  sockname: Deno.Addr | null;
  /** Whether the connection is encrypted. */
  tls: boolean;
  /** The process ID of a child; `null` for other kinds. */
  pid: number | null;
  /** The pipes to a child, whose bytes the fields of the transport add up; empty for other kinds. */
  pipes: ChildPipeInfo[];
}

/** A transport that is open or closing. */
export interface TransportInfo extends TransportState {
  /** How long ago `connectionMade` was called, in milliseconds. */
  age: number;
  /**
   * For how long no byte has moved, in milliseconds: exact if none has ever moved, and otherwise counted from the first call
   * of `inspect()` that has found the numbers of bytes as they are now. So the first call reports 0, and a program that calls
   * it each second knows the idle time to the second. Messages are not timed, because that would make each of them dearer.
   */
  idle: number;
}

/** What a server says of itself. */
export interface ServerState {
  /** As `addresses` of the server. */
  addresses: Deno.Addr[];
  /** Whether connections are accepted. */
  serving: boolean;
  /** Whether `drain()` was called. */
  draining: boolean;
  /** The number of connections. */
  connections: number;
  /** The number of pending TLS handshakes. */
  handshakes: number;
  /** The number of connections whose PROXY header is pending. */
  proxyHeaders: number;
}

/** A server that is open, or whose connections are. */
export interface ServerInfo extends ServerState {
  /** How long ago the server was created, in milliseconds. */
  age: number;
}

/** The transports and servers of a loop, the oldest first. */
export interface LoopInfo {
  /** The transports. */
  transports: TransportInfo[];
  /** The servers. */
  servers: ServerInfo[];
}
