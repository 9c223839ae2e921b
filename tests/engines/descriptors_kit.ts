/** For the tests of descriptors on the epoll engine: raw sockets and pipes. */
import type { StreamCallbacks } from "../../mod.ts";
import {
  AF_INET,
  AF_UNIX,
  AT_FDCWD,
  F_GETFL,
  F_SETFL,
  FD_CLOEXEC,
  O_NONBLOCK,
  O_RDONLY,
  O_WRONLY,
  SOCK_DGRAM,
  SOCK_STREAM,
} from "../../engines/epoll/constants.ts";
import { type Libc, openLibc } from "../../engines/epoll/libc.ts";
import { bind, ipNameOf } from "../../engines/epoll/socket_calls.ts";
import { encodeIp } from "../../engines/epoll/sockaddr.ts";
import { assert, assertEquals, assertRejects } from "../std.ts";
import { loop as defaultLoop, Recorder } from "../kit.ts";
import { epollLoop, supported } from "./epoll_kit.ts";

/** Reads the flags of a descriptor, of `fcntl`. The engine only sets them. */
const F_GETFD = 1;

/** A loop over epoll, for all tests of a file. */
export const loop = supported ? epollLoop() : defaultLoop;

/** The C library. */
export const libc: Libc = supported ? openLibc() : null as unknown as Libc;

/** Descriptors; leaving the scope closes those that are still open. */
export class Fds implements Disposable {
  #files = new Map<number, string | null>();

  add(fd: number): number {
    if (fd === -1) throw new Error(`errno ${libc.errno()}`);
    this.#files.set(fd, fileOf(fd));
    return fd;
  }

  /** A socket that is neither bound nor connected, and blocks. */
  socket(type = SOCK_STREAM, family = AF_INET): number {
    return this.add(libc.socket(family, type, 0));
  }

  /** A listening socket on loopback, which blocks. */
  listener(): number {
    const fd = this.socket();
    bind(libc, fd, encodeIp("127.0.0.1", 0));
    if (libc.listen(fd, 10) === -1) throw new Error("listen");
    return fd;
  }

  /** A UDP socket on loopback, connected if there is a `peer`. */
  udp(peer?: number): number {
    const fd = this.socket(SOCK_DGRAM);
    bind(libc, fd, encodeIp("127.0.0.1", 0));
    if (peer !== undefined) connectTo(fd, peer);
    return fd;
  }

  /** A pair of connected Unix datagram sockets. */
  datagramPair(): [near: number, far: number] {
    const pair = new Int32Array(2);
    if (libc.socketpair(AF_UNIX, SOCK_DGRAM, 0, pair) === -1) throw new Error("socketpair");
    return [this.add(pair[0]!), this.add(pair[1]!)];
  }

  /** A TCP connection: both ends, which block. */
  tcp(): [client: number, server: number] {
    const listener = this.listener();
    const client = this.socket();
    connectTo(client, listener);
    const server = this.add(libc.accept4(listener, new Uint8Array(128), new Int32Array([128]), 0));
    return [client, server];
  }

  /** The ends of a FIFO. */
  async fifo(): Promise<[reader: number, writer: number]> {
    const directory = Deno.makeTempDirSync({ prefix: "tandem-test-" });
    try {
      const path = `${directory}/fifo`;
      await new Deno.Command("mkfifo", { args: [path] }).output();
      // Nonblocking, so that the first end does not wait for the other.
      const reader = this.open(path, O_RDONLY | O_NONBLOCK);
      const writer = this.open(path, O_WRONLY);
      libc.fcntl(reader, F_SETFL, 0);
      return [reader, writer];
    } finally {
      Deno.removeSync(directory, { recursive: true });
    }
  }

  /** A file or a device, by its path. */
  open(path: string, flags = O_RDONLY): number {
    return this.add(libc.openat(AT_FDCWD, new TextEncoder().encode(`${path}\0`), flags));
  }

