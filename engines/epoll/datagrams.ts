/** Opens UDP and Unix datagram sockets. */
import { codeOf } from "../../errors.ts";
import type { DatagramHandle } from "../../transports/datagram_handle.ts";
import type { DatagramAddr, DatagramEndpoint } from "../../transports/engine.ts";
import { bindUnix } from "./bind_unix.ts";
import { AF_INET6, AF_UNIX, SOCK_DGRAM } from "./constants.ts";
import { fitFamily, UdpHandle, UdpShare } from "./udp_handle.ts";
import { UnixDatagramHandle, UnixShare } from "./unix_datagram_handle.ts";
import { lastError } from "./errors.ts";
import type { Libc } from "./libc.ts";
import { bind, ipNameOf, type Name, nameOf, openSocket, setOption } from "./socket_calls.ts";
import { requireIpAddr, requireNet, requireNotDenied, requirePath, requireUnixTarget } from "./permissions.ts";
import type { Reactor } from "./reactor.ts";
import { resolve } from "./resolve.ts";
import { decodeIp, decodePath, encodeIp, type SockAddr } from "./sockaddr.ts";
import { IPPROTO_IPV6, IPV6_V6ONLY, SO_BROADCAST, SO_REUSEADDR, SO_REUSEPORT, SOL_SOCKET } from "./socket_options.ts";

/** An endpoint whose addresses are literals of one family. */
interface Addresses {
  /** `null` if the system chooses. */
  local: SockAddr | null;
  remote: SockAddr | null;
}

/** The datagram sockets of one engine. */
export class Datagrams {
  #reactor: Reactor;
  #udp = new UdpShare();
  #unix = new UnixShare();

  constructor(reactor: Reactor) {
    this.#reactor = reactor;
  }

  open(endpoint: DatagramEndpoint): Promise<DatagramHandle> {
    const { localAddr, remoteAddr } = endpoint;
    return isPath(localAddr) || isPath(remoteAddr)
      ? this.#openUnix(localAddr as { path: string }, remoteAddr as { path: string })
      : this.#openUdp(endpoint);
  }

  /** Checks the addresses of a socket that exists, and returns a function that makes an endpoint of it. */
  adopt(fd: number, family: number): () => DatagramHandle {
    const { libc } = this.#reactor;
    const local = nameOf(libc, fd, "getsockname");
    const remote = peerOf(libc, fd);
    if (family === AF_UNIX) return this.#adoptUnix(fd, local, remote);
    const addr = decodeIp("udp", local[0]);
    requireIpAddr(addr);
    const peer = remote && peerFrom(remote);
    if (peer !== null) requireIpAddr(peer.addr);
    return () => new UdpHandle(this.#reactor, fd, family, addr, this.#udp, peer);
  }

  #adoptUnix(fd: number, local: Name, remote: Name | null): () => DatagramHandle {
    const addrOf = (name: Name): Deno.UnixAddr => ({ transport: "unixpacket", path: decodePath(...name) });
    const [addr, remoteAddr] = [addrOf(local), remote && addrOf(remote)];
    if (addr.path !== "") requirePath(addr.path);
    if (remoteAddr !== null && remoteAddr.path !== "") requireUnixTarget(remoteAddr.path);
    return () => {
      const handle = new UnixDatagramHandle(this.#reactor, fd, addr, this.#unix, remoteAddr);
      if (remoteAddr !== null) handle.setConnected();
      return handle;
    };
  }

  async #openUdp(endpoint: DatagramEndpoint): Promise<DatagramHandle> {
    const failures: unknown[] = [];
    for (const addresses of await addressesOf(endpoint)) {
      try {
        return this.#openAt(addresses, endpoint);
      } catch (error) {
        failures.push(error);
      }
    }
    throw failures[0];
  }

