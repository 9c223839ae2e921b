import type { DatagramEndpoint } from "../../transports/engine.ts";
import type { DatagramHandle } from "../../transports/datagram_handle.ts";
import { DatagramConnHandle } from "./datagram_conn_handle.ts";
import { findListenDatagram } from "./listen_datagram.ts";
import { NodeDatagramHandle } from "./node_datagram_handle.ts";

type HostAddr = { hostname?: string; port: number };

/** Opens a UDP socket by `Deno.listenDatagram`, or, without `--unstable-net`, by `node:dgram`. */
export async function openUdp(endpoint: DatagramEndpoint): Promise<DatagramHandle> {
  const { localAddr = { port: 0 }, remoteAddr, reuseAddress } = endpoint;
  const remote = remoteAddr === undefined ? null : await resolve(remoteAddr as HostAddr);
  const { hostname = remote?.hostname.includes(":") ? "::" : "0.0.0.0", port } = localAddr as HostAddr;
  const listenDatagram = findListenDatagram();
  if (listenDatagram !== undefined) {
    const conn = listenDatagram({ transport: "udp", hostname, port, reuseAddress });
    return new DatagramConnHandle(conn, { remoteAddr: asSeenFrom(conn.addr, remote) });
  }
  return await openNode(await resolveHost(hostname), port, reuseAddress, remote);
}

async function openNode(
  address: string,
  port: number,
  reuseAddr: boolean,
  remote: Deno.NetAddr | null,
): Promise<NodeDatagramHandle> {
  // Requested here, because node:dgram throws its refusal where nothing can catch it.
  const host = `${address.includes(":") ? `[${address}]` : address}:${port}`;
  if ((await Deno.permissions.request({ name: "net", host })).state !== "granted") {
    throw new Deno.errors.NotCapable(`Requires net access to "${host}", run again with the --allow-net flag`);
  }
  const { createSocket } = await import("node:dgram");
  const socket = createSocket({ type: address.includes(":") ? "udp6" : "udp4", reuseAddr });
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  socket.once("error", reject);
  // exclusive: the workers of a cluster must not share the socket.
  socket.bind({ address, port, exclusive: true }, resolve);
  try {
    await promise;
  } catch (error) {
    socket.close();
    throw asDenoError(error as Error & { code?: string });
  }
  socket.off("error", reject);
  socket.setBroadcast(true);
  const { address: local } = socket.address();
  return new NodeDatagramHandle(socket, asSeenFrom({ transport: "udp", hostname: local, port }, remote));
}

async function resolve({ hostname = "127.0.0.1", port }: HostAddr): Promise<Deno.NetAddr> {
  return { transport: "udp", hostname: await resolveHost(hostname), port };
}

async function resolveHost(hostname: string): Promise<string> {
  // Deno also accepts an IPv6 address in brackets, as in a URL.
  if (hostname.startsWith("[") && hostname.endsWith("]")) hostname = hostname.slice(1, -1);
  const { isIP } = await import("node:net");
  if (isIP(hostname) === 4) return hostname;
  if (isIP(hostname) === 6) return canonicalIpv6(hostname);
  const { lookup } = await import("node:dns/promises");
  try {
    return (await lookup(hostname)).address;
  } catch (error) {
    // A missing permission, reported by node:dns.
    if ((error as { code?: string }).code !== "EPERM") throw error;
    throw new Deno.errors.NotCapable(`Requires net access to "${hostname}", run again with the --allow-net flag`);
  }
}

/** Spells an IPv6 address as the system does, so that it can be compared with a sender's. */
function canonicalIpv6(address: string): string {
  const [literal, scope] = address.split("%", 2) as [string, string?];
  const canonical = new URL(`http://[${literal}]`).hostname.slice(1, -1);
  // A URL has an IPv4-mapped address in hexadecimal, Deno with dots.
  const mapped = /^::ffff:([0-9a-f]+):([0-9a-f]+)$/.exec(canonical);
  if (mapped !== null) {
    const [high, low] = [parseInt(mapped[1]!, 16), parseInt(mapped[2]!, 16)];
    return `::ffff:${high >> 8}.${high & 255}.${low >> 8}.${low & 255}`;
  }
  return scope === undefined ? canonical : `${canonical}%${scope}`;
}

/** Maps an IPv4 address to IPv6 if the local socket is an IPv6 socket, as the system does with senders. */
function asSeenFrom(local: Deno.Addr, remote: Deno.NetAddr | null): Deno.NetAddr | null {
  if (remote === null || remote.hostname.includes(":")) return remote;
  return "hostname" in local && local.hostname.includes(":")
    ? { ...remote, hostname: `::ffff:${remote.hostname}` }
    : remote;
}

/** Converts an error of Node to the class that Deno's own sockets throw. */
function asDenoError(error: Error & { code?: string }): Error {
  const classes: Record<string, new (message: string) => Error> = {
    EADDRINUSE: Deno.errors.AddrInUse,
    EADDRNOTAVAIL: Deno.errors.AddrNotAvailable,
    EACCES: Deno.errors.PermissionDenied,
  };
  const Class = classes[error.code ?? ""];
  return Class === undefined ? error : Object.assign(new Class(error.message), { code: error.code });
}
