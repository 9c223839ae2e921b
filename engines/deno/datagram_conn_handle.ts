/**
 * A datagram handle over Deno's own sockets.
 *
 * @module
 */
import { setImmediate } from "node:timers";
import { toError } from "../../errors.ts";
import { copyBytes } from "../../memory/buffer_pool.ts";
import { closeQuietly } from "../../promises.ts";
import type { DatagramHandle, DatagramSink } from "../../transports/datagram_handle.ts";

/** The largest payload of a UDP datagram has 65527 bytes (RFC 768), 20 less over IPv4. */
const UDP_BUFFER = 64 * 1024;

/**
 * A Unix datagram is bounded by its sender's SO_SNDBUF alone: 208 KiB unless it asks for more, 416 KiB then unless the
 * system's settings are others. Only as much of this as datagrams have filled takes memory.
 */
const UNIX_BUFFER = 512 * 1024;

/** The part of `Deno.DatagramConn` that is used, which Deno's stable types lack. */
export interface DatagramConnLike {
  /** The local address. */
  readonly addr: Deno.Addr;
  /** Waits for a datagram. */
  receive(buffer: Uint8Array): Promise<[Uint8Array, Deno.Addr]>;
  /** Sends one. */
  send(data: Uint8Array, addr: Deno.Addr): Promise<number>;
  /** Closes the socket. */
  close(): void;
  /** Keeps the process alive. */
  ref(): void;
  /** Lets the process end. */
  unref(): void;
}

/** What a datagram handle is made with. */
export interface DatagramConnOptions {
  /** The only address to talk to; `null` for any. */
  remoteAddr: Deno.Addr | null;
  /**
   * The socket that receives, if it is not the one that sends, as with Unix datagrams: Deno does not send on a socket that
   * waits for one. `null` if nothing can be sent to it.
   *
   * @default {conn}
   */
  receiver?: DatagramConnLike | null;
  /** Removes the socket file. */
  removeFile?: () => void;
  /** How much memory to receive into, to begin with. */
  bufferSize?: number;
}

/** A datagram handle over `Deno.listenDatagram`. */
export class DatagramConnHandle implements DatagramHandle {
  readonly socket: DatagramConnLike;
  readonly remoteAddr: Deno.Addr | null;
  #receiver: DatagramConnLike | null;
  #removeFile: (() => void) | undefined;
  #bufferSize: number;
  #closed = false;

  /**
   * @param conn The socket that sends.
   * @param options Its peer, and the socket that receives.
   */
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
          // The system has dropped what did not fit, and does not report it. The next one shall fit.
          sink.failed(tooLarge(buffer.length));
          buffer = new Uint8Array(2 * buffer.length);
        }
      } catch (error) {
        if (this.#closed) return;
        sink.failed(toError(error));
        if (error instanceof Deno.errors.BadResource || error instanceof Deno.errors.Interrupted) return;
        // A turn of the loop between two errors: one that lasts must not stop everything else.
        await new Promise((resolve) => setImmediate(resolve));
      }
    }
  }
}

function tooLarge(size: number): Error {
  const message = `a datagram of ${size} bytes or more was dropped: there was no room for more than ${size - 1}`;
  return Object.assign(new Error(message), { code: "EMSGSIZE" });
}
