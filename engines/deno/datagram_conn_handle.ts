import { setImmediate } from "node:timers";
import { toError } from "../../errors.ts";
import { copyBytes } from "../../memory/buffer_pool.ts";
import { closeQuietly } from "../../promises.ts";
import type { DatagramHandle, DatagramSink } from "../../transports/datagram_handle.ts";

/** The largest payload of a UDP datagram is 65527 bytes (RFC 768), 20 less over IPv4. */
const UDP_BUFFER = 64 * 1024;

/**
 * The only limit of a Unix datagram is the sender's SO_SNDBUF: by default 208 KiB, at most 416 KiB unless the system is
 * configured otherwise. The system provides pages of this buffer only as datagrams fill them.
 */
const UNIX_BUFFER = 512 * 1024;

/** The part of `Deno.DatagramConn` that is used. Deno's stable types do not have it. */
export interface DatagramConnLike {
  readonly addr: Deno.Addr;
  receive(buffer: Uint8Array): Promise<[Uint8Array, Deno.Addr]>;
  send(data: Uint8Array, addr: Deno.Addr): Promise<number>;
  close(): void;
  ref(): void;
  unref(): void;
}

/** The options of a datagram handle. */
export interface DatagramConnOptions {
  /** The only peer; `null` for any. */
  remoteAddr: Deno.Addr | null;
  /**
   * The socket to receive from; by default the socket that sends. For Unix datagrams it is another socket, because Deno
   * does not send on a socket with a pending receive. `null` if the handle cannot receive.
   */
  receiver?: DatagramConnLike | null;
  /** Removes the socket file. */
  removeFile?: () => void;
  /** The initial size of the receive buffer, in bytes. */
  bufferSize?: number;
}

/** A datagram handle over Deno's own sockets. */
export class DatagramConnHandle implements DatagramHandle {
  readonly socket: DatagramConnLike;
  readonly remoteAddr: Deno.Addr | null;
  #receiver: DatagramConnLike | null;
  #removeFile: (() => void) | undefined;
  #bufferSize: number;
  #closed = false;

  constructor(conn: DatagramConnLike, options: DatagramConnOptions) {
    const { remoteAddr, receiver = conn, removeFile } = options;
    this.socket = conn;
    this.remoteAddr = remoteAddr;
    this.#receiver = receiver;
    this.#removeFile = removeFile;
    this.#bufferSize = options.bufferSize ?? (conn.addr.transport === "udp" ? UDP_BUFFER : UNIX_BUFFER);
  }

  get addr(): Deno.Addr {
    return this.socket.addr;
  }

  receiveStart(sink: DatagramSink): void {
    if (this.#receiver !== null) this.#pump(sink, this.#receiver);
  }

  send(data: Uint8Array, addr: Deno.Addr): Promise<unknown> {
    return this.socket.send(data, addr);
  }

  ref(): void {
    for (const socket of this.#sockets()) socket.ref();
  }

  unref(): void {
    for (const socket of this.#sockets()) socket.unref();
  }

  close(): void {
    this.#closed = true;
    this.#removeFile?.();
    for (const socket of this.#sockets()) closeQuietly(socket);
  }

  #sockets(): DatagramConnLike[] {
    const { socket } = this;
    return this.#receiver === null || this.#receiver === socket ? [socket] : [socket, this.#receiver];
  }

  async #pump(sink: DatagramSink, socket: DatagramConnLike): Promise<void> {
    let buffer = new Uint8Array(this.#bufferSize);
    while (!this.#closed) {
      try {
        const [data, addr] = await socket.receive(buffer);
        if (this.#closed) return;
        if (data.length < buffer.length) {
          sink.received(copyBytes(data), addr);
        } else {
          // The system has dropped what did not fit, without an error. The next such datagram will fit.
          sink.failed(tooLarge(buffer.length));
          buffer = new Uint8Array(2 * buffer.length);
        }
      } catch (error) {
        if (this.#closed) return;
        sink.failed(toError(error));
        if (error instanceof Deno.errors.BadResource || error instanceof Deno.errors.Interrupted) return;
        // A turn later, so that a permanent error does not block the process.
        await new Promise((resolve) => setImmediate(resolve));
      }
    }
  }
}

function tooLarge(size: number): Error {
  const message = `a datagram of ${size} bytes or more was dropped: the receive buffer holds ${size - 1} bytes`;
  return Object.assign(new Error(message), { code: "EMSGSIZE" });
}
