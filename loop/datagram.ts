import { checkOptions, namesOf } from "../check_options.ts";
import { checkAlone, checkBoolean, checkFactory, checkHostname, checkPath, checkPort } from "../checks.ts";
import { describe } from "../errors.ts";
import { DatagramTransport } from "../transports/datagram_transport.ts";
import type { DatagramHandle } from "../transports/datagram_handle.ts";
import type { DatagramAddr, DatagramEndpoint, Descriptor } from "../transports/engine.ts";
import type { DatagramCallbacks, DatagramTransport as Interface } from "../transports/transport.ts";
import { checkDescriptor, useDescriptors } from "./descriptor.ts";
import type { LoopCore } from "./loop_core.ts";
import { formatAddress, nameAddress } from "./name_address.ts";
import { makeProtocol, type ProtocolFactory } from "./protocol_factory.ts";

/** The options of {@linkcode EventLoop.createDatagramEndpoint}. */
export interface DatagramOptions {
  /**
   * The address to bind.
   *
   * @default {{ hostname: "0.0.0.0", port: 0 }} or "::" if `remoteAddr` is an IPv6 address
   */
  localAddr?: DatagramAddr | undefined;
  /**
   * The only peer. Datagrams of others are dropped. A host name is resolved once, when the endpoint is created. The epoll
   * engine connects the socket, so `errorReceived` gets a `ConnectionRefused` if nothing listens there.
   */
  remoteAddr?: DatagramAddr | undefined;
  /**
   * Share the port with other sockets (`SO_REUSEPORT`). Supported by the epoll engine only: with Deno's sockets, `true` is a
   * `Deno.errors.NotSupported`.
   *
   * @default {false}
   */
  reusePort?: boolean | undefined;
  /**
   * Bind a port that another socket has bound (`SO_REUSEADDR`).
   *
   * @default {false}
   */
  reuseAddress?: boolean | undefined;
  /**
   * Allow sending to a broadcast address. Deno's sockets always allow this, so `false` has no effect on them.
   *
   * @default {false}
   */
  allowBroadcast?: boolean | undefined;
}

/** A datagram socket, by its file descriptor. Supported by the epoll engine only. */
export interface DatagramFdOptions {
  /**
   * The file descriptor of a UDP or a Unix datagram socket. If the socket is connected, its peer is the remote address. The
   * transport owns the descriptor from now on, and closes it, but does not remove the file of a Unix socket. The socket is
   * made nonblocking.
   *
   * If the call rejects because of an argument, the descriptor is untouched and still yours; a descriptor of the wrong kind
   * is such an argument. If the factory throws, the descriptor is closed.
   */
  fd: Descriptor;
}

const METHOD = "createDatagramEndpoint()";
const DATAGRAM_OPTIONS = namesOf<DatagramOptions>({
  localAddr: true,
  remoteAddr: true,
  reusePort: true,
  reuseAddress: true,
  allowBroadcast: true,
});
const ALL_OPTIONS: ReadonlySet<string> = new Set([...DATAGRAM_OPTIONS, "fd"]);
const HOST_ADDR: ReadonlySet<string> = new Set(["hostname", "port"]);
const PATH_ADDR: ReadonlySet<string> = new Set(["path"]);

/** Does the work of {@linkcode EventLoop.createDatagramEndpoint}. */
export async function createDatagramEndpoint<P extends DatagramCallbacks>(
  loop: LoopCore,
  factory: ProtocolFactory<P>,
  options: DatagramOptions | DatagramFdOptions,
): Promise<[Interface, P]> {
  checkFactory(METHOD, factory);
  checkOptions(METHOD, options, ALL_OPTIONS);
  if ("fd" in options) {
    const handle = adopt(loop, options);
    return await start(loop, factory, handle, handle.remoteAddr);
  }
  const { localAddr, remoteAddr, reuseAddress = false, reusePort = false, allowBroadcast = false } = options;
  checkAddr("localAddr", localAddr, 0);
  checkAddr("remoteAddr", remoteAddr, 1);
  for (const [name, value] of Object.entries({ reuseAddress, reusePort, allowBroadcast })) {
    checkBoolean(METHOD, name, value);
  }
  const unix = isPath(localAddr) || isPath(remoteAddr);
  if (unix && (localAddr && !isPath(localAddr) || remoteAddr && !isPath(remoteAddr))) {
    throw new TypeError(`${METHOD}: localAddr and remoteAddr must both have a path, or both a port`);
  }
  // Before the socket is open, because a getter may throw.
  const remoteAddrAsGiven = remoteAddr === undefined ? null : asDenoAddr(remoteAddr);
  const handle = await open(loop, { localAddr, remoteAddr, reuseAddress, reusePort, allowBroadcast });
  return await start(loop, factory, handle, remoteAddrAsGiven);
}

