/** Makes streams and listeners of TCP and Unix sockets. */
import type { ListenTarget, TcpSettings, TcpTarget, UnixTarget } from "../../transports/engine.ts";
import type { ListenHandle } from "../../transports/listen_handle.ts";
import type { StreamEnd } from "../../transports/stream_handle.ts";
import { bindUnix } from "./bind_unix.ts";
import { type Accepted, AcceptHandle } from "./accept_handle.ts";
import { connectTo, connectToUnix } from "./connect.ts";
import { AF_INET, AF_INET6, SOCK_STREAM } from "./constants.ts";
import { lastError } from "./errors.ts";
import { type CallLater, connectToOne, interleave } from "./happy_eyeballs.ts";
import { Lane } from "./lane.ts";
import type { Libc } from "./libc.ts";
import { listenOnAll, type TcpListenTarget } from "./listen_on_all.ts";
import { findLocal } from "./local_address.ts";
import { bind, ipNameOf, openSocket, pathOf, setOption } from "./socket_calls.ts";
import { requireNet, requireNotDenied, requirePath } from "./permissions.ts";
import type { Reactor } from "./reactor.ts";
import { resolve, withoutBrackets } from "./resolve.ts";
import { ScratchMemory, ScratchPool } from "./scratch_memory.ts";
import { decodeIp, decodePath, encodeIp, encodePath, ipv4Of, portOf, type SockAddr } from "./sockaddr.ts";
import { SocketEnd } from "./socket_end.ts";
import { SocketHandle } from "./socket_handle.ts";
import { IPPROTO_IPV6, IPPROTO_TCP, IPV6_V6ONLY, SO_KEEPALIVE, SO_REUSEADDR } from "./socket_options.ts";
import { SO_REUSEPORT, SOL_SOCKET, TCP_NODELAY } from "./socket_options.ts";

/** The default backlog of Deno's listeners. */
const BACKLOG = 511;
/** The default time before the next address is tried, in milliseconds: Deno's, and that of RFC 8305. */
const ATTEMPT_DELAY = 250;

/** The stream sockets of one engine. */
export class Streams {
  #reactor: Reactor;
  #callLater: CallLater;
  #memory = new ScratchPool();

  constructor(reactor: Reactor, callLater: CallLater) {
    this.#reactor = reactor;
    this.#callLater = callLater;
  }

