/**
 * The seam under the datagram transport.
 *
 * @module
 */

/** Where a handle delivers datagrams. Never throws. */
export interface DatagramSink {
  /** One datagram; the sink owns the bytes. */
  received(data: Uint8Array, addr: Deno.Addr): void;
  /** A receive failed; the handle goes on. */
  failed(error: Error): void;
}

/** Moves datagrams. */
export interface DatagramHandle {
  /** The local address. */
  readonly addr: Deno.Addr;
  /** The only address to talk to, resolved; `null` for any. */
  readonly remoteAddr: Deno.Addr | null;
  /** What `getExtraInfo("socket")` returns. */
  readonly socket: object;
  /** Starts to receive, for good. Delivers nothing before it returns. */
  receiveStart(sink: DatagramSink): void;
  /**
   * Sends now or not at all, and keeps nothing. Handles whose sends end later do not have it. Called when nothing waits,
   * which saves the copy.
   *
   * @param data The payload; the caller's again when this returns.
   * @param addr Where to.
   * @returns Whether it was sent; `false` if that would block.
   * @throws If it cannot be sent at all.
   */
  trySend?(data: Uint8Array, addr: Deno.Addr): boolean;
  /**
   * Sends one datagram. Only one send is under way at a time, so that their order holds.
   *
   * @param data The payload, which does not change meanwhile.
   * @param addr Where to.
   * @returns A promise if the end is not known at once.
   * @throws If it cannot be sent.
   */
  send(data: Uint8Array, addr: Deno.Addr): void | Promise<unknown>;
  /** Keeps the process alive while the socket is open, which is the default. */
  ref?(): void;
  /** Lets the process end while the socket is open. */
  unref?(): void;
  /**
   * Closes the socket and cancels what is in flight. Never throws.
   *
   * @returns A promise if the address is free only later.
   */
  close(): void | Promise<void>;
}
