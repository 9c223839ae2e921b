/**
 * Making datagram endpoints.
 *
 * @module
 */
import { checkFactory, checkHostname, checkPath, checkPort } from "../checks.ts";
import { describe } from "../errors.ts";
import { DatagramTransport } from "../transports/datagram_transport.ts";
import type { DatagramAddr } from "../transports/engine.ts";
import type { DatagramCallbacks, DatagramTransport as Interface } from "../transports/transport.ts";
import type { LoopCore } from "./loop_core.ts";
import { makeProtocol, type ProtocolFactory } from "./protocol_factory.ts";

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

/** Does the work of {@linkcode EventLoop.createDatagramEndpoint}. */
export async function createDatagramEndpoint<P extends DatagramCallbacks>(
  loop: LoopCore,
  factory: ProtocolFactory<P>,
  options: DatagramOptions,
): Promise<[Interface, P]> {
  checkFactory(factory);
  const { localAddr, remoteAddr, reuseAddress = false, reusePort = false, allowBroadcast = false } = options;
  checkAddr("localAddr", localAddr, 0);
  checkAddr("remoteAddr", remoteAddr, 1);
  const unix = isPath(localAddr) || isPath(remoteAddr);
  if (unix && (localAddr && !isPath(localAddr) || remoteAddr && !isPath(remoteAddr))) {
    throw new TypeError("localAddr and remoteAddr must be of one kind: both with a path, or both with a port");
  }
  const handle = await loop.engine.datagram({ localAddr, remoteAddr, reuseAddress, reusePort, allowBroadcast });
  const { addr, socket, remoteAddr: remote } = handle;
  try {
    const protocol = makeProtocol(factory);
    const transport = new DatagramTransport(loop, handle, protocol, {
      extra: { sockname: addr, socket, ...(remote && { peername: remote }) },
      remoteAddrAsGiven: remoteAddr === undefined ? null : asDenoAddr(remoteAddr),
    });
    return [transport, protocol];
  } catch (error) {
    await handle.close();
    throw error;
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
    throw new TypeError(`${name} must be { hostname, port } or { path }, got ${describe(addr)}`);
  }
  if (isPath(addr)) return checkPath(addr.path);
  if (addr.hostname !== undefined) checkHostname(addr.hostname);
  checkPort(addr.port, lowestPort);
}
