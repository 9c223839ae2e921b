/** The orderly end of a server. */
import { checkOptions, namesOf } from "../check_options.ts";
import { checkSignal, checkTimeout } from "../checks.ts";
import { toError } from "../errors.ts";
import { isPromise, settle } from "../promises.ts";
import type { LoopContext, TimerHandle } from "../transports/loop_context.ts";
import type { StreamConnection } from "../transports/stream_connection.ts";
import type { ConnectionList } from "./connection_list.ts";

/** The options of {@linkcode Server.drain}. */
export interface DrainOptions {
  /**
   * How long the server still accepts connections, in milliseconds: the time in which a load balancer learns that the server
   * ends.
   *
   * @default {0}
   */
  delay?: number | undefined;
  /**
   * How long connections may take to end after the server has stopped accepting, in milliseconds. Then they are aborted.
   *
   * @default {undefined} no limit
   */
  grace?: number | undefined;
  /**
   * Ends `delay` and `grace`: when it aborts, the server stops accepting, and all connections are aborted. The promise still
   * resolves.
   *
   * @default {undefined}
   */
  signal?: AbortSignal | undefined;
}

/**
 * How the connections of a server have ended, as {@linkcode Server.drain} reports. Each connection that was open when the
 * server stopped accepting counts once.
 */
export interface DrainCounts {
  /**
   * Connections that ended before `drain()` closed or aborted them: by their protocol, by their peer, by `closeClients()` or
   * `abortClients()`, or by an error.
   */
  ended: number;
  /** Connections that the server closed: their protocol has no `drain`, or `drain` threw. Buffered writes were sent. */
  closed: number;
  /** Connections that the server aborted, after `grace` or because of `signal`, those that it had closed before included. */
  aborted: number;
  /** TLS handshakes that the server aborted, after `grace` or because of `signal`. They have no protocol yet. */
  abortedHandshakes: number;
  /** Connections that the server aborted so while it waited for their PROXY header. They have no protocol yet either. */
  abortedProxyHeaders: number;
}

const METHOD = "drain()";
const DRAIN_OPTIONS = namesOf<DrainOptions>({ delay: true, grace: true, signal: true });

/** The server, for its drain. */
export interface DrainHost {
  readonly connections: ConnectionList;
  isClosed(): boolean;
  /** Stops accepting, and calls `stopped()` if that is new. */
  close(): void;
  /** Aborts pending handshakes and PROXY headers, and returns their numbers. */
  abortPending(): { handshakes: number; proxyHeaders: number };
  /** Waits until the last connection is lost. */
  waitClosed(): Promise<void>;
}

/** How a connection ends, as far as is known. */
type Fate = "ended" | "closed" | "aborted";

/** The drain of a server. Several calls of `drain()` share one. */
export class Drain {
  #loop: LoopContext;
  #host: DrainHost;
  /** `"idle"` until a call of `drain()` has right options. */
  #state: "idle" | "serving" | "stopped" | "telling" | "forced" = "idle";
  #fates = new Map<StreamConnection, Fate>();
  #counts: DrainCounts = { ended: 0, closed: 0, aborted: 0, abortedHandshakes: 0, abortedProxyHeaders: 0 };
  #grace = Infinity;
  /** Stops accepting. */
  #stopTimer: TimerHandle | null = null;
  /** Aborts. */
  #graceTimer: TimerHandle | null = null;

  constructor(loop: LoopContext, host: DrainHost) {
    this.#loop = loop;
    this.#host = host;
  }

  /** Whether the server ends. */
  get isRunning(): boolean {
    return this.#state !== "idle";
  }

