import type { DatagramHandle } from "../../transports/datagram_handle.ts";
import type {
  DatagramEndpoint,
  Descriptors,
  Engine,
  EngineHost,
  ListenTarget,
  ReadablePipe,
  SpawnOptions,
  TcpSettings,
  TcpTarget,
  UnixTarget,
  WritablePipe,
} from "../../transports/engine.ts";
import type { ListenHandle } from "../../transports/listen_handle.ts";
import type { ProcessHandle } from "../../transports/process_handle.ts";
import type { StreamEnd, StreamHandle } from "../../transports/stream_handle.ts";
import type { TlsProvider } from "../../transports/tls_provider.ts";
import type { Watcher } from "../../transports/watcher.ts";
import { checkOptions, namesOf } from "../../check_options.ts";
import { checkOneOf } from "../../checks.ts";
import { defaultProvider } from "../../tls/default_provider.ts";
import { callbacks } from "../../tls/openssl/callbacks.ts";
import { hasLibssl, openLibssl } from "../../tls/openssl/libssl.ts";
import { opensslProvider } from "../../tls/openssl/openssl_provider.ts";
import { DenoEngine } from "../deno/deno_engine.ts";
import { Datagrams } from "./datagrams.ts";
import { EpollWatcher } from "./epoll_watcher.ts";
import { EpollDescriptors } from "./epoll_descriptors.ts";
import { type Libc, libcPaths, mayOpenLibc, openLibc } from "./libc.ts";
import { Reactor } from "./reactor.ts";
import { Streams } from "./streams.ts";

/** Whether the engine can be used, and why not. */
export interface Support {
  /** Whether `new EpollEngine()` succeeds. */
  supported: boolean;
  /** Why it would fail; `null` if it would not. */
  reason: string | null;
}

/** The options of an `EpollEngine`. */
export interface EpollEngineOptions {
  /**
   * What TLS is made of: OpenSSL 3, by FFI, or Deno's `node:tls`. OpenSSL needs `--allow-ffi` without a path, and
   * `libssl.so.3`.
   *
   * @default {undefined} OpenSSL where it can be used, otherwise `node:tls`; debug mode reports which
   */
  tls?: "openssl" | "node" | undefined;
}

const OPTIONS = namesOf<EpollEngineOptions>({ tls: true });

/**
 * An engine over epoll and the system's own sockets, by Deno's FFI: faster than Deno's sockets, and with what they do not
 * have. It needs Linux on x86-64 or arm64, and the permission `--allow-ffi`.
 *
 * Connections and listeners that Deno made, files, web streams and child processes work as on the default engine.
 *
 * @example Usage
 * ```ts
 * import { EventLoop } from "@tandem/io";
 * import { EpollEngine } from "@tandem/io/epoll";
 *
 * const loop = new EventLoop({ engine: new EpollEngine() });
 * ```
 */
export class EpollEngine implements Engine {
  /** Always `"epoll"`. */
  readonly name = "epoll";
  /** Watches descriptors, for `addReader()` and `addWriter()`. Set by `start()`. */
  watcher!: Watcher;
  /** Makes transports of descriptors, for `{ fd }`. Set by `start()`. */
  descriptors!: Descriptors;
  #libc: Libc;
  #deno: DenoEngine;
  #reactor!: Reactor;
  #streams!: Streams;
  #datagrams!: Datagrams;
  #tls: TlsProvider | undefined;

  /**
   * Creates the engine of one loop.
   *
   * @param options The options.
   * @throws {TypeError} If an option is unknown or of the wrong kind.
   * @throws {Deno.errors.NotSupported} If this is not Linux on x86-64 or arm64, or there is no known C library, or no
   * OpenSSL 3 for `tls: "openssl"`.
   * @throws {Deno.errors.NotCapable} If the permission to use FFI is missing.
   */
  constructor(options: EpollEngineOptions = {}) {
    checkOptions("new EpollEngine()", options, OPTIONS);
    const { tls } = options;
    if (tls !== undefined) checkOneOf("new EpollEngine()", "tls", tls, ["openssl", "node"]);
    this.#libc = openLibc();
    if (tls === "openssl") {
      openLibssl();
      callbacks();
    }
    if (tls !== undefined) this.#tls = tls === "openssl" ? opensslProvider : defaultProvider;
    this.#deno = new DenoEngine();
  }

