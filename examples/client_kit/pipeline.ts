import { type EventLoop, TimeoutError } from "../../mod.ts";
import { LineProtocol } from "../../framing/mod.ts";

/** The options of a request. */
export interface RequestOptions {
  /** The time until the answer, in milliseconds. By default 5000. */
  timeout?: number;
  /** Gives the request up. */
  signal?: AbortSignal | undefined;
}

/** A request that was sent. */
interface Sent {
  /** Takes the answer. */
  answer(line: string): void;
  /** Gives the request up. The entry stays in the queue, and takes its answer if that comes late. */
  fail(error: unknown): void;
  /** The caller has got an answer or an error. */
  settled: boolean;
}

/** More requests than this wait for answers only if the server is stuck. */
const MAX_SENT = 1000;

/**
 * A client of any protocol with a line for each request, and a line for each answer, in the same order, as Redis has it.
 * Requests are sent at once, without waiting for the answers of earlier ones.
 *
 * Answers have no number, so their order alone tells to which request they belong. A request that is given up therefore
 * stays in the queue until its answer comes, which is then dropped: otherwise the next request would get it.
 */
export class Pipeline extends LineProtocol {
  /** Resolves when the connection has ended. */
  readonly lost: Promise<void>;
  #lost = Promise.withResolvers<void>();
  #sent: Sent[] = [];
  /** How many of them have callers that wait. */
  #waiting = 0;
  #ending = false;

  /** Creates the protocol of a connection of `loop`. */
  constructor(loop?: EventLoop) {
    super({ limit: 1024 * 1024, loop });
    this.lost = this.#lost.promise;
  }

  /** Whether requests can be sent. */
  get isOpen(): boolean {
    return !this.#ending && !this.transport.isClosing();
  }

  /** Whether no answers are on the way, so that somebody else can use the connection. */
  get isIdle(): boolean {
    return this.isOpen && this.#sent.length === 0;
  }

  /** Sends a request, and resolves to its answer. */
  request(line: string, { timeout = 5000, signal }: RequestOptions = {}): Promise<string> {
    const { promise, resolve, reject } = Promise.withResolvers<string>();
    try {
      signal?.throwIfAborted();
      if (!this.isOpen) throw new Deno.errors.ConnectionReset(`cannot send ${line}: the connection is closed`);
      if (this.#sent.length === MAX_SENT) throw new Deno.errors.Busy(`${MAX_SENT} requests wait for their answers`);
      this.sendFrame(line);
    } catch (error) {
      return Promise.reject(error);
    }
    const onAbort = () => sent.fail(signal!.reason);
    const timer = this.loop.callLater(timeout, () => {
      sent.fail(new TimeoutError(`no answer to ${line} within ${timeout} ms`));
    });
    const settle = (): boolean => {
      if (sent.settled) return false;
      sent.settled = true;
      this.#waiting--;
      timer.cancel();
      signal?.removeEventListener("abort", onAbort);
      return true;
    };
    const sent: Sent = {
      settled: false,
      answer: (line) => settle() && resolve(line),
      fail: (error) => {
        if (!settle()) return;
        reject(error);
        this.#endIfDone();
      },
    };
    signal?.addEventListener("abort", onAbort, { once: true });
    this.#sent.push(sent);
    this.#waiting++;
    return promise;
  }

  /** Closes the connection when the requests that were sent have their answers. */
  close(): Promise<void> {
    this.#ending = true;
    this.#endIfDone();
    return this.lost;
  }

  override frameReceived(line: string): void {
    const sent = this.#sent.shift();
    // Answers are out of step, so none can be trusted any more. An exception closes the connection.
    if (sent === undefined) throw new Error(`an answer to no request: ${line}`);
    sent.answer(line);
    this.#endIfDone();
  }

  override connectionLost(error: Error | null): void {
    super.connectionLost(error);
    this.#ending = true;
    const reason = error ?? new Deno.errors.ConnectionReset("the connection was closed before the answer");
    for (const sent of this.#sent.splice(0)) sent.fail(reason);
    this.#lost.resolve();
  }

  #endIfDone(): void {
    if (this.#ending && this.#waiting === 0) this.transport.close();
  }
}
