import type {
  DatagramAddr,
  DatagramEndpoint,
  ListenHandle,
  ListenTarget,
  TcpTarget,
  UnixTarget,
} from "../transports/mod.ts";
import type { DatagramCarrier } from "./datagram_carrier.ts";
import type { Wake } from "./event_queue.ts";
import type { Destination } from "./fault_set.ts";
import { asSeenFrom, type Bound, HostNames, Ports, sourceFor } from "./memory_addresses.ts";
import { type DatagramNetwork, MemoryDatagramHandle } from "./memory_datagram_handle.ts";
import { MemoryListener } from "./memory_listener.ts";
import {
  addrInUse,
  broadcastNotAllowed,
  connectionRefused,
  familyNotSupported,
  noSuchSocket,
} from "./system_errors.ts";

/** A listener on a port. */
interface BoundListener extends Bound {
  listener: MemoryListener;
}

/** The addresses of both ends of a connection. */
export interface Route {
  destination: Destination;
  listener: MemoryListener;
  /** The client's `sockname` and `peername`. */
  client: { sockname: Deno.Addr; peername: Deno.Addr };
  /** The server's. */
  server: { sockname: Deno.Addr; peername: Deno.Addr };
}

/** Who listens where. */
export class MemoryNetwork implements DatagramNetwork {
  #names: HostNames;
  #tcp = new Ports<BoundListener>();
  #udp = new Ports<MemoryDatagramHandle>();
  #paths = new Map<string, MemoryListener>();
  #datagramPaths = new Map<string, MemoryDatagramHandle>();
  /** Spreads connections over listeners that share a port. */
  #turn = 0;

  #carrier: DatagramCarrier;

  constructor(hosts: Readonly<Record<string, string>>, carrier: DatagramCarrier) {
    this.#names = new HostNames(hosts);
    this.#carrier = carrier;
  }

  listen(target: ListenTarget, wake: Wake): ListenHandle | ListenHandle[] {
    if (target.transport === "unix") return this.#listenOnPath(target.path, target.backlog, wake);
    const { hostname, dualStack = true, port, reusePort, backlog, bound = [] } = target;
    const bind = (address: string, dualStack: boolean, port: number) => {
      const entry = { address, dualStack, shares: reusePort } as BoundListener;
      const actual = this.#tcp.bind(port, entry);
      const release = () => this.#tcp.release(actual, entry);
      entry.listener = new MemoryListener(net("tcp", address, actual), backlog, wake, release);
      return entry.listener;
    };
    if (hostname === null) {
      if (target.dualStack === true) return bind("::", true, port);
      const ipv4 = bind("0.0.0.0", false, port);
      try {
        return [ipv4, bind("::", false, (ipv4.addr as Deno.NetAddr).port)];
      } catch (error) {
        ipv4.close();
        throw error;
      }
    }
    const address = this.#names.local(hostname);
    return bound.includes(address) ? [] : bind(address, dualStack, port);
  }

