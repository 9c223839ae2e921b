/**
 * The seam under the datagram transport, and a handle over Deno's own sockets.
 *
 * @module
 */
import { copyBytes } from "../memory/buffer_pool.ts";
import { toError } from "../errors.ts";

/** The largest payload of a UDP datagram has 65527 bytes (RFC 768), 20 less over IPv4. */
const UDP_BUFFER = 64 * 1024;

/**
 * A Unix datagram is bounded by its sender's SO_SNDBUF alone: 208 KiB unless it asks for more, 416 KiB then unless the
 * system's settings are others. Only as much of this as datagrams have filled takes memory.
 */
const UNIX_BUFFER = 512 * 1024;

/** Where a handle delivers datagrams. Never throws. */
export interface DatagramSink {
  /** One datagram; the bytes are the sink's. */
  received(data: Uint8Array, addr: Deno.Addr): void;
  /** A receive failed; the handle goes on. */
  failed(error: Error): void;
}

/** Something that moves datagrams. */
export interface DatagramHandle {
  /** The local address. */
  readonly addr: Deno.Addr;
  /** What carries the datagrams, for `getExtraInfo("socket")`. */
  readonly socket: object;
  /** Starts to receive, for good. */
  receiveStart(sink: DatagramSink): void;
  /** Sends one datagram. There is never more than one send at a time, so that their order holds. */
  send(data: Uint8Array, addr: Deno.Addr): Promise<unknown>;
  /** Ends it and cancels what is in flight. Never throws; resolves when the address is free. */
  close(): Promise<void>;
}

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
}

/** A datagram handle over `Deno.listenDatagram`. */
export class DatagramConnHandle implements DatagramHandle {
  readonly socket: DatagramConnLike;
  #receiver: DatagramConnLike | null;
  #bufferSize: number;
  #closed = false;

  /**
   * @param conn The socket that sends.
   * @param receiver The socket that receives, which is another one for Unix datagrams (Deno does not send on a
   * socket that waits for one), and `null` where nobody can send to it.
   * @param bufferSize How much memory to receive into, to begin with.
   */
  constructor(
    conn: DatagramConnLike,
    receiver: DatagramConnLike | null = conn,
    bufferSize: number = conn.addr.transport === "udp" ? UDP_BUFFER : UNIX_BUFFER,
  ) {
    this.socket = conn;
    this.#receiver = receiver;
    this.#bufferSize = bufferSize;
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

  close(): Promise<void> {
    this.#closed = true;
    for (const socket of new Set([this.socket, this.#receiver])) {
      try {
        socket?.close();
      } catch {
        // Somebody else has closed it already, which is what was wanted.
      }
    }
    return Promise.resolve();
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
          // The system has dropped what did not fit, and does not say so. The next one shall.
          sink.failed(tooLarge(buffer.length));
          buffer = new Uint8Array(2 * buffer.length);
        }
      } catch (error) {
        if (this.#closed) return;
        sink.failed(toError(error));
        if (error instanceof Deno.errors.BadResource || error instanceof Deno.errors.Interrupted) return;
        // A turn of the loop between two errors: one that lasts must not stop everything else.
        await new Promise((resolve) => setTimeout(resolve, 0));
      }
    }
  }
}

function tooLarge(size: number): Error {
  const message = `a datagram of ${size} bytes or more was dropped: there was no room for more than ${size - 1}`;
  return Object.assign(new Error(message), { code: "EMSGSIZE" });
}
