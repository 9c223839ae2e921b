/**
 * An engine over epoll, by Deno's FFI: faster than Deno's sockets, and with what they do not have.
 *
 * It needs Linux on x86-64 or arm64, and the permission `--allow-ffi`.
 *
 * - {@linkcode install} makes the loop of `getRunningLoop()` use the engine; {@linkcode EpollEngine} is for a loop of your own.
 * - {@linkcode socketOf} returns the socket of a transport or a server: its descriptor, its options, the state of TCP, the
 *   process at the other end, and for datagrams multicast.
 * - {@linkcode socketPair} and {@linkcode listenFds} return sockets that `createConnection`, `createServer` and the others
 *   take as `{ fd }`.
 *
 * ```sh
 * deno add jsr:@tandem/io
 * ```
 *
 * @example Install
 * ```ts
 * import { getRunningLoop, Protocol } from "@tandem/io";
 * import { install } from "@tandem/io/epoll";
 *
 * install();
 * await using server = await getRunningLoop().createServer(() => new Protocol(), { hostname: "127.0.0.1", port: 0 });
 * console.log("serving:", server.isServing());
 *
 * // Output:
 * // serving: true
 * ```
 *
 * @module
 */
export { install } from "../../loop/install_epoll.ts";
export { DatagramSocket, type MulticastOptions } from "./datagram_socket.ts";
export { EpollEngine, type EpollEngineOptions, type Support } from "./epoll_engine.ts";
export { type ChannelBinding, OpensslObject } from "../../tls/openssl/openssl_object.ts";
export { type ListenFd, listenFds } from "./listen_fds.ts";
export { OwnedSocket, type PeerCredentials, Socket } from "./socket.ts";
export { type SocketHolder, socketOf } from "./socket_of.ts";
export * from "./socket_options.ts";
export { socketPair } from "./socket_pair.ts";
export type { TcpInfo, TcpState } from "./tcp_info.ts";
