import { clearTimeout, setTimeout } from "node:timers";
import type { Libc } from "./libc.ts";

/** Memory is given back if the number of descriptors has changed by so many, and by a quarter, */
const MIN_CHANGE = 1024;
/** and nothing has happened for so long, in milliseconds. */
const QUIET = 1000;

/** Calls a function when nothing has happened for some time. Returns what cancels that. */
type Later = (callback: () => void) => () => void;

function later(callback: () => void): () => void {
  const timer = setTimeout(callback, QUIET).unref();
  return () => clearTimeout(timer);
}

/**
 * Gives the free memory of the C library back to the system when many connections have come or gone. Without it, a process
 * keeps 5 to 15 MiB of what V8 has compiled with, and what OpenSSL had for connections that have ended. Takes 1 or 2 ms.
 */
export class SpareMemory {
  #libc: Libc;
  #later: Later;
  /** The number of descriptors when memory was given back last. */
  #settled = 0;
  #cancel: (() => void) | null = null;

  constructor(libc: Libc, wait: Later = later) {
    this.#libc = libc;
    this.#later = wait;
  }

  /** The engine begins to wait for events. `count`: the number of descriptors. */
  parked(count: number): void {
    if (Math.abs(count - this.#settled) < Math.max(MIN_CHANGE, this.#settled / 4)) return;
    this.#cancel = this.#later(() => {
      this.#cancel = null;
      this.#settled = count;
      this.#libc.malloc_trim(0n);
    });
  }

  /** The engine waits no more. */
  unparked(): void {
    this.#cancel?.();
    this.#cancel = null;
  }
}
