import type { LimitError, LimitName } from "../errors.ts";
import type { LoopContext } from "../transports/loop_context.ts";
import type { LimitOptions } from "./limits.ts";
import { formatAddress } from "./name_address.ts";

/** How often the exception handler is called for refused connections, in milliseconds: any client can cause them. */
const REPORT_INTERVAL = 60_000;

/** Reports limits that were reached: to `onLimit`, or to the exception handler. */
export class LimitReports {
  #loop: LoopContext;
  #method: string;
  #onLimit: LimitOptions["onLimit"];
  /** When a limit was reported last, and how often it was reached since. */
  #reported = new Map<LimitName, { at: number; since: number }>();

  constructor(loop: LoopContext, method: string, onLimit: LimitOptions["onLimit"]) {
    this.#loop = loop;
    this.#method = method;
    this.#onLimit = onLimit;
  }

  /** Schedules a call of `onLimit`, which may close the server. Returns whether there is one. */
  call(error: LimitError): boolean {
    if (this.#onLimit === undefined) return false;
    this.#loop.callSoon(this.#onLimit, error);
    return true;
  }

  /** Reports a limit that ends no connection of a protocol. */
  refused(error: LimitError): void {
    if (this.call(error)) return;
    const time = this.#loop.time();
    const last = this.#reported.get(error.limit);
    if (last !== undefined && time - last.at < REPORT_INTERVAL) {
      last.since++;
      return;
    }
    this.#reported.set(error.limit, { at: time, since: 0 });
    const more = last === undefined || last.since === 0 ? "" : ` (and ${last.since} times since the last report)`;
    this.#loop.report({ message: `${this.#method}: a limit was reached${more}`, error });
  }
}

/** Names a peer in a message. */
export function formatPeer(peername: Deno.Addr | null): string {
  if (peername !== null && "hostname" in peername) return formatAddress(peername);
  return "a client";
}
