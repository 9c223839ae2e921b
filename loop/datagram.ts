/**
 * Making datagram endpoints, over Deno's own sockets or, where those are missing, `node:dgram`.
 *
 * @module
 */
import { makeProtocol, type ProtocolFactory } from "./protocol_factory.ts";
import type { LoopContext } from "../transports/loop_context.ts";
import { DatagramConnHandle, type DatagramConnLike, type DatagramHandle } from "../transports/datagram_handle.ts";
import { DatagramTransport } from "../transports/datagram_transport.ts";
import { describe } from "../errors.ts";
import { NodeDatagramHandle } from "../engines/deno/node_datagram_handle.ts";
import type { DatagramCallbacks, DatagramTransport as Interface } from "../transports/transport.ts";
import { checkFactory, checkHostname, checkPath, checkPort } from "../checks.ts";
import { addrInUse, passingName, removeIfSame, removeStaleSocket } from "../engines/deno/unix_path.ts";

/** An address of a datagram endpoint: a host and a port, or a path. A `Deno.NetAddr` or `Deno.UnixAddr` will do. */
export type DatagramAddr = { hostname?: string; port: number } | { path: string };

/** What a datagram endpoint is made of. */
export interface DatagramOptions {
  /**
   * Where to receive.
   *
   * @default {{ hostname: "0.0.0.0", port: 0 }} or "::" where `remoteAddr` is an IPv6 address
   */
  localAddr?: DatagramAddr | undefined;
  /** The only address to talk to. A name is resolved once, here. */
  remoteAddr?: DatagramAddr | undefined;
  /** Share the port with other sockets. Deno cannot: `true` is `Deno.errors.NotSupported`. */
  reusePort?: boolean | undefined;
  /**
   * Bind a port that another socket has bound (`SO_REUSEADDR`).
   *
   * @default {false}
   */
  reuseAddress?: boolean | undefined;
  /**
   * Allow sending to a broadcast address. Deno allows it always, so `false` changes nothing.
   *
   * @default {false}
   */
  allowBroadcast?: boolean | undefined;
}

/** The options of `Deno.listenDatagram`, which Deno's stable types lack. */
type ListenDatagram = (
  options:
    | { transport: "udp"; hostname: string; port: number; reuseAddress: boolean }
    | { transport: "unixpacket"; path: string | undefined },
) => DatagramConnLike;

/** {@inheritDoc EventLoop.createDatagramEndpoint} */
export async function createDatagramEndpoint<P extends DatagramCallbacks>(
  loop: LoopContext,
  factory: ProtocolFactory<P>,
  options: DatagramOptions,
): Promise<[Interface, P]> {
  checkFactory(factory);
  const { localAddr, remoteAddr } = options;
  checkAddr("localAddr", localAddr, 0);
  checkAddr("remoteAddr", remoteAddr, 1);
  if (options.reusePort) {
    throw new Deno.errors.NotSupported("reusePort: Deno cannot share a datagram port, see reuseAddress");
  }
  const unix = isPath(localAddr) || isPath(remoteAddr);
  if (unix && (localAddr && !isPath(localAddr) || remoteAddr && !isPath(remoteAddr))) {
    throw new TypeError("localAddr and remoteAddr must be of one kind: both with a path, or both with a port");
  }
  let remote = remoteAddr === undefined ? null : await resolve(remoteAddr);
  const { handle, removeFile } = unix
    ? await openUnix(localAddr as { path: string } | undefined)
    : { handle: await openUdp(localAddr as { hostname?: string; port: number }, remote, options), removeFile: null };
  remote = asSeenFrom(handle.addr, remote);
  let protocol: P, transport: DatagramTransport;
  try {
    protocol = makeProtocol(factory);
    transport = new DatagramTransport(loop, handle, protocol, {
      extra: { sockname: handle.addr, socket: handle.socket, ...(remote && { peername: remote }) },
      remoteAddr: remote,
      remoteAddrAsGiven: remoteAddr === undefined ? null : asDenoAddr(remoteAddr),
      onLost: removeFile ?? undefined,
    });
  } catch (error) {
    removeFile?.();
    await handle.close();
    throw error;
  }
  transport.connected();
  // In the next turn, so that whoever awaits this call is there before the first datagram is.
  loop.callSoon(() => transport.startReceiving());
  return [transport, protocol];
}

