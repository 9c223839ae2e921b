/** A connection of a server with limits, and what its deadlines remember. */
export class Visitor {
  /** What counts as one peer; `null` if that is not limited. */
  readonly key: string | null;
  readonly peername: Deno.Addr | null;
  /** When `connectionMade` was called. */
  startedAt = 0;
  /** The counts of the last check. */
  received = 0;
  sent = 0;
  progress = 0;
  /** The last check that found the connection active, or the time when reading went on. */
  activeAt = 0;
  /** Bytes waited for the peer at the last check. */
  waited = false;
  /** The last check that found one more byte taken, or the first in a row that found bytes waiting. */
  takenAt = 0;
  /** When the time of `progress` began, and the count then; `null` between two times. */
  windowAt: number | null = 0;
  windowFrom = 0;
  /** When reading was paused; `null` while it is not. */
  pausedAt: number | null = null;

  constructor(key: string | null, peername: Deno.Addr | null) {
    this.key = key;
    this.peername = peername;
  }
}
