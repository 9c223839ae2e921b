/**
 * The seam under the datagram transport, and a handle over Deno's own sockets.
 *
 * @module
 */
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
  /** Ends it and cancels what is in flight. Never throws. */
  close(): void;
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
  #closed = false;

  constructor(conn: DatagramConnLike) {
    this.socket = conn;
  }

  get addr(): Deno.Addr {
    return this.socket.addr;
  }

  receiveStart(sink: DatagramSink): void {
    this.#pump(sink);
  }

  send(data: Uint8Array, addr: Deno.Addr): Promise<unknown> {
    return this.socket.send(data, addr);
  }

  close(): void {
    this.#closed = true;
    try {
      this.socket.close();
    } catch {
      // Somebody else has closed it already, which is what was wanted.
    }
  }

  async #pump(sink: DatagramSink): Promise<void> {
    const buffer = new Uint8Array(MAX_DATAGRAM);
    while (!this.#closed) {
      try {
        const [data, addr] = await this.socket.receive(buffer);
        if (this.#closed) return;
        sink.received(new Uint8Array(data), addr);
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
