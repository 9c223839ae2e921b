/**
 * The memory that a handle reads into for protocols without `getBuffer`: for example a window for each connection, or one
 * for all connections of a loop.
 */
export interface ReadMemory {
  /**
   * Whether all connections of a loop share the memory, which is then larger than most messages. It is given up only to a
   * protocol that returns it.
   *
   * @default {false}
   */
  readonly shared?: boolean;
  /**
   * Returns memory for the next read. Returns the same memory again until `giveAway` is called.
   *
   * @returns Memory that spans its whole `ArrayBuffer`. Its contents are arbitrary.
   */
  take(): Uint8Array;
  /** Adapts the size of later memory: `count` bytes were read into memory of `size` bytes. */
  fit(size: number, count: number): void;
  /** Gives up the memory that `take` has returned. A protocol or a write buffer owns it from now on. */
  giveAway(): void;
  /** Takes back memory that was given up. A protocol has seen it, but nothing uses it any more. */
  takeBack(memory: Uint8Array): void;
  /** Forgets the sizes of earlier reads, for example after a TLS handshake. */
  reset(): void;
}