  /** Does the work of `drain()`. */
  async run(options: DrainOptions): Promise<DrainCounts> {
    checkOptions(METHOD, options, DRAIN_OPTIONS);
    const { delay = 0, grace, signal } = options;
    checkTimeout(METHOD, "delay", delay);
    checkTimeout(METHOD, "grace", grace);
    checkSignal(METHOD, signal);
    const force = () => this.#force();
    try {
      // Before anything changes, because the program may have replaced members of the signal by ones that throw.
      const aborted = signal?.aborted;
      signal?.addEventListener("abort", force, { once: true });
      if (aborted) force();
      else this.#begin(delay, grace ?? Infinity);
      await this.#host.waitClosed();
      this.#graceTimer?.cancel();
    } finally {
      signal?.removeEventListener("abort", force);
    }
    return { ...this.#counts };
  }

  /** The server has stopped accepting. */
  stopped(): void {
    if (this.#state !== "serving") return;
    this.#state = "stopped";
    this.#stopTimer?.cancel();
    this.#limitGrace();
    // In a later turn, so that no callback is called inside drain() or close().
    this.#loop.callSoon(() => {
      if (this.#state !== "stopped") return;
      this.#state = "telling";
      for (const connection of this.#host.connections.all()) this.#tell(connection);
    });
  }

  /** A connection is made: its handshake was pending when the server stopped accepting. */
  made(connection: StreamConnection): void {
    if (this.#state === "telling") this.#tell(connection);
  }

  /** A connection is lost. */
  lost(connection: StreamConnection): void {
    if (this.#state === "idle" || this.#state === "serving") return;
    this.#counts[this.#fates.get(connection) ?? "ended"]++;
    this.#fates.delete(connection);
  }

  /** A later call can make the times shorter, but not longer. */
  #begin(delay: number, grace: number): void {
    this.#grace = Math.min(this.#grace, grace);
    if (this.#state === "idle") this.#state = "serving";
    if (this.#state !== "serving") {
      this.#limitGrace();
    } else if (delay === 0 || this.#host.isClosed()) {
      this.#stop();
    } else if (this.#stopTimer === null || this.#loop.time() + delay < this.#stopTimer.when()) {
      this.#stopTimer?.cancel();
      this.#stopTimer = this.#loop.callLater(delay, () => this.#stop());
    }
  }

  #stop(): void {
    this.#host.close();
    this.stopped(); // If the server was closed before.
  }

  #limitGrace(): void {
    if (this.#grace === Infinity || this.#state === "forced") return;
    if (this.#graceTimer !== null && this.#graceTimer.when() <= this.#loop.time() + this.#grace) return;
    this.#graceTimer?.cancel();
    this.#graceTimer = this.#loop.callLater(this.#grace, () => this.#force());
  }

  /** Calls `drain` of a connection's protocol, or closes the connection. */
  #tell(connection: StreamConnection): void {
    // drain() of another connection may have ended this one.
    if (connection.isClosing) return;
    const { protocol, transport } = connection;
    const failed = (message: string, error: unknown) => {
      this.#loop.report({ message, error: toError(error), transport, protocol });
      this.#close(connection);
    };
    const startedAt = this.#loop.debug ? this.#loop.time() : -1;
    try {
      const callback = protocol.drain as (() => unknown) | undefined;
      if (callback === undefined) {
        this.#close(connection);
        return;
      }
      const result = callback.call(protocol);
      if (isPromise(result)) {
        settle(result, undefined, (error) => failed("protocol.drain() is async and rejected", error));
      }
    } catch (error) {
      failed("Exception in protocol.drain()", error);
    }
    if (startedAt !== -1) this.#loop.reportIfSlow("protocol.drain()", startedAt, { transport, protocol });
  }

  #close(connection: StreamConnection): void {
    if (connection.isClosing) return;
    this.#fates.set(connection, "closed");
    connection.close();
  }

  #abort(connection: StreamConnection): void {
    if (connection.isLost) return;
    this.#fates.set(connection, "aborted");
    connection.abort();
  }

  #force(): void {
    if (this.#state === "forced") return;
    this.#state = "forced";
    this.#stopTimer?.cancel();
    this.#graceTimer?.cancel();
    this.#host.close();
    const { handshakes, proxyHeaders } = this.#host.abortPending();
    this.#counts.abortedHandshakes = handshakes;
    this.#counts.abortedProxyHeaders = proxyHeaders;
    for (const connection of this.#host.connections.all()) this.#abort(connection);
  }
}