/** Takes a socket that exists. */
function adopt(loop: LoopCore, options: DatagramFdOptions): DatagramHandle {
  checkAlone(METHOD, "fd", DATAGRAM_OPTIONS, options);
  const { fd } = options;
  checkDescriptor(METHOD, fd);
  return useDescriptors(loop, METHOD, (descriptors) => descriptors.datagram(fd));
}

async function start<P extends DatagramCallbacks>(
  loop: LoopCore,
  factory: ProtocolFactory<P>,
  handle: DatagramHandle,
  remoteAddrAsGiven: Deno.Addr | null,
): Promise<[Interface, P]> {
  const { addr, socket, remoteAddr: remote } = handle;
  try {
    const protocol = makeProtocol(loop, METHOD, factory, "datagram");
    const transport = new DatagramTransport(loop, handle, protocol, {
      extra: { sockname: addr, socket, ...(remote && { peername: remote }) },
      remoteAddrAsGiven,
    });
    return [transport, protocol];
  } catch (error) {
    await handle.close();
    throw error;
  }
}

/** Opens the socket. Errors name the address. */
async function open(loop: LoopCore, endpoint: DatagramEndpoint): Promise<DatagramHandle> {
  try {
    return await loop.engine.datagram(endpoint);
  } catch (error) {
    const { localAddr = { port: 0 }, remoteAddr } = endpoint;
    // Some engines connect the socket.
    if (remoteAddr !== undefined && !isPath(remoteAddr) && (error as { syscall?: unknown }).syscall === "connect") {
      const peer = { hostname: "127.0.0.1", ...remoteAddr };
      throw nameAddress(error, METHOD, "connect to", formatAddress(peer), peer.hostname);
    }
    const unnamed = isPath(remoteAddr) && endpoint.localAddr === undefined;
    const hostname = isPath(localAddr) ? undefined : localAddr.hostname;
    const wildcard = !isPath(remoteAddr) && remoteAddr?.hostname?.includes(":") ? "::" : "0.0.0.0";
    const bound = isPath(localAddr) ? localAddr : { hostname: wildcard, ...localAddr };
    throw nameAddress(error, METHOD, "bind", unnamed ? "a Unix socket" : formatAddress(bound), hostname);
  }
}

function asDenoAddr(addr: DatagramAddr): Deno.Addr {
  return isPath(addr)
    ? { transport: "unixpacket", path: addr.path }
    : { transport: "udp", hostname: addr.hostname ?? "127.0.0.1", port: addr.port };
}

function isPath(addr: DatagramAddr | undefined): addr is { path: string } {
  return addr !== undefined && "path" in addr;
}

function checkAddr(name: string, addr: DatagramAddr | undefined, lowestPort: 0 | 1): void {
  if (addr === undefined) return;
  if (typeof addr !== "object" || addr === null) {
    throw new TypeError(`${METHOD}: ${name} must be { hostname, port } or { path }, got ${describe(addr)}`);
  }
  // `transport` is tolerated, so that a Deno.NetAddr or a Deno.UnixAddr can be given.
  const rules = { prefix: `${name}.`, name, tolerated: ["transport"] };
  checkOptions(METHOD, addr, isPath(addr) ? PATH_ADDR : HOST_ADDR, rules);
  if (isPath(addr)) return checkPath(METHOD, `${name}.path`, addr.path);
  if (addr.hostname !== undefined) checkHostname(METHOD, `${name}.hostname`, addr.hostname);
  checkPort(METHOD, `${name}.port`, addr.port, lowestPort);
}