  #openAt({ local, remote }: Addresses, endpoint: DatagramEndpoint): DatagramHandle {
    const { libc } = this.#reactor;
    const { family } = local ?? remote!;
    return openSocket(libc, family, SOCK_DGRAM, (fd) => {
      if (endpoint.reuseAddress) setOption(libc, fd, SOL_SOCKET, SO_REUSEADDR, 1);
      if (endpoint.reusePort) setOption(libc, fd, SOL_SOCKET, SO_REUSEPORT, 1);
      if (endpoint.allowBroadcast) setOption(libc, fd, SOL_SOCKET, SO_BROADCAST, 1);
      if (family === AF_INET6) setOption(libc, fd, IPPROTO_IPV6, IPV6_V6ONLY, 0);
      if (local !== null) bind(libc, fd, local);
      if (remote !== null && libc.connect(fd, remote.bytes, remote.bytes.length) === -1) {
        throw Object.assign(lastError(libc), { syscall: "connect" });
      }
      // The system's spelling: a connection to 0.0.0.0 is one to 127.0.0.1.
      const peer = remote && peerFrom(nameOf(libc, fd, "getpeername"));
      return new UdpHandle(this.#reactor, fd, family, ipNameOf(libc, fd, "udp"), this.#udp, peer);
    });
  }

  async #openUnix(local: { path: string } | undefined, remote: { path: string } | undefined): Promise<DatagramHandle> {
    const boundPath = local === undefined ? undefined : requirePath(local.path);
    if (remote !== undefined) requireUnixTarget(remote.path);
    const { libc } = this.#reactor;
    const { fd, removeFile } = boundPath === undefined
      ? { fd: openSocket(libc, AF_UNIX, SOCK_DGRAM, (fd) => fd), removeFile: undefined }
      : await bindUnix(libc, boundPath, SOCK_DGRAM);
    const addrOf = (path: string): Deno.UnixAddr => ({ transport: "unixpacket", path });
    const remoteAddr = remote === undefined ? null : addrOf(remote.path);
    const handle = new UnixDatagramHandle(
      this.#reactor,
      fd,
      addrOf(local?.path ?? ""),
      this.#unix,
      remoteAddr,
      removeFile,
    );
    if (remote !== undefined) handle.tryConnect();
    return handle;
  }
}

/** Returns the only peer of a UDP socket. */
function peerFrom([bytes, length]: Name): { addr: Deno.NetAddr; bytes: Uint8Array } {
  return { addr: decodeIp("udp", bytes), bytes: bytes.slice(0, length) };
}

function peerOf(libc: Libc, fd: number): Name | null {
  try {
    return nameOf(libc, fd, "getpeername");
  } catch (error) {
    if (codeOf(error) === "ENOTCONN") return null;
    throw error;
  }
}

function isPath(addr: DatagramAddr | undefined): boolean {
  return addr !== undefined && "path" in addr;
}

/** Resolves the addresses of an endpoint, and returns those that fit together, the best first. */
async function addressesOf(endpoint: DatagramEndpoint): Promise<Addresses[]> {
  const remote = endpoint.remoteAddr as { hostname?: string; port: number } | undefined;
  const { hostname = "127.0.0.1", port = 0 } = remote ?? {};
  const remotes = remote === undefined ? [] : await resolveAllowed(hostname, port);
  const local = endpoint.localAddr as { hostname?: string; port: number } | undefined;
  const wildcard = remotes[0]?.includes(":") ? "::" : "0.0.0.0";
  const localHostname = local?.hostname ?? wildcard;
  // Deno binds also if no address is given.
  const locals = await resolveAllowed(localHostname, local?.port ?? 0);
  if (remote === undefined) {
    return locals.map((address) => ({ local: encodeIp(address, local?.port ?? 0), remote: null }));
  }
  // Without a local address, the system chooses the one that leads to the peer.
  if (local === undefined) return remotes.map((address) => ({ local: null, remote: encodeIp(address, port) }));
  const pairs = locals.flatMap((address) => {
    const bound = encodeIp(address, local.port);
    const fitting = remotes.map((remote) => fitFamily(remote, bound.family)).filter((remote) => remote !== null);
    return fitting.map((remote) => ({ local: bound, remote: encodeIp(remote, port) }));
  });
  if (pairs.length > 0) return pairs;
  const message = `localAddr ${localHostname} and remoteAddr ${hostname} must have addresses of the same family, got ` +
    `${locals.join(", ")} and ${remotes.join(", ")}`;
  throw Object.assign(new Error(message), { code: "EAFNOSUPPORT" });
}

async function resolveAllowed(hostname: string, port: number): Promise<string[]> {
  requireNet(hostname, port);
  const addresses = await resolve(hostname);
  requireNotDenied(addresses, port);
  return addresses;
}
