import { InvalidStateError } from "../../mod.ts";
import { abortable } from "./backoff.ts";

/** The options of a {@linkcode Pool}. */
export interface PoolOptions<C> {
  /** Makes a connection. */
  connect(signal?: AbortSignal): Promise<C>;
  /** Reports whether an idle connection can be used again. Called before each use; a rejection means no. */
  check(connection: C): boolean | Promise<boolean>;
  /** Closes a connection in order. */
  close(connection: C): Promise<void>;
  /** The largest number of connections, open or opening. */
  maxSize: number;
}

/** A caller that waits for its turn. */
interface Waiter extends PromiseWithResolvers<void> {
  /** Its turn has come. */
  granted: boolean;
}

/** Connections that are used by one caller at a time, and used again. Callers wait in order if all are in use. */
export class Pool<C> implements AsyncDisposable {
  #options: PoolOptions<C>;
  #idle: C[] = [];
  #used = new Set<C>();
  /** How many more callers can have a connection. */
  #free: number;
  #waiters: Waiter[] = [];
  #closed: Promise<void> | null = null;
  #emptied = Promise.withResolvers<void>();

  /** Creates a pool, without any connection yet. */
  constructor(options: PoolOptions<C>) {
    this.#options = options;
    this.#free = options.maxSize;
  }

  /** Calls `run` with a connection, and takes it back afterwards. `signal` ends the wait for one. */
  async use<T>(run: (connection: C) => T | Promise<T>, options: { signal?: AbortSignal } = {}): Promise<T> {
    const connection = await this.acquire(options);
    try {
      return await run(connection);
    } finally {
      this.release(connection);
    }
  }

  /** Takes a connection out. It must be given back by {@linkcode release}. */
  async acquire({ signal }: { signal?: AbortSignal } = {}): Promise<C> {
    await this.#takeTurn(signal);
    try {
      for (;;) {
        // The one that was used last: the others can grow old, and fail the check.
        const connection = this.#idle.pop() ?? null;
        if (connection === null) break;
        if (await this.#isHealthy(connection)) return this.#lend(connection);
        this.#drop(connection);
      }
      return this.#lend(await this.#options.connect(signal));
    } catch (error) {
      this.#passTurn();
      throw error;
    }
  }

  /** Gives a connection back, whatever has happened to it: the next caller's check finds out. */
  release(connection: C): void {
    if (!this.#used.delete(connection)) throw new InvalidStateError("the connection is not in use");
    if (this.#closed === null) this.#idle.push(connection);
    else this.#drop(connection);
    this.#passTurn();
  }

  /** Closes idle connections, rejects callers that wait, and waits for the connections in use. */
  close(): Promise<void> {
    return this.#closed ??= this.#close();
  }

  /** Does what {@linkcode close} does. */
  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  async #close(): Promise<void> {
    const error = new InvalidStateError("the pool is closed");
    for (const waiter of this.#waiters.splice(0)) waiter.reject(error);
    const closing = this.#idle.splice(0).map((connection) => this.#options.close(connection));
    await Promise.allSettled(closing);
    if (this.#free < this.#options.maxSize) await this.#emptied.promise;
  }

  async #takeTurn(signal: AbortSignal | undefined): Promise<void> {
    signal?.throwIfAborted();
    if (this.#closed !== null) throw new InvalidStateError("the pool is closed");
    if (this.#free > 0) {
      this.#free--;
      return;
    }
    const waiter: Waiter = { ...Promise.withResolvers<void>(), granted: false };
    this.#waiters.push(waiter);
    try {
      await abortable(waiter.promise, signal);
    } catch (error) {
      // The turn can come at the very moment of the abort.
      if (waiter.granted) this.#passTurn();
      this.#waiters = this.#waiters.filter((other) => other !== waiter);
      throw error;
    }
  }

  #passTurn(): void {
    const next = this.#waiters.shift();
    if (next !== undefined) {
      next.granted = true;
      next.resolve();
    } else if (++this.#free === this.#options.maxSize && this.#closed !== null) this.#emptied.resolve();
  }

  async #isHealthy(connection: C): Promise<boolean> {
    try {
      return await this.#options.check(connection);
    } catch {
      return false;
    }
  }

  /** Gives a connection to its caller. Throws if the pool was closed while the connection was checked or made. */
  #lend(connection: C): C {
    if (this.#closed === null) {
      this.#used.add(connection);
      return connection;
    }
    this.#drop(connection);
    throw new InvalidStateError("the pool is closed");
  }

  #drop(connection: C): void {
    this.#options.close(connection).catch(() => {});
  }
}