  /**
   * Reports whether the engine can be used here. Never prompts for a permission.
   *
   * @returns Whether, and why not.
   *
   * @example The fastest engine there is
   * ```ts
   * import { EventLoop } from "@tandem/io";
   * import { EpollEngine } from "@tandem/io/epoll";
   *
   * const { supported, reason } = EpollEngine.isSupported();
   * if (!supported) console.log("using Deno's sockets:", reason);
   * const loop = new EventLoop(supported ? { engine: new EpollEngine() } : {});
   * ```
   */
  static isSupported(): Support {
    if (libcPaths().length > 0 && !mayOpenLibc()) {
      return { supported: false, reason: "the permission to use FFI is missing: run again with --allow-ffi" };
    }
    try {
      openLibc();
      return { supported: true, reason: null };
    } catch (error) {
      return { supported: false, reason: (error as Error).message };
    }
  }

  /** Connects the engine to its loop. */
  start(host: EngineHost): void {
    this.#deno.start(host);
    this.#reactor = new Reactor(this.#libc, () => host.turn());
    this.#streams = new Streams(this.#reactor, (delayMs, callback) => callLater(host, delayMs, callback));
    this.#datagrams = new Datagrams(this.#reactor);
    this.watcher = new EpollWatcher(this.#reactor);
    this.descriptors = new EpollDescriptors(
      this.#reactor,
      this.#streams,
      this.#datagrams,
      (fd, direction) => this.#standard(fd, direction),
    );
  }

  /** The TLS of the loop. Programs that use none do not load OpenSSL. */
  get tls(): TlsProvider {
    return this.#tls ??= hasLibssl() ? opensslProvider : defaultProvider;
  }

  /** Asks for a turn, after the events that are pending. */
  soon(): void {
    this.#reactor.soon();
  }

  /** Connects over TCP or to a Unix socket. */
  connect(target: TcpTarget | UnixTarget, signal?: AbortSignal): Promise<StreamEnd> {
    return target.transport === "tcp"
      ? this.#streams.connectTcp(target, signal)
      : this.#streams.connectUnix(target, signal);
  }

  /** Listens on TCP, at all addresses of a name, or on a Unix socket. */
  listen(target: ListenTarget): Promise<ListenHandle | ListenHandle[]> {
    return target.transport === "tcp" ? this.#streams.listenTcp(target) : this.#streams.listenUnix(target);
  }

  /** Takes ownership of a `Deno.Conn`, whose descriptor Deno keeps: it works as on the default engine. */
  adopt(conn: Deno.Conn, settings: TcpSettings): StreamEnd {
    return this.#deno.adopt(conn, settings);
  }

  /** Takes ownership of a `Deno.Listener`, which works as on the default engine. */
  adoptListener(listener: Deno.Listener, settings: TcpSettings): ListenHandle {
    return this.#deno.adoptListener(listener, settings);
  }

  /** Opens a UDP or a Unix datagram socket. */
  datagram(endpoint: DatagramEndpoint): Promise<DatagramHandle> {
    return this.#datagrams.open(endpoint);
  }

  /** Takes ownership of a standard stream, a file or a web stream. */
  pipe(pipe: ReadablePipe | WritablePipe, direction: "read" | "write"): StreamHandle {
    return this.#deno.pipe(pipe, direction);
  }

  /** Opens a standard stream that epoll cannot watch, such as a file. It stays open when its transport closes. */
  #standard(fd: number, direction: "read" | "write"): StreamHandle {
    const { stdin, stdout, stderr } = Deno;
    const output = fd === 1 ? stdout : stderr;
    const read = (buffer: Uint8Array) => stdin.read(buffer);
    const write = (data: Uint8Array) => output.write(data);
    return this.#deno.pipe({ read, write, close: () => {} }, direction);
  }

  /** Starts a child, as on the default engine. */
  spawn(program: string | URL, options: SpawnOptions): Promise<ProcessHandle> {
    return this.#deno.spawn(program, options);
  }
}

/** Calls a function later, by the clock of the loop if the host has one. */
function callLater(host: EngineHost, delayMs: number, callback: () => void): { cancel(): void } {
  if (host.callLater !== undefined) return host.callLater(delayMs, callback);
  const timer = setTimeout(callback, delayMs);
  return { cancel: () => clearTimeout(timer) };
}