  /** Connects to one of the addresses of a host. */
  async connectTcp(target: TcpTarget, signal?: AbortSignal): Promise<StreamEnd> {
    signal?.throwIfAborted();
    const { hostname, port, localAddr, autoSelectFamily: races = true } = target;
    requireNet(hostname, port);
    const { libc } = this.#reactor;
    const bindLocal = localAddr === undefined ? undefined : await findLocal(libc, localAddr, signal);
    const addresses = interleave(await resolve(hostname, signal), target.interleave ?? (races ? 1 : 0));
    signal?.throwIfAborted();
    // Deno checks what it may try, and without a race it tries one address.
    if (races) requireNotDenied(addresses, port);
    const attempt = async (address: string, signal: AbortSignal | undefined) => {
      if (!races) requireNotDenied([address], port);
      const remote = encodeIp(address, port);
      const fd = await connectTo(this.#reactor, remote, signal, (fd) => {
        applySettings(libc, fd, target);
        bindLocal?.(fd, remote.family);
      });
      return { fd, remote };
    };
    const isLiteral = addresses.length === 1 && addresses[0] === withoutBrackets(hostname);
    const { fd, remote } = isLiteral ? await attempt(addresses[0]!, signal) : await connectToOne(addresses, {
      delay: races ? target.autoSelectFamilyAttemptDelay ?? ATTEMPT_DELAY : Infinity,
      callLater: this.#callLater,
      signal,
      attempt,
      discard: ({ fd }) => void libc.close(fd),
    });
    return this.#connected(fd, () => [ipNameOf(libc, fd, "tcp"), peerOf(libc, fd, remote)]);
  }

  async connectUnix({ path }: UnixTarget, signal?: AbortSignal): Promise<StreamEnd> {
    signal?.throwIfAborted();
    const address = encodePath(requirePath(path));
    const { libc } = this.#reactor;
    const fd = await connectToUnix(this.#reactor, address, signal, this.#callLater);
    return this.#connected(fd, () => [{ transport: "unix", path: pathOf(libc, fd) }, { transport: "unix", path }]);
  }

  /** Listens on all addresses of a host, or on every interface. */
  listenTcp(target: TcpListenTarget): Promise<ListenHandle[]> {
    return listenOnAll(
      target,
      (address, port, dualStack) => this.#listenTcp(target, encodeIp(address, port), dualStack),
    );
  }

  async listenUnix(target: Extract<ListenTarget, { transport: "unix" }>): Promise<ListenHandle> {
    const { path, backlog = BACKLOG, cleanupSocket } = target;
    const bound = requirePath(path);
    const reactor = this.#reactor;
    const { libc } = reactor;
    const { fd, removeFile } = await bindUnix(libc, bound, SOCK_STREAM);
    const addr: Deno.UnixAddr = { transport: "unix", path };
    try {
      if (libc.listen(fd, backlog) === -1) throw lastError(libc);
    } catch (error) {
      removeFile();
      libc.close(fd);
      throw error;
    }
    return new AcceptHandle(reactor, fd, addr, this.#unixAccepted(addr), cleanupSocket ? removeFile : undefined);
  }

  /** Makes a stream of a connected socket. */
  adopt(fd: number, lane: Lane, sockname: Deno.Addr, peername: Deno.Addr): StreamEnd {
    return this.#end(fd, lane, sockname, peername);
  }

  /** Makes a listener of a listening socket. */
  adoptListener(fd: number, addr: Deno.NetAddr | Deno.UnixAddr): ListenHandle {
    const accepted = addr.transport === "tcp" ? this.#tcpAccepted(addr) : this.#unixAccepted(addr as Deno.UnixAddr);
    return new AcceptHandle(this.#reactor, fd, addr, accepted);
  }

  #listenTcp(target: TcpListenTarget, local: SockAddr, dualStack: boolean | undefined): ListenHandle {
    const { libc } = this.#reactor;
    return openSocket(libc, local.family, SOCK_STREAM, (fd) => {
      setOption(libc, fd, SOL_SOCKET, SO_REUSEADDR, 1);
      if (target.reusePort) setOption(libc, fd, SOL_SOCKET, SO_REUSEPORT, 1);
      if (local.family === AF_INET6 && dualStack !== undefined) {
        setOption(libc, fd, IPPROTO_IPV6, IPV6_V6ONLY, Number(!dualStack));
      }
      // Accepted sockets inherit these.
      applySettings(libc, fd, target);
      bind(libc, fd, local);
      if (libc.listen(fd, target.backlog ?? BACKLOG) === -1) throw lastError(libc);
      const addr = ipNameOf(libc, fd, "tcp");
      return new AcceptHandle(this.#reactor, fd, addr, this.#tcpAccepted(addr));
    });
  }

  #tcpAccepted(addr: Deno.NetAddr): Accepted {
    const { libc } = this.#reactor;
    // A listener at one address knows the local address of its connections.
    const isWildcard = addr.hostname === "0.0.0.0" || addr.hostname === "::";
    return (fd, lane, address) => {
      const sockname = isWildcard ? ipNameOf(libc, fd, "tcp") : addr;
      if (address[0] !== AF_INET) return this.#end(fd, lane, sockname, decodeIp("tcp", address));
      return this.#end(fd, lane, sockname, ipv4Of(address), portOf(address));
    };
  }

  #unixAccepted(addr: Deno.UnixAddr): Accepted {
    return (fd, lane, address, length) => {
      return this.#end(fd, lane, addr, { transport: "unix", path: decodePath(address, length) });
    };
  }

  /** Makes the stream of a new connection. `namesOf` returns its local and its remote address. */
  #connected(fd: number, namesOf: () => [Deno.Addr, Deno.Addr]): StreamEnd {
    try {
      return this.#end(fd, new Lane(), ...namesOf());
    } catch (error) {
      this.#reactor.libc.close(fd);
      throw error;
    }
  }

  #end(fd: number, lane: Lane, sockname: Deno.Addr, peer: Deno.Addr | number, port?: number): StreamEnd {
    const handle = new SocketHandle(this.#reactor, lane, fd, new ScratchMemory(this.#memory));
    return new SocketEnd(handle, sockname, peer, port);
  }
}

/** Returns the remote address of a connection. A peer that has already reset it has none. */
function peerOf(libc: Libc, fd: number, remote: SockAddr): Deno.NetAddr {
  try {
    return ipNameOf(libc, fd, "tcp", "getpeername");
  } catch {
    return decodeIp("tcp", remote.bytes);
  }
}

function applySettings(libc: Libc, fd: number, { noDelay, keepAlive }: TcpSettings): void {
  if (noDelay) setOption(libc, fd, IPPROTO_TCP, TCP_NODELAY, 1);
  if (keepAlive !== undefined) setOption(libc, fd, SOL_SOCKET, SO_KEEPALIVE, Number(keepAlive));
}
