/** The server of a connection. `C`: the connection. */
export interface ConnectionOwner<C> {
  /** `connectionLost` was called, and the handle is closed. */
  lost(connection: C): void;
  /** Reading is paused: by the program, or for the handshake of `startTls()`. May be called again. */
  paused?(connection: C): void;
  /** Reading goes on. May be called without `paused`. */
  resumed?(connection: C): void;
}

/** The options of a connection. */
export interface StreamConnectionOptions<C> {
  /** The time limit of `close()`, in milliseconds; none by default. */
  closeTimeout?: number | undefined;
  owner?: ConnectionOwner<C> | undefined;
}
