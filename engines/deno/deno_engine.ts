import { setImmediate } from "node:timers";
import type { DatagramHandle } from "../../transports/datagram_handle.ts";
import type {
  DatagramEndpoint,
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
import { adoptConn } from "./adopt.ts";
import { connect } from "./connect.ts";
import { checkDenoVersion } from "./deno_version.ts";
import { listen } from "./listen.ts";
import { ListenerHandle } from "./listener_handle.ts";
import { openPipe } from "./pipe.ts";
import { spawn } from "./process.ts";
import { openUdp } from "./udp.ts";
import { openUnixDatagram } from "./unix_datagram.ts";

/**
 * The default engine, over Deno's own sockets, files and child processes. It needs no flags, only permissions.
 *
 * @example A loop of your own beside the default one
 * ```ts
 * import { EventLoop } from "@tandem/io";
 * import { DenoEngine } from "@tandem/io/engines/deno";
 *
 * const loop = new EventLoop({ engine: new DenoEngine() });
 * ```
 */
export class DenoEngine implements Engine {
  /** Always `"deno"`. */
  readonly name = "deno";
  #turn!: () => void;

  /**
   * Creates the engine of one loop.
   *
   * @throws {Deno.errors.NotSupported} If this Deno is too old.
   */
  constructor() {
    checkDenoVersion();
  }

  /** Connects the engine to its loop. */
  start(host: EngineHost): void {
    this.#turn = () => host.turn();
  }

  /** Asks for a turn, after pending input and output, so that callbacks that schedule callbacks do not starve them. */
  soon(): void {
    setImmediate(this.#turn);
  }

  /** Connects by `Deno.connect`. `localAddr` and `interleave` are not supported. */
  connect(target: TcpTarget | UnixTarget, signal?: AbortSignal): Promise<StreamEnd> {
    return connect(target, signal);
  }

  /** Listens by `Deno.listen`, on one address. `hostname: null` is not supported. */
  listen(target: ListenTarget): Promise<ListenHandle> {
    return listen(target);
  }

  /** Takes ownership of a `Deno.Conn`. */
  adopt(conn: Deno.Conn, settings: TcpSettings): StreamEnd {
    return adoptConn(conn, settings);
  }

  /** Takes ownership of a `Deno.Listener`. */
  adoptListener(listener: Deno.Listener, settings: TcpSettings): ListenHandle {
    return new ListenerHandle(listener, settings);
  }

  /** Opens a socket by `Deno.listenDatagram`, or, without `--unstable-net`, by `node:dgram`. */
  async datagram(endpoint: DatagramEndpoint): Promise<DatagramHandle> {
    const { localAddr, remoteAddr, reusePort } = endpoint;
    if (reusePort) {
      throw new Deno.errors.NotSupported("reusePort: Deno cannot share a datagram port, see reuseAddress");
    }
    const pathOf = (addr: typeof localAddr) => addr !== undefined && "path" in addr ? addr.path : undefined;
    const [localPath, remotePath] = [pathOf(localAddr), pathOf(remoteAddr)];
    const isUnix = localPath !== undefined || remotePath !== undefined;
    return await (isUnix ? openUnixDatagram(localPath, remotePath) : openUdp(endpoint));
  }

  /** Takes ownership of a standard stream, a file or a web stream. */
  pipe(pipe: ReadablePipe | WritablePipe, direction: "read" | "write"): StreamHandle {
    return openPipe(pipe, direction);
  }

  /** Starts a child by `Deno.Command`. */
  spawn(program: string | URL, options: SpawnOptions): Promise<ProcessHandle> {
    return spawn(program, options);
  }
}
