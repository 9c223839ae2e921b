import { AF_UNIX, SOCK_CLOEXEC, SOCK_STREAM } from "./constants.ts";
import { lastError } from "./errors.ts";
import { openLibc } from "./libc.ts";
import { OwnedSocket } from "./socket.ts";

/**
 * Creates a pair of connected Unix stream sockets, by socketpair(2). You own both.
 *
 * @returns The sockets.
 * @throws {Deno.errors.NotSupported} If this is not Linux on x86-64 or arm64, or there is no known C library.
 * @throws {Deno.errors.NotCapable} If the permission to use FFI is missing.
 *
 * @example One end becomes a transport
 * ```ts
 * import { getRunningLoop, Protocol } from "@tandem/io";
 * import { install, socketPair } from "@tandem/io/epoll";
 *
 * install();
 * const [near, far] = socketPair();
 * using _ = far;
 * const [transport] = await getRunningLoop().createConnection(() => new Protocol(), { fd: near });
 * console.log(near.fd);
 * transport.close();
 *
 * // Output:
 * // -1
 * ```
 */
export function socketPair(): [OwnedSocket, OwnedSocket] {
  const libc = openLibc();
  const pair = new Int32Array(2);
  // Blocking, so that a child that inherits an end finds it as usual. The calls of OwnedSocket never wait.
  if (libc.socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) === -1) throw lastError(libc, "socketPair()");
  return [new OwnedSocket(pair[0]!), new OwnedSocket(pair[1]!)];
}
