import { checkBytes, checkInteger } from "../../checks.ts";
import { describe } from "../../errors.ts";
import type { DescriptorOwner } from "../../transports/engine.ts";
import { AF_UNIX, EAGAIN, EBADF, EINTR, MSG_DONTWAIT, MSG_SEND } from "./constants.ts";
import { lastError, systemError } from "./errors.ts";
import { type Libc, openLibc, sizeOf } from "./libc.ts";
import { getOption } from "./socket_calls.ts";
import { IPPROTO_TCP, SO_DOMAIN, SO_PEERCRED, SOL_SOCKET, TCP_INFO } from "./socket_options.ts";
import { decodeTcpInfo, TCP_INFO_LEAST, TCP_INFO_SIZE, type TcpInfo } from "./tcp_info.ts";

/** The process at the other end of a Unix socket, when it connected or created the pair. */
export interface PeerCredentials {
  /** The process id; 0 if the process is outside of this process's namespace. */
  pid: number;
  /** The user id. */
  uid: number;
  /** The group id. */
  gid: number;
}

/** The largest value of an option, in bytes. */
const MAX_OPTION = 64 * 1024;

/**
 * A socket of the engine, as `getExtraInfo("socket")` returns it: its descriptor and its options. The transport owns the
 * descriptor. {@linkcode socketOf} returns the socket of a transport with this type.
 *
 * Once the socket is closed, {@linkcode Socket.fd} is -1 and the methods throw `Deno.errors.BadResource`: they never act on
 * the next owner of the descriptor's number.
 *
 * @example Keep-alive times
 * ```ts
 * import { getRunningLoop, Protocol } from "@tandem/io";
 * import { install, IPPROTO_TCP, socketOf, TCP_KEEPCNT, TCP_KEEPIDLE, TCP_KEEPINTVL } from "@tandem/io/epoll";
 *
 * install();
 * const [transport] = await getRunningLoop().createConnection(() => new Protocol(), { port: 8000, keepAlive: true });
 * const socket = socketOf(transport);
 * socket.setOption(IPPROTO_TCP, TCP_KEEPIDLE, 60);
 * socket.setOption(IPPROTO_TCP, TCP_KEEPINTVL, 10);
 * socket.setOption(IPPROTO_TCP, TCP_KEEPCNT, 3);
 * ```
 */
export class Socket {
  #owner: { readonly fd: number };

  /** Called by the engine. */
  constructor(owner: { readonly fd: number }) {
    this.#owner = owner;
  }

  /** The file descriptor; -1 when it is closed. */
  get fd(): number {
    return this.#owner.fd;
  }

  /**
   * Returns an option of the socket, by getsockopt(2).
   *
   * @param level The level, such as `SOL_SOCKET`.
   * @param name The name, such as `SO_RCVBUF`.
   * @returns The value of an option that is a 32-bit number.
   * @throws {Deno.errors.BadResource} If the socket is closed.
   */
  getOption(level: number, name: number): number;
  /**
   * Returns an option of the socket that is not a number, by getsockopt(2).
   *
   * @param level The level, such as `SOL_SOCKET`.
   * @param name The name, such as `SO_LINGER`.
   * @param length The largest size of the value, in bytes.
   * @returns The value, as many bytes as the kernel has returned.
   * @throws {Deno.errors.BadResource} If the socket is closed.
   */
  getOption(level: number, name: number, length: number): Uint8Array<ArrayBuffer>;
  getOption(level: number, name: number, length?: number): number | Uint8Array<ArrayBuffer> {
    const method = "getOption()";
    checkOption(method, level, name);
    if (length !== undefined) checkInteger(method, "length", length, 1, MAX_OPTION);
    const bytes = this.#read(method, level, name, length ?? 4);
    if (length !== undefined) return bytes;
    // Some options are one byte long.
    return bytes.length < 4 ? bytes[0] ?? 0 : new DataView(bytes.buffer).getInt32(0, true);
  }

