import type { Destination, FaultSet } from "./fault_set.ts";
import type { MemoryDatagramHandle } from "./memory_datagram_handle.ts";
import { around } from "./random.ts";

/** A datagram that is reordered arrives this many milliseconds late if no other one comes. */
const REORDERED = 100;

/** Delivers a datagram now. */
type Delivery = () => void;

/** Carries datagrams to their receivers, with their faults. */
export class DatagramCarrier {
  #faults: FaultSet;
  #random: () => number;
  #callLater: (ms: number, callback: () => void) => void;
  /** The datagrams that wait for the next one to the same receiver. */
  #held = new Map<MemoryDatagramHandle, Delivery>();

  constructor(faults: FaultSet, random: () => number, callLater: (ms: number, callback: () => void) => void) {
    this.#faults = faults;
    this.#random = random;
    this.#callLater = callLater;
  }

  /** Carries a copy of a datagram. */
  carry(receiver: MemoryDatagramHandle, data: Uint8Array, sender: Deno.Addr, destination: Destination): void {
    const { loss = 0, duplication = 0, reordering = 0, latency } = this.#faults.datagrams(destination);
    if (this.#happens(loss)) return;
    for (let copies = this.#happens(duplication) ? 2 : 1; copies > 0; copies--) {
      const copy = new Uint8Array(data);
      const deliver = () => receiver.arrive(copy, sender);
      const ms = latency === undefined ? 0 : around(latency.latency, latency.jitter ?? 0, this.#random);
      const reorders = this.#happens(reordering);
      if (ms > 0) this.#callLater(ms, () => this.#arrive(receiver, deliver, reorders));
      else this.#arrive(receiver, deliver, reorders);
    }
  }

  #happens(probability: number): boolean {
    return probability > 0 && this.#random() < probability;
  }

  #arrive(receiver: MemoryDatagramHandle, deliver: Delivery, reorders: boolean): void {
    const held = this.#held.get(receiver);
    if (reorders && held === undefined) {
      this.#held.set(receiver, deliver);
      this.#callLater(REORDERED, () => {
        if (this.#held.get(receiver) === deliver) this.#release(receiver, deliver);
      });
      return;
    }
    deliver();
    if (held !== undefined) this.#release(receiver, held);
  }

  #release(receiver: MemoryDatagramHandle, deliver: Delivery): void {
    this.#held.delete(receiver);
    deliver();
  }
}
