import type { DatagramHandle, DatagramSink } from "../transports/mod.ts";
import type { Wake } from "./event_queue.ts";
import type { Bound } from "./memory_addresses.ts";
import { messageTooLong } from "./system_errors.ts";

/** The most bytes that wait to be received, as Linux's `SO_RCVBUF`; later datagrams are dropped. */
const RECEIVE_BUFFER = 212_992;
/** The size of a waiting datagram without its payload, in bytes. */
const OVERHEAD = 256;
const MAX_UDP = 65_507;

/** The network, for its datagram sockets. */
export interface DatagramNetwork {
  /** Sends a copy of a datagram. Throws if it cannot be sent at all. */
  deliver(from: MemoryDatagramHandle, data: Uint8Array, addr: Deno.Addr): void;
  release(socket: MemoryDatagramHandle): void;
}

/** How a datagram socket is bound. */
export interface DatagramBinding extends Bound {
  readonly allowBroadcast: boolean;
}

/** A datagram socket in memory. */
export class MemoryDatagramHandle implements DatagramHandle, DatagramBinding {
  addr!: Deno.Addr;
  remoteAddr: Deno.Addr | null = null;
  readonly socket: object = {};
  readonly address: string;
  readonly dualStack: boolean;
  readonly shares: boolean;
  readonly allowBroadcast: boolean;
  #network: DatagramNetwork;
  #wake: () => void;
  #queue: { data: Uint8Array; addr: Deno.Addr }[] = [];
  #size = 0;
  #error: Error | null = null;
  #sink: DatagramSink | null = null;
  #closed = false;

  constructor(network: DatagramNetwork, binding: DatagramBinding, wake: Wake) {
    this.#network = network;
    this.address = binding.address;
    this.dualStack = binding.dualStack;
    this.shares = binding.shares;
    this.allowBroadcast = binding.allowBroadcast;
    const ready = () => this.#ready();
    this.#wake = () => wake(ready);
  }

  receiveStart(sink: DatagramSink): void {
    this.#sink = sink;
    this.#wake();
  }

  trySend(data: Uint8Array, addr: Deno.Addr): boolean {
    if (data.length > MAX_UDP) throw messageTooLong();
    this.#network.deliver(this, data, addr);
    return true;
  }

  send(data: Uint8Array, addr: Deno.Addr): void {
    this.trySend(data, addr);
  }

  /** Receives a datagram, and owns its bytes. */
  arrive(data: Uint8Array, addr: Deno.Addr): void {
    const size = data.length + OVERHEAD;
    if (this.#closed || this.#size + size > RECEIVE_BUFFER) return;
    this.#size += size;
    this.#queue.push({ data, addr });
    this.#wake();
  }

  /** Reports that no socket is bound to the remote address. */
  refuse(error: Error): void {
    this.#error = error;
    this.#wake();
  }

  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#sink = null;
    this.#queue = [];
    this.#network.release(this);
  }

  #ready(): void {
    const error = this.#error;
    if (this.#sink === null) return;
    this.#error = null;
    if (error !== null) this.#sink.failed(error);
    const queue = this.#queue;
    this.#queue = [];
    this.#size = 0;
    // A callback may close the socket.
    for (const { data, addr } of queue) this.#sink?.received(data, addr);
  }
}