  /**
   * Sets an option of the socket, by setsockopt(2).
   *
   * @param level The level, such as `IPPROTO_TCP`.
   * @param name The name, such as `TCP_USER_TIMEOUT`.
   * @param value The value: a 32-bit number, or the bytes of another value.
   * @throws {Deno.errors.BadResource} If the socket is closed.
   */
  setOption(level: number, name: number, value: number | Uint8Array): void {
    const method = "setOption()";
    checkOption(method, level, name);
    const { libc, fd } = openFd(this, method);
    // A copy, because the memory may be shared with another thread.
    const bytes = value instanceof Uint8Array ? new Uint8Array(value) : encodeNumber(method, value);
    if (bytes.length > MAX_OPTION) {
      throw new RangeError(`${method}: value must have at most ${MAX_OPTION} bytes, got ${bytes.length}`);
    }
    if (libc.setsockopt(fd, level, name, bytes, bytes.length) === -1) {
      throw lastError(libc, `${method}: cannot set option ${name} of level ${level}`);
    }
  }

  /**
   * Returns what the kernel knows of a TCP connection, such as its round-trip time and its retransmissions.
   *
   * @returns What it knows now.
   * @throws {Deno.errors.NotSupported} If the socket is not TCP.
   * @throws {Deno.errors.BadResource} If the socket is closed.
   */
  tcpInfo(): TcpInfo {
    const method = "tcpInfo()";
    const { libc, fd } = openFd(this, method);
    if (getOption(libc, fd, SOL_SOCKET, SO_DOMAIN) === AF_UNIX) {
      throw new Deno.errors.NotSupported(`${method}: this is a Unix socket, and not TCP`);
    }
    const bytes = this.#read(method, IPPROTO_TCP, TCP_INFO, TCP_INFO_SIZE);
    if (bytes.length < TCP_INFO_LEAST) throw new Deno.errors.NotSupported(`${method}: the kernel is too old`);
    return decodeTcpInfo(bytes);
  }

  /**
   * Returns the process at the other end of a Unix socket (`SO_PEERCRED`). The kernel has recorded it, so the
   * peer cannot lie.
   *
   * @throws {Deno.errors.NotSupported} If the socket is not a Unix socket.
   * @throws {Deno.errors.BadResource} If the socket is closed.
   */
  peerCredentials(): PeerCredentials {
    const method = "peerCredentials()";
    const { libc, fd } = openFd(this, method);
    if (getOption(libc, fd, SOL_SOCKET, SO_DOMAIN) !== AF_UNIX) {
      throw new Deno.errors.NotSupported(`${method}: this is not a Unix socket`);
    }
    const view = new DataView(this.#read(method, SOL_SOCKET, SO_PEERCRED, 12).buffer);
    return { pid: view.getInt32(0, true), uid: view.getUint32(4, true), gid: view.getUint32(8, true) };
  }

  #read(method: string, level: number, name: number, size: number): Uint8Array<ArrayBuffer> {
    const { libc, fd } = openFd(this, method);
    const bytes = new Uint8Array(size);
    const length = new Int32Array([size]);
    if (libc.getsockopt(fd, level, name, bytes, length) === -1) {
      throw lastError(libc, `${method}: cannot read option ${name} of level ${level}`);
    }
    return bytes.slice(0, length[0]);
  }
}

/**
 * A socket that you own: one of {@linkcode socketPair}, or any descriptor of a socket. It is not a transport, and its calls
 * never wait. `createConnection(factory, { fd: socket })` makes a transport of it.
 *
 * @example Send and receive
 * ```ts
 * import { socketPair } from "@tandem/io/epoll";
 *
 * const [near, far] = socketPair();
 * near.send(new TextEncoder().encode("hello"));
 * const buffer = new Uint8Array(100);
 * console.log(new TextDecoder().decode(buffer.subarray(0, far.recv(buffer)!)));
 * near.close();
 * far.close();
 *
 * // Output:
 * // hello
 * ```
 */
