/**
 * The seam under the whole loop: an engine is where connections, listeners, datagrams and children come from.
 *
 * @module
 */
import type { DatagramHandle } from "./datagram_handle.ts";
import type { ListenHandle } from "./listen_handle.ts";
import type { ProcessHandle } from "./process_handle.ts";
import type { StreamEnd, StreamHandle } from "./stream_handle.ts";
import type { TlsProvider } from "./tls_provider.ts";

/** The loop, as its engine sees it. */
export interface EngineHost {
  /** Runs the callbacks that are due. Called by the engine, once for each `soon()`. Never throws. */
  turn(): void;
}

/** What a TCP socket is set to. */
export interface TcpSettings {
  /** Send small segments at once (`TCP_NODELAY`). */
  noDelay: boolean;
  /** Probe an idle connection (`SO_KEEPALIVE`). */
  keepAlive: boolean | undefined;
}

/** Where to connect to over TCP. */
export interface TcpTarget extends TcpSettings {
  /** TCP. */
  transport: "tcp";
  /** A name or a literal address. */
  hostname: string;
  /** 1 to 65535; 0 to 65535 to listen, where 0 lets the system choose. */
  port: number;
  /** The local address to connect from, where one was asked for. */
  localAddr: { hostname?: string | undefined; port?: number | undefined } | undefined;
  /** Try the addresses of a name one soon after the other, not one by one (Happy Eyeballs, RFC 8305). */
  autoSelectFamily: boolean | undefined;
  /** How long to wait before the next address is tried, in milliseconds. */
  autoSelectFamilyAttemptDelay: number | undefined;
}

/** Where to connect to over a Unix socket. */
export interface UnixTarget {
  /** A Unix socket. */
  transport: "unix";
  /** The path of the socket. */
  path: string;
}

/** Where to listen. */
export type ListenTarget =
  | (TcpSettings & {
    transport: "tcp";
    hostname: string;
    port: number;
    /** How many connections may wait to be accepted. */
    backlog: number | undefined;
    reusePort: boolean;
  })
  | (UnixTarget & {
    /** Remove the socket file when the listener closes. */
    cleanupSocket: boolean;
  });

/** An address of a datagram endpoint: a host and a port, or a path. */
export type DatagramAddr = { hostname?: string; port: number } | { path: string };

/** Where to send and receive datagrams. */
export interface DatagramEndpoint {
  /** Where to receive. */
  localAddr: DatagramAddr | undefined;
  /** The only address to talk to. */
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
/** A file that Deno opened. */
export type DenoFile = Deno.FsFile;

/** What can be read as a pipe: `Deno.stdin`, a `Deno.FsFile` such as a FIFO, or a `ReadableStream` of bytes. */
export type ReadablePipe =
  | { read(buffer: Uint8Array): Promise<number | null>; close(): void }
  | ReadableStream<Uint8Array>;

/** What can be written as a pipe: `Deno.stdout`, `Deno.stderr`, a `Deno.FsFile`, or a `WritableStream` of bytes. */
export type WritablePipe =
  | { write(data: Uint8Array): Promise<number>; close(): void }
  | WritableStream<Uint8Array>;

/** What one of a child's standard streams is connected to. */
export type Stdio = "piped" | "inherit" | "null";

/** How to start a child. */
export interface SpawnOptions {
  /** The arguments, without the name of the program. */
  args: string[];
  /** Standard input. */
  stdin: Stdio;
  /** Standard output. */
  stdout: Stdio;
  /** Standard error; `"stdout"` sends it where standard output goes, in order. */
  stderr: Stdio | "stdout";
  /** The working directory; this process's by default. */
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

/**
 * Where bytes, connections and children come from. Each loop has one of its own. What an engine cannot do it refuses by
 * `Deno.errors.NotSupported`.
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
   * Begins the work for a loop. Called once, by the loop.
   *
   * @param host The loop.
   */
  start(host: EngineHost): void;
  /** Asks for one call of `host.turn()`, after the events at hand. */
  soon(): void;
  /**
   * Connects a stream.
   *
   * @param target Where to.
   * @param signal Cancels the attempt, which then rejects with the signal's reason and leaves nothing open.
   * @returns The stream.
   */
  connect(target: TcpTarget | UnixTarget, signal?: AbortSignal): Promise<StreamEnd>;
  /**
   * Listens on one address. Nothing is accepted before `acceptStart()`.
   *
   * @param target Where.
   * @returns The listener.
   */
  listen(target: ListenTarget): Promise<ListenHandle>;
  /**
   * Takes over a connection that Deno made.
   *
   * @param conn The connection.
   * @param settings What to set it to.
   * @returns The stream.
   */
  adopt(conn: DenoConn, settings: TcpSettings): StreamEnd;
  /**
   * Takes over a listener that Deno made.
   *
   * @param listener The listener.
   * @param settings What to set its connections to.
   * @returns The listener.
   */
  adoptListener(listener: DenoListener, settings: TcpSettings): ListenHandle;
  /**
   * Opens a datagram socket.
   *
   * @param endpoint Where to send and receive.
   * @returns The socket, which receives nothing before `receiveStart()`.
   */
  datagram(endpoint: DatagramEndpoint): Promise<DatagramHandle>;
  /**
   * Takes over a pipe.
   *
   * @param pipe The pipe.
   * @param direction Which way its bytes go.
   * @returns The stream.
   */
  pipe(pipe: ReadablePipe | WritablePipe, direction: "read" | "write"): StreamHandle;
  /**
   * Starts a child process.
   *
   * @param program The program's path or name.
   * @param options Its arguments, streams and surroundings.
   * @returns The child.
   */
  spawn(program: string | URL, options: SpawnOptions): Promise<ProcessHandle>;
}
