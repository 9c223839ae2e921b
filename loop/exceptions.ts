import type { ExceptionContext } from "../transports/loop_context.ts";
import type { Clock } from "./clock.ts";
import { describe, toError } from "../errors.ts";
import { isPromise, settle } from "../promises.ts";
import { formatAddress } from "./name_address.ts";
import type { BaseTransport } from "../transports/transport.ts";

/** A function that is called with exceptions. Its own exceptions are printed. */
export type ExceptionHandler = (context: ExceptionContext) => void;

/** The number of failures of peers in a burst that are printed one by one. */
const BURST_PRINTED = 10;
/** A burst ends after this many milliseconds without a failure of a peer. */
const BURST_GAP = 60_000;

/** Calls the exception handler, and reports what debug mode looks for. Never throws. */
export class Exceptions {
  handler: ExceptionHandler | null = null;
  /** In milliseconds; asyncio's 0.1 s. */
  slowCallbackDuration = 100;

  #clock: Clock;
  #debug = false;
  /** The transports that were created in debug mode and are not closed. */
  #open = new Map<number, WeakRef<BaseTransport>>();
  #numbers = new WeakMap<BaseTransport, number>();
  #count = 0;
  #collected: FinalizationRegistry<[number, string]> | undefined;
  /** The number of failures of peers in this burst, and the time of the last one. */
  #failures = 0;
  #lastFailure = -Infinity;
  #onUnload: () => void = () => this.#reportOpen();

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  get debug(): boolean {
    return this.#debug;
  }

  set debug(on: boolean) {
    if (on === this.#debug) return;
    this.#debug = Boolean(on);
    if (on) addEventListener("unload", this.#onUnload);
    else removeEventListener("unload", this.#onUnload);
  }

  setHandler(handler: ExceptionHandler | null): void {
    if (handler !== null && typeof handler !== "function") {
      throw new TypeError(`setExceptionHandler(): handler must be a function or null, got ${describe(handler)}`);
    }
    this.handler = handler;
  }

  report(context: ExceptionContext): void {
    if (this.handler === null) {
      this.reportByDefault(context);
      return;
    }
    try {
      const handler = this.handler;
      const result = handler(context) as unknown;
      if (isPromise(result)) settle(result, undefined, (error) => this.#handlerFailed(error, context));
    } catch (error) {
      this.#handlerFailed(error, context);
    }
  }

  reportByDefault(context: ExceptionContext): void {
    try {
      if (context?.peername !== undefined) {
        this.#reportPeer(context);
        return;
      }
      // With "%s", so that the console does not interpret the message as a format.
      console.error("%s", print(context));
    } catch {
      // The program has replaced the console with one that throws.
    }
  }

  /** Prints the first failures of a burst, then one each time their number has doubled: any peer can cause them. */
  #reportPeer({ message, error }: ExceptionContext): void {
    const now = this.#clock.now();
    if (now - this.#lastFailure > BURST_GAP) this.#failures = 0;
    this.#lastFailure = now;
    const count = ++this.#failures;
    if (count > BURST_PRINTED && !Number.isInteger(Math.log2(count / BURST_PRINTED))) return;
    const flood = count > BURST_PRINTED ? ` (${count} failures of peers; most are no longer printed)` : "";
    console.error("%s", `${message}: ${error?.name}: ${error?.message}${flood}`.replace(/[\s\p{Cc}]+/gu, " "));
  }

  reportIfSlow(what: string, startedAt: number, context: Partial<ExceptionContext> = {}): void {
    const took = this.#clock.now() - startedAt;
    if (took < this.slowCallbackDuration) return;
    this.report({ ...context, message: `Executing ${what} took ${took.toFixed(0)} ms` });
  }

  watch(transport: BaseTransport): void {
    this.#collected ??= new FinalizationRegistry(([number, name]) => {
      if (this.#open.delete(number)) this.report({ message: `${name} was dropped without being closed` });
    });
    const number = this.#count++;
    this.#open.set(number, new WeakRef(transport));
    this.#numbers.set(transport, number);
    this.#collected.register(transport, [number, describe(transport)]);
  }

  unwatch(transport: BaseTransport): void {
    const number = this.#numbers.get(transport);
    if (number !== undefined) this.#open.delete(number);
  }

  #reportOpen(): void {
    for (const reference of this.#open.values()) {
      const transport = reference.deref();
      if (transport === undefined || transport.isClosing()) continue;
      this.report({ message: `${describe(transport)} was never closed`, transport });
    }
  }

  #handlerFailed(error: unknown, context: ExceptionContext): void {
    this.reportByDefault({ message: "Exception in the exception handler", error: toError(error) });
    this.reportByDefault(context);
  }
}

function print(context: ExceptionContext): string {
  try {
    return format(context);
  } catch {
    const message: unknown = context?.message;
    if (typeof message !== "string") return "an exception context that cannot be printed was reported";
    return `${message} (the rest of the exception context cannot be printed)`;
  }
}

function format(context: ExceptionContext): string {
  const lines = [context.message];
  for (const key of ["transport", "protocol", "handle"] as const) {
    if (context[key] !== undefined) lines.push(`  ${key}: ${describe(context[key])}`);
  }
  const peer = context.transport?.getExtraInfo("peername") ?? null;
  if (peer !== null) lines.push(`  peer: ${formatPeer(peer)}`);
  if (context.error !== undefined) lines.push(Deno.inspect(context.error));
  return lines.join("\n");
}

function formatPeer(peer: Deno.Addr): string {
  if ("hostname" in peer) return formatAddress(peer);
  // An engine may have addresses of its own.
  if (!("path" in peer)) return Deno.inspect(peer, { breakLength: Infinity });
  return peer.path === "" ? "a Unix socket without a path" : formatAddress(peer);
}
