import { MAX_PATH } from "../../checks.ts";
import { copyBytes } from "../../memory/buffer_pool.ts";
import type { DatagramSink } from "../../transports/datagram_handle.ts";
import { AF_UNIX, EAGAIN, EINTR, MSG_DONTWAIT, MSG_PEEK, MSG_SEND, MSG_TRUNC } from "./constants.ts";
import { MAX_BATCH } from "./datagram_receivers.ts";
import { DatagramSource, tooLong } from "./datagram_source.ts";
import { lastError } from "./errors.ts";
import { sizeOf } from "./libc.ts";
import { requireUnixTarget } from "./permissions.ts";
import type { Reactor } from "./reactor.ts";
import { decodePath, encodePath, MAX_SOCKADDR } from "./sockaddr.ts";

/** The sender of a datagram from a socket without a path. */
const UNNAMED: Deno.UnixAddr = Object.freeze({ transport: "unixpacket", path: "" });

/** The memory that the Unix datagram sockets of an engine receive into. Longer datagrams get memory of their own at once. */
export class UnixShare {
  readonly memory: Uint8Array = new Uint8Array(16 * 1024);
  readonly name: Uint8Array = new Uint8Array(MAX_SOCKADDR);
  readonly nameLength: Int32Array<ArrayBuffer> = new Int32Array(1);
}

/** A Unix datagram socket. */
export class UnixDatagramHandle extends DatagramSource {
  readonly remoteAddr: Deno.UnixAddr | null;
  #share: UnixShare;
  #removeFile: (() => void) | undefined;
  /** The socket at the remote path is this one's peer. A path can get another socket, so it is connected to again. */
  #connected = false;
  #sender: { bytes: Uint8Array; addr: Deno.UnixAddr } | null = null;
  #target: { path: string; bytes: Uint8Array } | null = null;

  constructor(
    reactor: Reactor,
    fd: number,
    addr: Deno.UnixAddr,
    share: UnixShare,
    remoteAddr: Deno.UnixAddr | null,
    removeFile?: () => void,
  ) {
    super(reactor, fd, AF_UNIX, addr);
    this.#share = share;
    this.remoteAddr = remoteAddr;
    this.#removeFile = removeFile;
  }

  /** Connects to the remote path, if there is a socket, so that the kernel drops datagrams of others from now on. */
  tryConnect(): void {
    try {
      this.#connect();
    } catch {
      // Each send tries again, and reports what fails.
    }
  }

  /** The socket is connected already. */
  setConnected(): void {
    this.#connected = true;
  }

  trySend(data: Uint8Array, addr: Deno.Addr): boolean {
    return this.remoteAddr === null ? this.#sendTo(data, addr as Deno.UnixAddr) : this.#sendToPeer(data);
  }

  override close(): void {
    if (this.fd === -1) return;
    // First: while the socket is open, no other file can have its inode number.
    this.#removeFile?.();
    super.close();
  }

  protected receive(sink: DatagramSink): boolean {
    for (let total = 0; total < MAX_BATCH && this.sink === sink; total++) {
      const result = this.#receiveOne(sink);
      if (result === "none") return total > 0;
      if (result === "failed") return true;
    }
    return true;
  }

  #receiveOne(sink: DatagramSink): "received" | "failed" | "none" {
    const { libc } = this.reactor;
    const { memory, name, nameLength } = this.#share;
    // The length first: there is no largest length, and what does not fit would be lost.
    let length = libc.recv(this.fd, memory, 0n, MSG_PEEK | MSG_TRUNC | MSG_DONTWAIT);
    const target = length > memory.length ? new Uint8Array(length) : memory;
    if (length >= 0) {
      nameLength[0] = MAX_SOCKADDR;
      length = libc.recvfrom(this.fd, target, sizeOf(target), MSG_TRUNC | MSG_DONTWAIT, name, nameLength);
    }
    if (length < 0) {
      const errno = libc.errno();
      if (errno === EINTR) return "received";
      if (errno === EAGAIN) return "none";
      sink.failed(lastError(libc));
      return "failed";
    }
    if (length > target.length) {
      // Another process with the same socket has taken the datagram whose length this was.
      sink.failed(tooLong(length, target.length));
      return "received";
    }
    sink.received(target === memory ? copyBytes(memory.subarray(0, length)) : target, this.#senderAddr());
    return "received";
  }

  #senderAddr(): Deno.UnixAddr {
    const { name, nameLength } = this.#share;
    const length = nameLength[0]!;
    if (length <= 2) return UNNAMED;
    const known = this.#sender;
    if (known !== null && known.bytes.length === length && known.bytes.every((byte, i) => byte === name[i])) {
      return known.addr;
    }
    const addr: Deno.UnixAddr = Object.freeze({ transport: "unixpacket", path: decodePath(name, length) });
    this.#sender = { bytes: name.slice(0, length), addr };
    return addr;
  }

  #sendTo(data: Uint8Array, { path }: Deno.UnixAddr): boolean {
    if (this.#target?.path !== path) this.#target = { path, bytes: encodeTarget(path) };
    else requireUnixTarget(path);
    const { bytes } = this.#target;
    const { libc } = this.reactor;
    return this.transmit(() => libc.sendto(this.fd, data, sizeOf(data), MSG_SEND, bytes, bytes.length));
  }

  #sendToPeer(data: Uint8Array): boolean {
    const { libc } = this.reactor;
    const send = () => libc.send(this.fd, data, sizeOf(data), MSG_SEND);
    if (this.#connected) {
      try {
        return this.transmit(send);
      } catch (error) {
        // The peer has closed. Another socket may be at the path by now.
        const isGone = error instanceof Deno.errors.ConnectionRefused || error instanceof Deno.errors.ConnectionReset;
        // A peer without a path cannot come back.
        if (!isGone || this.remoteAddr!.path === "") throw error;
      }
    }
    this.#connect();
    return this.transmit(send);
  }

  #connect(): void {
    this.#connected = false;
    const bytes = encodeTarget(this.remoteAddr!.path);
    const { libc } = this.reactor;
    this.transmit(() => libc.connect(this.fd, bytes, bytes.length));
    this.#connected = true;
  }
}

function encodeTarget(path: string): Uint8Array {
  if (path === "") {
    throw new TypeError('sendto(): addr.path must be the path of a socket, got "", a sender without a path');
  }
  const { bytes } = encodePath(requireUnixTarget(path));
  if (bytes.length > MAX_SOCKADDR) {
    throw new TypeError(`sendto(): addr.path must have at most ${MAX_PATH} bytes, got ${bytes.length - 3} bytes`);
  }
  return bytes;
}
