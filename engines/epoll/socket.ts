/** A socket of the engine, as `getExtraInfo("socket")` returns it. The transport owns the descriptor. */
export class Socket {
  #owner: { readonly fd: number };

  /** Called by the engine. */
  constructor(owner: { readonly fd: number }) {
    this.#owner = owner;
  }

  /** The file descriptor; -1 when it is closed. */
  get fd(): number {
    return this.#owner.fd;
  }
}
