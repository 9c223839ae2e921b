import type { Socket } from "node:dgram";
import { copyBytes } from "../../memory/buffer_pool.ts";
import type { DatagramHandle, DatagramSink } from "../../transports/datagram_handle.ts";

/** A datagram handle over a bound `node:dgram` socket, for Deno without `--unstable-net`. */
export class NodeDatagramHandle implements DatagramHandle {
  readonly addr: Deno.NetAddr;
  readonly remoteAddr: Deno.Addr | null;
  readonly socket: Socket;
  #sink: DatagramSink | null = null;

  constructor(socket: Socket, remoteAddr: Deno.Addr | null) {
    const { address, port } = socket.address();
    this.addr = { transport: "udp", hostname: address, port };
    this.socket = socket;
    this.remoteAddr = remoteAddr;
    // In the constructor, because an error without a listener ends the process.
    socket.on("error", (error) => this.#sink?.failed(error));
  }

  receiveStart(sink: DatagramSink): void {
    this.#sink = sink;
    this.socket.on("message", (data, { address, port }) => {
      // A copy, because the socket's array keeps 64 KiB alive.
      sink.received(copyBytes(data), { transport: "udp", hostname: address, port });
    });
  }

  send(data: Uint8Array, addr: Deno.Addr): Promise<unknown> {
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    try {
      const { hostname, port } = addr as Deno.NetAddr;
      this.socket.send(data, port, hostname, (error) => error ? reject(error) : resolve());
    } catch (error) {
      reject(error);
    }
    return promise;
  }

  ref(): void {
    this.socket.ref();
  }

  unref(): void {
    this.socket.unref();
  }

  close(): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>();
    try {
      this.socket.close(resolve);
    } catch {
      resolve(); // Already closed.
    }
    return promise;
  }
}