async function openUdp(
  { hostname, port } = { port: 0 } as { hostname?: string; port: number },
  remote: Deno.Addr | null,
  options: DatagramOptions,
): Promise<DatagramHandle> {
  const sixRemote = remote !== null && "hostname" in remote && remote.hostname.includes(":");
  hostname ??= sixRemote ? "::" : "0.0.0.0";
  const { reuseAddress = false } = options;
  const listenDatagram = findListenDatagram();
  if (listenDatagram !== undefined) {
    return new DatagramConnHandle(listenDatagram({ transport: "udp", hostname, port, reuseAddress }));
  }
  return await openNode(await resolveHost(hostname), port, reuseAddress);
}

async function openNode(address: string, port: number, reuseAddr: boolean): Promise<NodeDatagramHandle> {
  // Asked here, for node:dgram throws its refusal where nobody can catch it.
  const host = `${address.includes(":") ? `[${address}]` : address}:${port}`;
  if ((await Deno.permissions.request({ name: "net", host })).state !== "granted") {
    throw new Deno.errors.NotCapable(`Requires net access to "${host}", run again with the --allow-net flag`);
  }
  const { createSocket } = await import("node:dgram");
  const socket = createSocket({ type: address.includes(":") ? "udp6" : "udp4", reuseAddr });
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  socket.once("error", reject);
  // exclusive: a cluster's workers must not share it behind our back.
  socket.bind({ address, port, exclusive: true }, resolve);
  try {
    await promise;
  } catch (error) {
    socket.close();
    throw asDenoError(error as Error & { code?: string });
  }
  socket.off("error", reject);
  socket.setBroadcast(true);
  return new NodeDatagramHandle(socket);
}

/**
 * Opens two sockets under one name, for Deno does not send on a Unix socket that waits for a datagram: the one
 * that sends is bound to the path, then the other one's file takes its place there. Who receives from the
 * first sees the path as the sender, and what is sent to the path reaches the second.
 */
async function openUnix(
  localAddr: { path: string } | undefined,
): Promise<{ handle: DatagramHandle; removeFile: (() => void) | null }> {
  const listenDatagram = findListenDatagram();
  if (listenDatagram === undefined) {
    throw new Deno.errors.NotSupported("path: Unix datagrams need Deno's flag --unstable-net");
  }
  const path = localAddr?.path;
  if (path === undefined) {
    const sender = listenDatagram({ transport: "unixpacket", path });
    return { handle: new DatagramConnHandle(sender, null), removeFile: null };
  }
  if (path.startsWith("\0")) throw new Deno.errors.NotSupported("path: Unix datagrams need a path in the file system");
  const passing = passingName(path);
  // First, for it takes all permissions: one that is missing must not cost anybody a file.
  const receiver = listenDatagram({ transport: "unixpacket", path: passing });
  let sender: DatagramConnLike | undefined;
  let own: Deno.FileInfo | undefined;
  let senderFile: Deno.FileInfo | undefined;
  try {
    const ours = own = Deno.lstatSync(passing);
    await removeStaleSocket(path);
    sender = listenDatagram({ transport: "unixpacket", path });
    const bound = Deno.lstatSync(path);
    // Somebody may have removed it in this very moment. What is no socket is certainly not ours.
    if (!bound.isSocket) throw addrInUse(path, "somebody else has put a file there");
    senderFile = bound;
    Deno.renameSync(passing, path);
    return { handle: new DatagramConnHandle(sender, receiver), removeFile: () => removeIfSame(path, ours) };
  } catch (error) {
    // Files first: an open socket's number is no other file's.
    if (senderFile !== undefined) removeIfSame(path, senderFile);
    if (own !== undefined) removeIfSame(passing, own);
    sender?.close();
    receiver.close();
    throw error;
  }
}

