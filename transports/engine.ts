/**
 * The seam below the loop: an engine provides connections, listeners, datagram sockets, pipes and child processes.
 */
import type { DatagramHandle } from "./datagram_handle.ts";
import type { ListenHandle } from "./listen_handle.ts";
import type { ProcessHandle } from "./process_handle.ts";
import type { StreamEnd, StreamHandle } from "./stream_handle.ts";
import type { TlsProvider } from "./tls_provider.ts";
import type { Watcher } from "./watcher.ts";

/** The loop, as its engine sees it. */
export interface EngineHost {
  /**
   * Runs the callbacks that are due, as microtasks: they run once the engine has returned to its caller. The engine calls
   * this once for each `soon()`. Never throws.
   */
  turn(): void;
  /**
   * Calls a function once after a delay, by the clock of the loop, and keeps the process alive until then. A host that is not
   * a loop need not have this.
   */
  callLater?(delayMs: number, callback: () => void): { cancel(): void };
  /** Returns the time by the clock of the loop, in milliseconds. A host that is not a loop need not have this. */
  time?(): number;
}

/** The options of a TCP socket. */
export interface TcpSettings {
  /** Send small segments at once (`TCP_NODELAY`). */
  noDelay: boolean;
  /** Probe an idle connection (`SO_KEEPALIVE`). */
  keepAlive: boolean | undefined;
}

/** The address to connect to over TCP, and how. */
export interface TcpTarget extends TcpSettings {
  /** TCP. */
  transport: "tcp";
  /** A name or a literal address. */
  hostname: string;
  /** 1 to 65535; 0 to 65535 to listen, where 0 lets the system choose. */
  port: number;
  /** The local address to connect from; `undefined` if the system chooses. */
  localAddr: { hostname?: string | undefined; port?: number | undefined } | undefined;
  /** Start the next address of a name before the attempt at the last one has failed (Happy Eyeballs, RFC 8305). */
  autoSelectFamily: boolean | undefined;
  /** The time before the next address is tried, in milliseconds. */
  autoSelectFamilyAttemptDelay: number | undefined;
  /**
   * How many addresses of the first family are tried before the families alternate (RFC 8305's First Address Family Count); 0
   * keeps the order of the resolver, `undefined` leaves it to the engine.
   */
  interleave: number | undefined;
}

/** The Unix socket to connect to. */
export interface UnixTarget {
  /** A Unix socket. */
  transport: "unix";
  /** The path of the socket. */
  path: string;
}

/** The address to listen on, and how. */
export type ListenTarget =
  | (TcpSettings & {
    transport: "tcp";
    /** A name or a literal address; `null` for every interface. */
    hostname: string | null;
    port: number;
    /** Whether an IPv6 wildcard also accepts IPv4; `undefined` leaves it to the engine. */
    dualStack?: boolean | undefined;
    /** Addresses that the same server has bound already. An engine that binds all addresses of a name leaves them out. */
    bound?: readonly string[] | undefined;
    /** The maximum number of connections that wait to be accepted. */
    backlog: number | undefined;
    reusePort: boolean;
  })
  | (UnixTarget & {
    /** The maximum number of connections that wait to be accepted. */
    backlog?: number | undefined;
    /** Remove the socket file when the listener closes. */
    cleanupSocket: boolean;
  });

/** An address of a datagram endpoint: a host and a port, or a path. */
export type DatagramAddr = { hostname?: string; port: number } | { path: string };

/** How to open a datagram socket. */
export interface DatagramEndpoint {
  /** The address to bind. */
  localAddr: DatagramAddr | undefined;
  /** The only peer; `undefined` for any. */
  remoteAddr: DatagramAddr | undefined;
  /** Bind a port that another socket has bound (`SO_REUSEADDR`). */
  reuseAddress: boolean;
  /** Share the port with other sockets (`SO_REUSEPORT`). */
  reusePort: boolean;
  /** Allow sending to a broadcast address. */
  allowBroadcast: boolean;
}

/** A connection that Deno made. */
export type DenoConn = Deno.Conn;
/** A listener that Deno made. */
export type DenoListener = Deno.Listener;
export type { DenoFile } from "./file_source.ts";

/** An object that owns a file descriptor, such as a socket of `socketPair()` of `@tandem/io/epoll`. */
export interface DescriptorOwner {
  /** The file descriptor; -1 if there is none any more. */
  readonly fd: number;
  /** Gives the descriptor up without closing it, and returns it. */
  detach(): number;
}

/** A file descriptor: its number, or the object that owns it. */
export type Descriptor = number | DescriptorOwner;

/** A file descriptor in place of a connection, a listener or a pipe. */
export type GivenDescriptor = { fd: Descriptor } | DescriptorOwner;

/** A pipe to read: `Deno.stdin`, a `Deno.FsFile` such as a FIFO, or a `ReadableStream` of bytes. */
export type ReadablePipe =
  | { read(buffer: Uint8Array): Promise<number | null>; close(): void }
  | ReadableStream<Uint8Array>;

