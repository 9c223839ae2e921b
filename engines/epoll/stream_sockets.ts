/** Makes streams and listeners of TCP and Unix sockets. */
import type { ListenTarget, TcpSettings, TcpTarget, UnixTarget } from "../../transports/engine.ts";
import type { ListenHandle } from "../../transports/listen_handle.ts";
import type { StreamEnd } from "../../transports/stream_handle.ts";
import { bindUnixFile } from "./bind_unix.ts";
import { type Accepted, AcceptHandle } from "./accept_handle.ts";
import { connectTo } from "./connect.ts";
import { AF_INET6, SOCK_STREAM } from "./constants.ts";
import { lastError } from "./errors.ts";
import { Lane } from "./lane.ts";
import type { Libc } from "./libc.ts";
import { bind, ipNameOf, openSocket, pathOf, setOption } from "./open_socket.ts";
import { requireNet, requirePath } from "./permissions.ts";
import type { Reactor } from "./reactor.ts";
import { resolve } from "./resolve.ts";
import { ScratchMemory, ScratchPool } from "./scratch_memory.ts";
import { decodeIp, decodePath, encodeIp, encodePath } from "./sockaddr.ts";
import { Socket } from "./socket.ts";
import { SocketHandle } from "./socket_handle.ts";
import { IPPROTO_IPV6, IPPROTO_TCP, IPV6_V6ONLY, SO_KEEPALIVE, SO_REUSEADDR } from "./socket_options.ts";
import { SO_REUSEPORT, SOL_SOCKET, TCP_NODELAY } from "./socket_options.ts";

/** The default backlog of Deno's listeners. */
const BACKLOG = 511;

type TcpListenTarget = Extract<ListenTarget, { transport: "tcp" }>;

/** The stream sockets of one engine. */
export class StreamSockets {
  #reactor: Reactor;
  #memory = new ScratchPool();

  constructor(reactor: Reactor) {
    this.#reactor = reactor;
  }

  /** Connects to the first address that accepts. */
  async connectTcp(target: TcpTarget, signal?: AbortSignal): Promise<StreamEnd> {
    signal?.throwIfAborted();
    const { hostname, port } = target;
    requireNet(hostname, port);
    const { libc } = this.#reactor;
    let failure: unknown;
    for (const address of await resolve(hostname)) {
      signal?.throwIfAborted();
      try {
        const prepare = (fd: number) => applySettings(libc, fd, target);
        const fd = await connectTo(this.#reactor, encodeIp(address, port), signal, prepare);
        return this.#end(fd, new Lane(), ipNameOf(libc, fd, "tcp"), ipNameOf(libc, fd, "tcp", "getpeername"));
      } catch (error) {
        failure = error;
      }
    }
    throw failure;
  }

  async connectUnix({ path }: UnixTarget, signal?: AbortSignal): Promise<StreamEnd> {
    signal?.throwIfAborted();
    requirePath(path);
    const { libc } = this.#reactor;
    const fd = await connectTo(this.#reactor, encodePath(path), signal);
    const sockname: Deno.UnixAddr = { transport: "unix", path: pathOf(libc, fd) };
    return this.#end(fd, new Lane(), sockname, { transport: "unix", path });
  }

  async listenTcp(target: TcpListenTarget): Promise<ListenHandle> {
    const { hostname, port } = target;
    requireNet(hostname, port);
    const [address] = await resolve(hostname);
    return this.#listenTcp(target, address!);
  }

  async listenUnix({ path, cleanupSocket }: Extract<ListenTarget, { transport: "unix" }>): Promise<ListenHandle> {
    requirePath(path);
    const reactor = this.#reactor;
    const { libc } = reactor;
    const { fd, removeFile } = await bindUnixFile(libc, path, SOCK_STREAM);
    const addr: Deno.UnixAddr = { transport: "unix", path };
    try {
      if (libc.listen(fd, BACKLOG) === -1) throw lastError(libc);
    } catch (error) {
      removeFile();
      libc.close(fd);
      throw error;
    }
    return new AcceptHandle(reactor, fd, addr, this.#unixAccepted(addr), cleanupSocket ? removeFile : undefined);
  }

  #listenTcp(target: TcpListenTarget, address: string): ListenHandle {
    const { libc } = this.#reactor;
    const { port, backlog = BACKLOG, reusePort } = target;
    const local = encodeIp(address, port);
    return openSocket(libc, local.family, SOCK_STREAM, (fd) => {
      setOption(libc, fd, SOL_SOCKET, SO_REUSEADDR, 1);
      if (reusePort) setOption(libc, fd, SOL_SOCKET, SO_REUSEPORT, 1);
      if (local.family === AF_INET6) setOption(libc, fd, IPPROTO_IPV6, IPV6_V6ONLY, 0);
      // Accepted sockets inherit these.
      applySettings(libc, fd, target);
      bind(libc, fd, local);
      if (libc.listen(fd, backlog) === -1) throw lastError(libc);
      const addr = ipNameOf(libc, fd, "tcp");
      return new AcceptHandle(this.#reactor, fd, addr, this.#tcpAccepted(addr));
    });
  }

  #tcpAccepted(addr: Deno.NetAddr): Accepted {
    const { libc } = this.#reactor;
    // A listener at one address knows the local address of its connections.
    const isWildcard = addr.hostname === "0.0.0.0" || addr.hostname === "::";
    return (fd, lane, address) => {
      return this.#end(fd, lane, isWildcard ? ipNameOf(libc, fd, "tcp") : addr, decodeIp("tcp", address));
    };
  }

  #unixAccepted(addr: Deno.UnixAddr): Accepted {
    return (fd, lane, address, length) => {
      return this.#end(fd, lane, addr, { transport: "unix", path: decodePath(address, length) });
    };
  }

  #end(fd: number, lane: Lane, sockname: Deno.Addr, peername: Deno.Addr): StreamEnd {
    const handle = new SocketHandle(this.#reactor, lane, fd, new ScratchMemory(this.#memory));
    return { handle, extra: { peername, sockname, socket: new Socket(handle) } };
  }
}

function applySettings(libc: Libc, fd: number, { noDelay, keepAlive }: TcpSettings): void {
  if (noDelay) setOption(libc, fd, IPPROTO_TCP, TCP_NODELAY, 1);
  if (keepAlive !== undefined) setOption(libc, fd, SOL_SOCKET, SO_KEEPALIVE, Number(keepAlive));
}