  [Symbol.dispose](): void {
    // The engine may have closed a descriptor, and opened another file under its number.
    for (const [fd, file] of this.#files) if (file !== null && fileOf(fd) === file) libc.close(fd);
  }
}

/** Connects a raw socket to another one on loopback. */
function connectTo(fd: number, peer: number): void {
  const { bytes } = encodeIp("127.0.0.1", portOf(peer));
  if (libc.connect(fd, bytes as Uint8Array<ArrayBuffer>, bytes.length) === -1) throw new Error("connect");
}

/** The port of a raw socket. */
export function portOf(fd: number): number {
  return ipNameOf(libc, fd, "tcp").port;
}

/** What a descriptor refers to; `null` if it is closed. */
function fileOf(fd: number): string | null {
  try {
    return Deno.readLinkSync(`/proc/self/fd/${fd}`);
  } catch {
    return null;
  }
}

/** Whether a descriptor is open. */
export function isOpen(fd: number): boolean {
  return libc.fcntl(fd, F_GETFD, 0) !== -1;
}

/** What a descriptor is open as, such as `socket:[1234]`; `null` if it is closed. */
export function openAs(fd: number): string | null {
  try {
    return Deno.readLinkSync(`/proc/self/fd/${fd}`);
  } catch {
    return null;
  }
}

/** Whether a descriptor is nonblocking, and whether children inherit it. */
export function flags(fd: number): { nonblocking: boolean; inherited: boolean } {
  return {
    nonblocking: (libc.fcntl(fd, F_GETFL, 0) & O_NONBLOCK) !== 0,
    inherited: (libc.fcntl(fd, F_GETFD, 0) & FD_CLOEXEC) === 0,
  };
}

/** Sends bytes on a raw socket or pipe, all at once. */
export function put(fd: number, data: Uint8Array<ArrayBuffer>): void {
  const count = libc.write(fd, data, BigInt(data.length));
  if (count !== data.length) throw new Error(`wrote ${count}, errno ${libc.errno()}`);
}

/** What a raw socket or pipe reads next, without waiting: bytes, `"end"` or the name of the error. */
export function take(fd: number): Uint8Array | "end" | number {
  const buffer = new Uint8Array(1024 * 1024);
  const count = libc.read(fd, buffer, BigInt(buffer.length));
  return count === -1 ? libc.errno() : count === 0 ? "end" : buffer.subarray(0, count);
}

type Call = (fd: unknown, options?: Record<string, unknown>, factory?: () => StreamCallbacks) => Promise<unknown>;

/** All calls that take a descriptor. */
export const CALLS: Record<string, Call> = {
  createConnection: (fd, options, factory = () => new Recorder()) =>
    loop.createConnection(factory, { fd: fd as number, ...options }),
  createUnixConnection: (fd, options, factory = () => new Recorder()) =>
    loop.createUnixConnection(factory, { fd: fd as number, ...options }),
  connectAcceptedSocket: (fd, options, factory = () => new Recorder()) =>
    loop.connectAcceptedSocket(factory, { fd: fd as number }, options),
  createServer: (fd, options, factory = () => new Recorder()) =>
    loop.createServer(factory, { fd: fd as number, ...options }),
  createUnixServer: (fd, options, factory = () => new Recorder()) =>
    loop.createUnixServer(factory, { fd: fd as number, ...options }),
  createDatagramEndpoint: (fd, options, factory = () => new Recorder()) =>
    loop.createDatagramEndpoint(factory as () => object, { fd: fd as number, ...options }),
  connectReadPipe: (fd, options, factory = () => new Recorder()) =>
    loop.connectReadPipe(factory, { fd: fd as number }, options),
  connectWritePipe: (fd, options, factory = () => new Recorder()) =>
    loop.connectWritePipe(factory, { fd: fd as number }, options),
};
/** Those that make a stream of a socket. */
export const CONNECTING = ["createConnection", "createUnixConnection", "connectAcceptedSocket"];

/** Insists that a call is refused, with an error of exactly this class, and leaves the descriptor as it was. */
export async function refused(
  name: string,
  fd: number,
  Class: new (message: string) => Error,
  message: string,
  code?: string,
): Promise<void> {
  const before = flags(fd);
  const error = await assertRejects(() => CALLS[name]!(fd), Error);
  assertEquals([error.constructor, error.message.startsWith(`${name}(): ${message}`)], [Class, true], String(error));
  assertEquals((error as { code?: string }).code, code);
  assert(isOpen(fd));
  assertEquals(flags(fd), before);
}
