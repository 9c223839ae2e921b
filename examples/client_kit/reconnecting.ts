import { type EventLoop, getRunningLoop, TimeoutError } from "../../mod.ts";
import { abortable, type BackoffOptions, withBackoff } from "./backoff.ts";
import type { Pipeline, RequestOptions } from "./pipeline.ts";

/**
 * A connection that is made anew when it is lost. A request that comes meanwhile waits for the next connection, within its own
 * deadline. A request that was sent is never sent again, because the server may have done what it says: its caller gets the
 * error, and decides.
 */
export class Reconnecting {
  #connect: (signal?: AbortSignal) => Promise<Pipeline>;
  #backoff: BackoffOptions;
  #loop: EventLoop;
  #connection: Promise<Pipeline> | null = null;
  #stop = new AbortController();

  /** `connect` makes one connection. */
  constructor(connect: (signal?: AbortSignal) => Promise<Pipeline>, backoff: BackoffOptions = {}) {
    this.#connect = connect;
    this.#backoff = backoff;
    this.#loop = backoff.loop ?? getRunningLoop();
  }

  /** Sends a request as soon as there is a connection, and resolves to its answer. */
  async request(line: string, { timeout = 5000, signal }: RequestOptions = {}): Promise<string> {
    const end = this.#loop.time() + timeout;
    const client = await this.#within(timeout, signal);
    return await client.request(line, { timeout: Math.max(0, end - this.#loop.time()), signal });
  }

  /** Closes the connection when its requests have their answers, and makes no other. */
  async close(): Promise<void> {
    this.#stop.abort(new Deno.errors.ConnectionReset("the client is closed"));
    const client = await this.#connection?.catch(() => null);
    await client?.close();
  }

  async #within(timeout: number, signal: AbortSignal | undefined): Promise<Pipeline> {
    const late = new AbortController();
    const timer = this.#loop.callLater(
      timeout,
      () => late.abort(new TimeoutError(`no connection within ${timeout} ms`)),
    );
    const signals = [late.signal, this.#stop.signal, ...(signal === undefined ? [] : [signal])];
    try {
      for (;;) {
        const client = await abortable(this.#open(), AbortSignal.any(signals));
        if (client.isOpen) return client;
        // `lost` resolves in the turn in which the connection ends, before another one is made.
        await abortable(client.lost, AbortSignal.any(signals));
      }
    } finally {
      timer.cancel();
    }
  }

  #open(): Promise<Pipeline> {
    if (this.#connection !== null) return this.#connection;
    const forget = () => {
      if (this.#connection === connection) this.#connection = null;
    };
    const connection = withBackoff(this.#connect, { ...this.#backoff, signal: this.#stop.signal });
    this.#connection = connection;
    connection.then((client) => client.lost.then(forget), forget);
    return connection;
  }
}