/** A pipe to write: `Deno.stdout`, `Deno.stderr`, a `Deno.FsFile`, or a `WritableStream` of bytes. */
export type WritablePipe =
  | { write(data: Uint8Array): Promise<number>; close(): void }
  | WritableStream<Uint8Array>;

/** What a standard stream of a child is connected to. */
export type Stdio = "piped" | "inherit" | "null";

/** How to start a child. */
export interface SpawnOptions {
  /** The arguments, without the name of the program. */
  args: string[];
  /** Standard input. */
  stdin: Stdio;
  /** Standard output. */
  stdout: Stdio;
  /** Standard error; `"stdout"` merges it into standard output, in order. */
  stderr: Stdio | "stdout";
  /** The working directory; by default, that of this process. */
  cwd: string | URL | undefined;
  /** Environment variables, added to those of this process. */
  env: Record<string, string> | undefined;
  /** Pass `env` alone. */
  clearEnv: boolean | undefined;
  /** The user to run as. */
  uid: number | undefined;
  /** The group to run as. */
  gid: number | undefined;
  /** Let the child live on when this process ends. */
  detached: boolean | undefined;
  /** Pass arguments without quoting, on Windows. */
  windowsRawArguments: boolean | undefined;
}

/** How to use a socket that is given by its file descriptor. */
export interface DescriptorSettings extends TcpSettings {
  /** The kind of socket that is accepted: TCP or Unix, or Unix only. */
  family: "any" | "unix";
  /** The connection was accepted: it needs the permission for its local address, and not for that of the peer. */
  accepted: boolean;
}

/**
 * What an engine does with file descriptors. Each method checks the descriptor first; if it throws, the descriptor is still
 * the caller's. Otherwise the engine owns it, and has called `detach()` of its former owner. Messages begin with the name of
 * the argument, `fd`.
 */
export interface Descriptors {
  /** Makes a stream of a connected socket. */
  connection(fd: Descriptor, settings: DescriptorSettings): StreamEnd;
  /** Makes a listener of a listening socket. The TCP options are applied to its connections. */
  listener(fd: Descriptor, settings: DescriptorSettings): ListenHandle;
  /** Makes a datagram socket of one that exists. If it is connected, it has a remote address. */
  datagram(fd: Descriptor): DatagramHandle;
  /** Makes a stream of a pipe, a FIFO, a socket or a character device. */
  pipe(fd: Descriptor, direction: "read" | "write"): StreamHandle;
}

/**
 * An engine provides connections, listeners, datagram sockets, pipes and child processes. It serves one loop. A method
 * throws `Deno.errors.NotSupported` for what the engine does not support; its other errors are the system's. The caller
 * owns what a method returns.
 */
export interface Engine {
  /** A short name, such as `"deno"`. */
  readonly name: string;
  /**
   * The TLS of its loop, over any handle.
   *
   * @default {undefined} Deno's `node:tls`
   */
  readonly tls?: TlsProvider | undefined;
  /**
   * Watches descriptors for `addReader()` and `addWriter()`. An engine that cannot has none.
   *
   * @default {undefined}
   */
  readonly watcher?: Watcher | undefined;
  /**
   * What the engine does with file descriptors: `{ fd }`.
   *
   * @default {undefined} not supported
   */
  readonly descriptors?: Descriptors | undefined;
  /** Connects the engine to its loop. The loop calls this once, before any other method. */
  start(host: EngineHost): void;
  /** Asks for one call of `host.turn()`, after the events that are pending. */
  soon(): void;
  /** Connects a stream. If `signal` aborts, rejects with the signal's reason and leaves nothing open. */
  connect(target: TcpTarget | UnixTarget, signal?: AbortSignal): Promise<StreamEnd>;
  /**
   * Listens on one address, or on all addresses of a name. Connections are accepted after `acceptStart()`. If an address
   * cannot be bound, nothing is left open.
   */
  listen(target: ListenTarget): Promise<ListenHandle | ListenHandle[]>;
  /** Takes ownership of a connection that Deno made, and applies TCP options to it. */
  adopt(conn: DenoConn, settings: TcpSettings): StreamEnd;
  /** Takes ownership of a listener that Deno made. The TCP options are applied to its connections. */
  adoptListener(listener: DenoListener, settings: TcpSettings): ListenHandle;
  /** Opens a datagram socket. Datagrams are received after `receiveStart()`. */
  datagram(endpoint: DatagramEndpoint): Promise<DatagramHandle>;
  /** Takes ownership of a pipe. */
  pipe(pipe: ReadablePipe | WritablePipe, direction: "read" | "write"): StreamHandle;
  /** Starts a child process. `program` is a path or a name. */
  spawn(program: string | URL, options: SpawnOptions): Promise<ProcessHandle>;
}
