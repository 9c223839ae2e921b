/**
 * The seam under the datagram transport, and a handle over Deno's own sockets.
 *
 * @module
 */
import { copyBytes } from "./buffer_pool.ts";
import { toError } from "./errors.ts";

/** The largest payload of a UDP datagram is 65507 bytes (RFC 768, less the IPv4 header). */
const MAX_DATAGRAM = 65536;

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
  #closed = false;

  /**
   * @param conn The socket that sends.
   * @param receiver The socket that receives, which is another one for Unix datagrams (Deno does not send on a
   * socket that waits for one), and `null` where nobody can send to it.
   */
  constructor(conn: DatagramConnLike, receiver: DatagramConnLike | null = conn) {
    this.socket = conn;
    this.#receiver = receiver;
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
    const buffer = new Uint8Array(MAX_DATAGRAM);
    while (!this.#closed) {
      try {
        const [data, addr] = await socket.receive(buffer);
        if (this.#closed) return;
        sink.received(copyBytes(data), addr);
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
