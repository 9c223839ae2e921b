import { describe } from "../../errors.ts";
import type { BaseTransport, DatagramTransport } from "../../transports/transport.ts";
import type { DatagramSocket } from "./datagram_socket.ts";
import { Socket } from "./socket.ts";

/** What has a socket: a transport, or a server, whose `sockets` are those of all its listeners. */
export type SocketHolder = Pick<BaseTransport, "getExtraInfo"> | { readonly sockets: readonly object[] };

/**
 * Returns the socket of a datagram endpoint of this engine.
 *
 * @param holder The transport.
 * @returns The socket.
 * @throws {TypeError} If `holder` has no socket of this engine.
 */
export function socketOf(holder: Pick<DatagramTransport, "getExtraInfo" | "sendto">): DatagramSocket;
/**
 * Returns the socket of a transport of this engine: `getExtraInfo("socket")`, with its type. Of a server it returns the first
 * listening socket.
 *
 * @param holder The transport or the server.
 * @returns The socket.
 * @throws {TypeError} If `holder` has no socket of this engine.
 *
 * @example The round-trip time of a connection
 * ```ts
 * import { getRunningLoop, Protocol } from "@tandem/io";
 * import { install, socketOf } from "@tandem/io/epoll";
 *
 * install();
 * const [transport] = await getRunningLoop().createConnection(() => new Protocol(), { port: 8000 });
 * console.log(socketOf(transport).tcpInfo().rtt, "ms");
 * ```
 */
export function socketOf(holder: SocketHolder): Socket;
export function socketOf(holder: SocketHolder): Socket {
  const what = "socketOf(): holder must be a transport or a server over sockets of EpollEngine";
  if (typeof holder !== "object" || holder === null || !("getExtraInfo" in holder || "sockets" in holder)) {
    throw new TypeError(`${what}, got ${describe(holder)}`);
  }
  const socket: unknown = "getExtraInfo" in holder ? holder.getExtraInfo("socket") : holder.sockets[0];
  if (!(socket instanceof Socket)) throw new TypeError(`${what}, got one whose socket is ${describe(socket)}`);
  return socket;
}