export class OwnedSocket extends Socket implements Disposable, DescriptorOwner {
  #owned: { fd: number };

  /**
   * Takes ownership of the descriptor of a socket.
   *
   * @param fd The descriptor.
   * @throws {TypeError} If `fd` is not a whole number.
   */
  constructor(fd: number) {
    checkInteger("new OwnedSocket()", "fd", fd, 0, 2 ** 31 - 1);
    const owned = { fd };
    super(owned);
    this.#owned = owned;
  }

  /**
   * Reads what has arrived, by recv(2). Never waits.
   *
   * @param buffer The memory to read into.
   * @returns The number of bytes; 0 at the end of the stream; `null` if nothing has arrived.
   * @throws {TypeError} If `buffer` is not a `Uint8Array`.
   * @throws {RangeError} If `buffer` is empty or detached.
   * @throws {Deno.errors.BadResource} If the socket is closed.
   */
  recv(buffer: Uint8Array): number | null {
    checkBytes("recv()", "buffer", buffer);
    if (buffer.length === 0) throw new RangeError("recv(): buffer must have at least 1 byte, got an empty Uint8Array");
    return this.#transfer("recv", buffer, MSG_DONTWAIT);
  }

  /**
   * Writes what the kernel takes at once, by send(2). Never waits.
   *
   * @param data The bytes. They are yours again when this returns.
   * @returns The number of bytes that were taken, which can be fewer; `null` if the kernel's buffer is full.
   * @throws {TypeError} If `data` is not a `Uint8Array`.
   * @throws {Deno.errors.BrokenPipe} If the peer has closed its end.
   * @throws {Deno.errors.BadResource} If the socket is closed.
   */
  send(data: Uint8Array): number | null {
    checkBytes("send()", "data", data);
    return this.#transfer("send", data, MSG_SEND);
  }

  /** Gives the descriptor up without closing it, and returns it; -1 if the socket is closed. */
  detach(): number {
    const { fd } = this.#owned;
    this.#owned.fd = -1;
    return fd;
  }

  /** Closes the socket. Calling `close` again does nothing. */
  close(): void {
    const fd = this.detach();
    if (fd !== -1) openLibc().close(fd);
  }

  /** Does the same as {@linkcode OwnedSocket.close}. */
  [Symbol.dispose](): void {
    this.close();
  }

  /** The kernel has finished with the memory when the call returns, so memory of any kind is safe. */
  #transfer(call: "recv" | "send", memory: Uint8Array, flags: number): number | null {
    const { libc, fd } = openFd(this, `${call}()`);
    for (;;) {
      const count = libc[call](fd, memory, sizeOf(memory), flags);
      if (count >= 0) return count;
      const errno = libc.errno();
      if (errno === EAGAIN) return null;
      if (errno !== EINTR) throw systemError(libc, errno, `${call}()`);
    }
  }
}

/** Returns the library and the descriptor of a socket that is open. */
function openFd({ fd }: Socket, method: string): { libc: Libc; fd: number } {
  const libc = openLibc();
  if (fd === -1) throw systemError(libc, EBADF, `${method}: the socket is closed`);
  return { libc, fd };
}

function checkOption(method: string, level: number, name: number): void {
  for (const [argument, value] of Object.entries({ level, name })) {
    if (typeof value === "string") {
      const accepted = "a number, such as IPPROTO_TCP and TCP_NODELAY of @tandem/io/epoll";
      throw new TypeError(`${method}: ${argument} must be ${accepted}, got ${describe(value)}`);
    }
    checkInteger(method, argument, value, 0, 2 ** 31 - 1);
  }
}

function encodeNumber(method: string, value: unknown): Uint8Array<ArrayBuffer> {
  if (typeof value !== "number") {
    throw new TypeError(`${method}: value must be a whole number or a Uint8Array, got ${describe(value)}`);
  }
  checkInteger(method, "value", value, -(2 ** 31), 2 ** 32 - 1);
  return new Uint8Array(new Int32Array([value]).buffer);
}
