/**
 * The strategy of a handle for the memory that is read into: a window for each connection, or one for the whole loop.
 *
 * @module
 */

/** Memory to read into, for protocols that bring none. Its contents are arbitrary. */
export interface ReadMemory {
  /**
   * Returns memory for the next read. It stays the strategy's: called again, this may return the same memory.
   *
   * @returns Memory that spans its whole buffer.
   */
  take(): Uint8Array;
  /**
   * Reports how much of it was used, so that the size can follow what arrives.
   *
   * @param size The size of the memory, in bytes.
   * @param count How many bytes were read into it.
   */
  fit(size: number, count: number): void;
  /** Gives the memory that `take` returned away: to a protocol, or to a queue of bytes to send. */
  giveAway(): void;
  /**
   * Takes memory back that had been given away, and that a protocol has seen.
   *
   * @param memory The memory, which nothing uses any more.
   */
  takeBack(memory: Uint8Array): void;
  /** Forgets the sizes seen so far, for what comes next is of another kind: a TLS handshake is over. */
  reset(): void;
}
