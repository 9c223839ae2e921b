import type { ReadMemory } from "../transports/mod.ts";

/** The size of the memory, in bytes. */
const SIZE = 64 * 1024;

/** One piece of memory for all streams of a loop: it is in use only while a callback runs. */
export class Scratch implements ReadMemory {
  #memory: Uint8Array | null = null;

  take(): Uint8Array {
    return this.#memory ??= new Uint8Array(SIZE);
  }

  giveAway(): void {
    this.#memory = null;
  }

  takeBack(memory: Uint8Array): void {
    this.#memory ??= memory;
  }

  fit(): void {}

  reset(): void {}
}
