/** The limits of a server: the options, and what is checked of them. */
import { checkOptions, namesOf } from "../check_options.ts";
import { checkFunction, checkInteger, checkOneOf, checkTimeout, MAX_TIMEOUT } from "../checks.ts";
import type { LimitError } from "../errors.ts";

/** How many bytes must arrive in which time: the option `progress` of {@linkcode LimitOptions}. */
export interface ProgressOptions {
  /** The number of bytes. Choose at most the size of the smallest message of your protocol. */
  bytes: number;
  /** The time, in milliseconds. */
  within: number;
}

/**
 * Limits of a server: the option `limits` of {@linkcode EventLoop.createServer} and {@linkcode EventLoop.createUnixServer}.
 * Without it, and for each limit that is left out, there is no limit, as in asyncio, except for `maxHandshakes`.
 *
 * A limit that ends a connection aborts it, and `connectionLost` is called with a {@linkcode LimitError}. Times are checked
 * together for all connections of the server, so a connection ends up to an eighth of the shortest time, or 10 ms,
 * after its limit, and never before. Time in which the program blocks the event loop does not count.
 *
 * @example A server that a slow or silent client cannot hold
 * ```ts
 * import { getRunningLoop, type LimitError, Protocol } from "@tandem/io";
 *
 * const server = await getRunningLoop().createServer(() => new Protocol(), {
 *   hostname: "127.0.0.1",
 *   port: 0,
 *   limits: {
 *     maxConnections: 10_000,
 *     maxConnectionsPerPeer: 100,
 *     idleTimeout: 60_000,
 *     writeTimeout: 30_000,
 *     progress: { bytes: 100, within: 10_000 },
 *     onLimit: ({ limit, peername }: LimitError) => console.log(limit, peername),
 *   },
 * });
 * server.close();
 * ```
 */
export interface LimitOptions {
  /**
   * The most connections at once, those whose TLS handshake is pending included. A connection counts once its PROXY header has
   * arrived.
   *
   * @default {undefined} no limit but the system's on file descriptors
   */
  maxConnections?: number | undefined;
  /**
   * What happens to more than `maxConnections`. `"wait"`: the server stops accepting until a connection ends, and clients wait
   * in the queue of the system (`backlog`). `"refuse"`: the server accepts them and closes them at once.
   *
   * @default {"wait"}
   */
  whenFull?: "wait" | "refuse" | undefined;
  /**
   * The most connections at once from one peer, those whose TLS handshake is pending included. More are closed at once. A
   * peer is an IPv4 address or a /64 of IPv6. `::ffff:192.0.2.1` is the same peer as `192.0.2.1`. Clients without an address,
   * as those of a Unix socket, are not counted.
   *
   * @default {undefined} no limit
   */
  maxConnectionsPerPeer?: number | undefined;
  /**
   * The same as `maxHandshakes` of {@linkcode TlsOptions}, and also for a `Deno.TlsListener`: how many TLS handshakes may be
   * pending at once. One more aborts the oldest. Handshakes of `startTls()` are not counted. Cannot be given together with
   * `tls.maxHandshakes`.
   *
   * @default {1000}
   */
  maxHandshakes?: number | undefined;
  /**
   * How long a connection may be idle, in milliseconds: the protocol gets no byte, and the kernel takes none that was written.
   * Part of a TLS record is not a byte. Time in which the program has paused reading does not count, unless bytes wait for
   * the peer to read. A connection that the peer has half closed can be idle, too.
   *
   * @default {undefined} no limit
   */
  idleTimeout?: number | undefined;
  /**
   * Ends a connection whose peer sends, but too slowly: a peer that sends one byte a minute is never idle. From the beginning
   * of the connection, `bytes` must arrive `within` the time; then again from the next byte that arrives, and so on. So
   * silence after that is left to `idleTimeout`. Time in which the program has paused reading does not count.
   *
   * @default {undefined} no limit
   */
  progress?: ProgressOptions | undefined;
  /**
   * How long a connection may last, in milliseconds, after its TLS handshake.
   *
   * @default {undefined} no limit
   */
  lifetime?: number | undefined;
  /**
   * How long the kernel may take no byte, in milliseconds, while bytes that were written wait: the peer does not read. Also
   * limits `close()` and `sendfile()`, for as long as nothing moves. The kernel's own buffer can hold megabytes, and a slow
   * peer empties it in steps, so a short time ends slow peers, too.
   *
   * @default {undefined} no limit
   */
  writeTimeout?: number | undefined;
  /**
   * Called each time a limit is reached, in a turn of the loop of its own: the limit has ended a connection or a handshake, or
   * has refused one. With `whenFull: "wait"` it is called when the server becomes full; `peername` is then the last client that
   * was let in.
   *
   * @default {undefined} The exception handler is called for refused connections and for a full server, at most once a minute
   * for each limit, and for each aborted handshake. `connectionLost` gets the others.
   */
  onLimit?: ((error: LimitError) => void) | undefined;
}

/** Limits that have been checked. */
export interface LimitPlan extends LimitOptions {
  whenFull: "wait" | "refuse";
}

const LIMITS = namesOf<LimitOptions>({
  maxConnections: true,
  whenFull: true,
  maxConnectionsPerPeer: true,
  maxHandshakes: true,
  idleTimeout: true,
  progress: true,
  lifetime: true,
  writeTimeout: true,
  onLimit: true,
});
const PROGRESS = namesOf<ProgressOptions>({ bytes: true, within: true });

/** Checks the option `limits`. Returns `null` if there are none. Each value is read once, because a getter may throw. */
export function planLimits(method: string, limits: LimitOptions | undefined): LimitPlan | null {
  if (limits === undefined) return null;
  checkOptions(method, limits, LIMITS, { prefix: "limits.", name: "limits" });
  const { maxConnections, whenFull = "wait", maxConnectionsPerPeer, maxHandshakes } = limits;
  const { idleTimeout, progress, lifetime, writeTimeout, onLimit } = limits;
  for (const [name, count] of Object.entries({ maxConnections, maxConnectionsPerPeer, maxHandshakes })) {
    if (count !== undefined) checkInteger(method, `limits.${name}`, count, 1);
  }
  checkOneOf(method, "limits.whenFull", whenFull, ["wait", "refuse"]);
  for (const [name, ms] of Object.entries({ idleTimeout, lifetime, writeTimeout })) {
    checkTimeout(method, `limits.${name}`, ms, 1);
  }
  if (onLimit !== undefined) checkFunction(method, "limits.onLimit", onLimit);
  return {
    maxConnections,
    whenFull,
    maxConnectionsPerPeer,
    maxHandshakes,
    idleTimeout,
    progress: planProgress(method, progress),
    lifetime,
    writeTimeout,
    onLimit,
  };
}

function planProgress(method: string, progress: ProgressOptions | undefined): ProgressOptions | undefined {
  if (progress === undefined) return undefined;
  checkOptions(method, progress, PROGRESS, { prefix: "limits.progress.", name: "limits.progress" });
  const { bytes, within } = progress;
  checkInteger(method, "limits.progress.bytes", bytes, 1, undefined, "bytes");
  if (within === undefined) {
    const accepted = `a number of milliseconds from 1 to ${MAX_TIMEOUT}`;
    throw new TypeError(`${method}: limits.progress.within must be ${accepted}, got undefined`);
  }
  checkTimeout(method, "limits.progress.within", within, 1);
  return { bytes, within };
}
