/** Connects sockets. */
import { EINPROGRESS, EINTR, EPOLLOUT, SOCK_STREAM } from "./constants.ts";
import { lastError, systemError } from "./errors.ts";
import type { CallLater } from "./happy_eyeballs.ts";
import { Lane } from "./lane.ts";
import { getOption, openSocket } from "./socket_calls.ts";
import type { Reactor } from "./reactor.ts";
import type { SockAddr } from "./sockaddr.ts";
import { SO_ERROR, SOL_SOCKET } from "./socket_options.ts";
import { Source } from "./source.ts";
import { untilAborted } from "./until_aborted.ts";

/** The longest pause between attempts at a Unix socket whose backlog is full, in milliseconds. */
const MAX_PAUSE = 64;

/**
 * Opens a stream socket and connects it. If `signal` aborts, rejects with its reason and leaves nothing open.
 *
 * @param prepare Sets options of the socket, or binds it.
 * @returns The descriptor, which the caller owns.
 */
export async function connectTo(
  reactor: Reactor,
  address: SockAddr,
  signal: AbortSignal | undefined,
  prepare: (fd: number) => void = () => {},
): Promise<number> {
  const { libc } = reactor;
  const source = openSocket(libc, address.family, SOCK_STREAM, (fd) => {
    prepare(fd);
    const { bytes } = address;
    if (libc.connect(fd, bytes, bytes.length) === 0) return fd;
    const errno = libc.errno();
    // After a signal, the attempt goes on as well.
    if (errno !== EINPROGRESS && errno !== EINTR) throw systemError(libc, errno);
    return new Connecting(reactor, new Lane(), fd);
  });
  return typeof source === "number" ? source : await source.finish(signal);
}

/**
 * Connects to a Unix socket. While its backlog is full, connect() fails with EAGAIN and no event reports room, so the call is
 * repeated, less and less often.
 */
export async function connectToUnix(
  reactor: Reactor,
  address: SockAddr,
  signal: AbortSignal | undefined,
  callLater: CallLater,
): Promise<number> {
  for (let pause = 1;; pause = Math.min(2 * pause, MAX_PAUSE)) {
    try {
      return await connectTo(reactor, address, signal);
    } catch (error) {
      if (!(error instanceof Deno.errors.WouldBlock)) throw error;
    }
    await sleep(callLater, pause, signal);
  }
}

async function sleep(callLater: CallLater, ms: number, signal: AbortSignal | undefined): Promise<void> {
  const over = Promise.withResolvers<void>();
  const timer = callLater(ms, over.resolve);
  try {
    await untilAborted(over.promise, signal);
  } finally {
    timer.cancel();
  }
}

/** A socket that is being connected. */
class Connecting extends Source {
  #done = Promise.withResolvers<void>();

  ready(): void {
    this.#done.resolve();
  }

  async finish(signal: AbortSignal | undefined): Promise<number> {
    try {
      this.want(EPOLLOUT);
      await untilAborted(this.#done.promise, signal);
      const { libc } = this.reactor;
      const errno = getOption(libc, this.fd, SOL_SOCKET, SO_ERROR);
      if (errno !== 0) throw errno === -1 ? lastError(libc) : systemError(libc, errno);
      return this.releaseFd();
    } catch (error) {
      this.closeFd();
      await new Promise<void>((resolve) => this.reactor.afterClose(resolve));
      throw error;
    }
  }
}
