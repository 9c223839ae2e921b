/** Makes streams, listeners and datagram sockets of descriptors that a program gives. */
import type { Descriptor, Descriptors, DescriptorSettings } from "../../transports/engine.ts";
import type { DatagramHandle } from "../../transports/datagram_handle.ts";
import type { ListenHandle } from "../../transports/listen_handle.ts";
import type { StreamEnd, StreamHandle } from "../../transports/stream_handle.ts";
import { AF_UNIX, ENOTCONN, SOCK_DGRAM, SOCK_STREAM } from "./constants.ts";
import type { Datagrams } from "./datagrams.ts";
import { checkSocket, numberOf, takeOver, wrongKind } from "./descriptor_checks.ts";
import { systemError } from "./errors.ts";
import { Lane } from "./lane.ts";
import type { Libc } from "./libc.ts";
import { getOption, type NameCall, nameOf } from "./socket_calls.ts";
import { requireIpAddr, requirePath } from "./permissions.ts";
import type { StandardStream } from "./open_pipe.ts";
import { openPipe } from "./open_pipe.ts";
import type { Reactor } from "./reactor.ts";
import { decodeIp, decodePath } from "./sockaddr.ts";
import { IPPROTO_TCP, SO_ACCEPTCONN, SO_KEEPALIVE, SOL_SOCKET, TCP_NODELAY } from "./socket_options.ts";
import type { Streams } from "./streams.ts";

/** What the engine does with descriptors. */
export class EpollDescriptors implements Descriptors {
  #reactor: Reactor;
  #streams: Streams;
  #datagrams: Datagrams;
  #standard: StandardStream;

  /** `standard` opens a standard stream that epoll cannot watch, over Deno. */
  constructor(reactor: Reactor, streams: Streams, datagrams: Datagrams, standard: StandardStream) {
    this.#reactor = reactor;
    this.#streams = streams;
    this.#datagrams = datagrams;
    this.#standard = standard;
  }

  connection(given: Descriptor, settings: DescriptorSettings): StreamEnd {
    const { libc } = this.#reactor;
    const fd = numberOf(this.#reactor, given);
    const family = checkSocket(libc, fd, SOCK_STREAM, settings.family);
    if (listens(libc, fd)) throw wrongKind("a connected socket", fd, "is a listening socket");
    const sockname = addressOf(libc, fd, family, "getsockname");
    const peername = peerOf(libc, fd, family);
    requireAddress(settings.accepted ? sockname : peername);
    this.#applySettings(given, fd, family, settings);
    return this.#streams.adopt(fd, new Lane(), sockname, peername);
  }

  listener(given: Descriptor, settings: DescriptorSettings): ListenHandle {
    const { libc } = this.#reactor;
    const fd = numberOf(this.#reactor, given);
    const family = checkSocket(libc, fd, SOCK_STREAM, settings.family);
    if (!listens(libc, fd)) throw wrongKind("a listening socket", fd, "does not listen");
    const addr = addressOf(libc, fd, family, "getsockname");
    requireAddress(addr);
    // Accepted sockets inherit the options.
    this.#applySettings(given, fd, family, settings);
    return this.#streams.adoptListener(fd, addr);
  }

  datagram(given: Descriptor): DatagramHandle {
    const { libc } = this.#reactor;
    const fd = numberOf(this.#reactor, given);
    const make = this.#datagrams.adopt(fd, checkSocket(libc, fd, SOCK_DGRAM, "any"));
    takeOver(libc, given, fd);
    return make();
  }

  pipe(given: Descriptor, direction: "read" | "write"): StreamHandle {
    return openPipe(this.#reactor, given, direction, this.#standard);
  }

  /** Takes the descriptor over, and applies the options. */
  #applySettings(given: Descriptor, fd: number, family: number, { noDelay, keepAlive }: DescriptorSettings): void {
    const { libc } = this.#reactor;
    takeOver(libc, given, fd);
    if (family === AF_UNIX) return;
    // An error would be that the peer has reset the connection, which reading reports.
    libc.setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, new Int32Array([Number(noDelay)]), 4);
    if (keepAlive !== undefined) libc.setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, new Int32Array([Number(keepAlive)]), 4);
  }
}

function listens(libc: Libc, fd: number): boolean {
  return getOption(libc, fd, SOL_SOCKET, SO_ACCEPTCONN) === 1;
}

function addressOf(libc: Libc, fd: number, family: number, which: NameCall): Deno.NetAddr | Deno.UnixAddr {
  const [bytes, length] = nameOf(libc, fd, which);
  return family === AF_UNIX ? { transport: "unix", path: decodePath(bytes, length) } : decodeIp("tcp", bytes);
}

function peerOf(libc: Libc, fd: number, family: number): Deno.NetAddr | Deno.UnixAddr {
  try {
    return addressOf(libc, fd, family, "getpeername");
  } catch (error) {
    if (libc.errno() !== ENOTCONN) throw error;
    throw systemError(libc, ENOTCONN, `fd must be a connected socket, got descriptor ${fd}`);
  }
}

/** Requires the permission that opening the socket by Deno would have needed. An unnamed socket needs none. */
function requireAddress(addr: Deno.NetAddr | Deno.UnixAddr): void {
  if (addr.transport === "tcp") {
    requireIpAddr(addr);
  } else if (addr.transport === "unix" && addr.path !== "") {
    requirePath(addr.path);
  }
}