  /** Returns what faults are matched with. Throws if the name is unknown. */
  destination(target: TcpTarget | UnixTarget): Destination {
    if (target.transport === "unix") return { hostnames: [], port: undefined, path: target.path };
    const { hostname, port } = target;
    return { hostnames: [hostname.toLowerCase(), this.#names.remote(hostname)], port, path: undefined };
  }

  /** Finds the listener for a target. Throws if there is none. */
  route(target: TcpTarget | UnixTarget): Route {
    if (target.transport === "unix") return this.#routeToPath(target.path);
    const address = this.#names.remote(target.hostname);
    const found = this.#tcp.find(address, target.port);
    const entry = found[this.#turn++ % found.length];
    if (entry === undefined) throw connectionRefused();
    const { hostname, port } = target.localAddr ?? {};
    const local = sourceFor(hostname === undefined ? "0.0.0.0" : this.#names.local(hostname), address);
    const here = hostname === undefined && address.includes(":") ? address : local;
    const localPort = port || this.#tcp.ephemeral();
    return {
      destination: this.destination(target),
      listener: entry.listener,
      client: { sockname: net("tcp", here, localPort), peername: net("tcp", address, target.port) },
      server: {
        sockname: net("tcp", asSeenFrom(entry.address, address), target.port),
        peername: net("tcp", asSeenFrom(entry.address, here), localPort),
      },
    };
  }

  openDatagram(endpoint: DatagramEndpoint, wake: Wake): MemoryDatagramHandle {
    const { localAddr, remoteAddr, reuseAddress, reusePort, allowBroadcast } = endpoint;
    const binding = { address: "", dualStack: true, shares: reuseAddress || reusePort, allowBroadcast };
    if (isPath(localAddr) || isPath(remoteAddr)) {
      return this.#openDatagramPath(new MemoryDatagramHandle(this, binding, wake), localAddr, remoteAddr);
    }
    // First, because a socket may have itself as its peer.
    if (localAddr?.hostname !== undefined) this.#names.local(localAddr.hostname);
    const remote = remoteAddr && this.#names.remote(remoteAddr.hostname ?? "127.0.0.1");
    const { hostname = remote?.includes(":") ? "::" : "0.0.0.0", port } = localAddr ?? { port: 0 };
    const address = this.#names.local(hostname);
    const socket = new MemoryDatagramHandle(this, { ...binding, address }, wake);
    const actual = this.#udp.bind(port, socket);
    socket.addr = net("udp", address, actual);
    if (remoteAddr !== undefined) socket.remoteAddr = net("udp", asSeenFrom(address, remote!), remoteAddr.port);
    return socket;
  }

  deliver(from: MemoryDatagramHandle, data: Uint8Array, addr: Deno.Addr): void {
    if ("path" in addr) return this.#deliverToPath(from, data, addr.path);
    const { hostname, port } = addr as Deno.NetAddr;
    const local = from.addr as Deno.NetAddr;
    const isBroadcast = hostname === "255.255.255.255" || hostname === "127.255.255.255";
    if (isBroadcast && !from.allowBroadcast) throw broadcastNotAllowed();
    const address = this.#names.remote(hostname.replace(/^::ffff:(?=\d+\.)/, ""));
    if (address.includes(":") && !from.address.includes(":")) throw familyNotSupported();
    const source = sourceFor(from.address, address);
    const receivers = isBroadcast ? this.#udp.wildcards(port) : this.#udp.find(address, port).slice(-1);
    if (receivers.length === 0 && from.remoteAddr !== null) from.refuse(connectionRefused());
    for (const receiver of receivers) {
      const sender = net("udp", asSeenFrom(receiver.address, source), local.port);
      const destination = { hostnames: [hostname.toLowerCase(), address], port, path: undefined };
      this.#carrier.carry(receiver, data, sender, destination);
    }
  }

  release(socket: MemoryDatagramHandle): void {
    if ("path" in socket.addr) this.#datagramPaths.delete(socket.addr.path);
    else this.#udp.release((socket.addr as Deno.NetAddr).port, socket);
  }

  #listenOnPath(path: string, backlog: number | undefined, wake: Wake): MemoryListener {
    if (this.#paths.has(path)) throw addrInUse();
    const listener = new MemoryListener({ transport: "unix", path }, backlog, wake, () => this.#paths.delete(path));
    this.#paths.set(path, listener);
    return listener;
  }

  #routeToPath(path: string): Route {
    const listener = this.#paths.get(path);
    if (listener === undefined) throw noSuchSocket();
    const unnamed: Deno.UnixAddr = { transport: "unix", path: "" };
    return {
      destination: { hostnames: [], port: undefined, path },
      listener,
      client: { sockname: unnamed, peername: listener.addr },
      server: { sockname: listener.addr, peername: unnamed },
    };
  }

  #openDatagramPath(
    socket: MemoryDatagramHandle,
    local: DatagramAddr | undefined,
    remote: DatagramAddr | undefined,
  ): MemoryDatagramHandle {
    const path = local !== undefined && "path" in local ? local.path : "";
    if (this.#datagramPaths.has(path)) throw addrInUse();
    socket.addr = { transport: "unixpacket", path };
    if (remote !== undefined && "path" in remote) socket.remoteAddr = { transport: "unixpacket", path: remote.path };
    if (path !== "") this.#datagramPaths.set(path, socket);
    return socket;
  }

  #deliverToPath(from: MemoryDatagramHandle, data: Uint8Array, path: string): void {
    const receiver = this.#datagramPaths.get(path);
    if (receiver === undefined) throw noSuchSocket();
    this.#carrier.carry(receiver, data, from.addr, { hostnames: [], port: undefined, path });
  }
}

function net(transport: "tcp" | "udp", hostname: string, port: number): Deno.NetAddr {
  return { transport, hostname, port };
}

function isPath(addr: DatagramAddr | undefined): addr is { path: string } {
  return addr !== undefined && "path" in addr;
}