function findListenDatagram(): ListenDatagram | undefined {
  return (Deno as unknown as { listenDatagram?: ListenDatagram }).listenDatagram;
}

async function resolve(addr: DatagramAddr): Promise<Deno.Addr> {
  if (isPath(addr)) return asDenoAddr(addr);
  const { hostname = "127.0.0.1", port } = addr;
  return { transport: "udp", hostname: await resolveHost(hostname), port };
}

async function resolveHost(hostname: string): Promise<string> {
  // The bracketed form is how an IPv6 address stands in a URL; Deno takes it too.
  if (hostname.startsWith("[") && hostname.endsWith("]")) hostname = hostname.slice(1, -1);
  const { isIP } = await import("node:net");
  if (isIP(hostname) === 4) return hostname;
  if (isIP(hostname) === 6) return canonicalIpv6(hostname);
  const { lookup } = await import("node:dns/promises");
  try {
    return (await lookup(hostname)).address;
  } catch (error) {
    // What node:dns says of a missing permission.
    if ((error as { code?: string }).code !== "EPERM") throw error;
    throw new Deno.errors.NotCapable(`Requires net access to "${hostname}", run again with the --allow-net flag`);
  }
}

/** The spelling in which the system tells senders, so that they can be compared. */
function canonicalIpv6(address: string): string {
  const [literal, scope] = address.split("%", 2) as [string, string?];
  const canonical = new URL(`http://[${literal}]`).hostname.slice(1, -1);
  // A URL spells an IPv4 address in IPv6 in hexadecimal, Deno with dots.
  const mapped = /^::ffff:([0-9a-f]+):([0-9a-f]+)$/.exec(canonical);
  if (mapped !== null) {
    const [high, low] = [parseInt(mapped[1]!, 16), parseInt(mapped[2]!, 16)];
    return `::ffff:${high >> 8}.${high & 255}.${low >> 8}.${low & 255}`;
  }
  return scope === undefined ? canonical : `${canonical}%${scope}`;
}

function asDenoAddr(addr: DatagramAddr): Deno.Addr {
  return isPath(addr)
    ? { transport: "unixpacket", path: addr.path }
    : { transport: "udp", hostname: addr.hostname ?? "127.0.0.1", port: addr.port };
}

/** Spells an IPv4 address as a socket for IPv6 tells it of a sender. */
function asSeenFrom(local: Deno.Addr, remote: Deno.Addr | null): Deno.Addr | null {
  if (remote === null || !("hostname" in remote) || remote.hostname.includes(":")) return remote;
  return "hostname" in local && local.hostname.includes(":")
    ? { ...remote, hostname: `::ffff:${remote.hostname}` }
    : remote;
}

function isPath(addr: DatagramAddr | undefined): addr is { path: string } {
  return addr !== undefined && "path" in addr;
}

function checkAddr(name: string, addr: DatagramAddr | undefined, lowestPort: 0 | 1): void {
  if (addr === undefined) return;
  if (typeof addr !== "object" || addr === null) {
    throw new TypeError(`${name} must be { hostname, port } or { path }, got ${describe(addr)}`);
  }
  if (isPath(addr)) return checkPath(addr.path);
  if (addr.hostname !== undefined) checkHostname(addr.hostname);
  checkPort(addr.port, lowestPort);
}

/** Gives an error of Node's the class that Deno's own sockets throw. */
function asDenoError(error: Error & { code?: string }): Error {
  const classes: Record<string, new (message: string) => Error> = {
    EADDRINUSE: Deno.errors.AddrInUse,
    EADDRNOTAVAIL: Deno.errors.AddrNotAvailable,
    EACCES: Deno.errors.PermissionDenied,
  };
  const Class = classes[error.code ?? ""];
  return Class === undefined ? error : Object.assign(new Class(error.message), { code: error.code });
}
