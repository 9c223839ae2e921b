/**
 * The memory that a handle reads into for protocols without `getBuffer`: for example a window for each connection, or one
 * for all connections of a loop.
 */
export interface ReadMemory {
  /**
   * Whether the connections of a loop share memory. Then only a protocol that returns what it receives gets memory to give
   * up: `take(true)`.
   *
   * @default {false}
   */
  readonly shared?: boolean;
  /**
   * Returns memory for the next read. Returns the same memory again until it is given up or filled.
   *
   * @param lends Whether the protocol returns by `writeOwned` what it receives. If the memory is not `shared`, it may ignore
   * this.
   * @returns Memory that spans its whole `ArrayBuffer` if it can be given up. Its contents are arbitrary.
   */
  take(lends: boolean): Uint8Array;
  /** Adapts the size of later memory: `count` bytes were read into memory of `size` bytes. */
  fit(size: number, count: number): void;
  /**
   * Returns the first bytes of memory that `take` has returned in memory that is not read into again: a copy, or the memory
   * itself.
   *
   * @default {undefined} a copy, or memory that is at least half full, which is given up
   */
  keep?(memory: Uint8Array, count: number): Uint8Array;
  /** Gives up the memory that `take` has returned. A protocol or a write buffer owns it from now on. */
  giveAway(): void;
  /** Takes back memory that was given up. A protocol has seen it, but nothing uses it any more. */
  takeBack(memory: Uint8Array): void;
  /** Forgets the sizes of earlier reads, for example after a TLS handshake. */
  reset(): void;
}
