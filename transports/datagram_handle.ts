/** The seam below the datagram transport. */

/** The receiver of a handle's datagrams. Never throws. */
export interface DatagramSink {
  /** Delivers one datagram. The sink owns the bytes. */
  received(data: Uint8Array, addr: Deno.Addr): void;
  /** Reports that a receive has failed. The handle goes on receiving. */
  failed(error: Error): void;
}

/** A datagram socket. */
export interface DatagramHandle {
  /** The local address. */
  readonly addr: Deno.Addr;
  /** The only peer, resolved; `null` for any. */
  readonly remoteAddr: Deno.Addr | null;
  /** The value of `getExtraInfo("socket")`. */
  readonly socket: object;
  /** Starts receiving. Called once. Delivers nothing before it returns. */
  receiveStart(sink: DatagramSink): void;
  /**
   * Sends one datagram at once, without keeping the payload, which saves a copy. Only called while no `send` is pending.
   * A handle whose sends complete later does not implement it.
   *
   * @returns Whether the datagram was sent; `false` if that would block.
   * @throws If the datagram cannot be sent at all.
   */
  trySend?(data: Uint8Array, addr: Deno.Addr): boolean;
  /**
   * Sends one datagram. Only one send is pending at a time, which keeps the order. The payload does not change meanwhile.
   *
   * @returns A promise if the send completes later. It rejects if the datagram cannot be sent.
   * @throws If the datagram cannot be sent.
   */
  send(data: Uint8Array, addr: Deno.Addr): void | Promise<unknown>;
  /** Keeps the process alive while the socket is open, which is the default. */
  ref?(): void;
  /** Lets the process end while the socket is open. */
  unref?(): void;
  /**
   * Closes the socket and cancels pending operations. Never throws.
   *
   * @returns A promise if the address is not free yet; it resolves when the address is.
   */
  close(): void | Promise<void>;
}
