import type { LimitError, LimitName } from "../errors.ts";
import type { LoopContext } from "../transports/loop_context.ts";
import type { LimitOptions } from "./limits.ts";
import { formatAddress } from "./name_address.ts";
import { ReportInterval } from "./report_interval.ts";

/** Reports limits that were reached: to `onLimit`, or to the exception handler. */
export class LimitReports {
  #loop: LoopContext;
  #method: string;
  #onLimit: LimitOptions["onLimit"];
  #intervals = new Map<LimitName, ReportInterval>();

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
    let interval = this.#intervals.get(error.limit);
    if (interval === undefined) this.#intervals.set(error.limit, interval = new ReportInterval());
    const more = interval.next(this.#loop.time());
    if (more === null) return;
    this.#loop.report({ message: `${this.#method}: a limit was reached${more}`, error });
  }
}

/** Names a peer in a message. */
export function formatPeer(peername: Deno.Addr | null): string {
  if (peername !== null && "hostname" in peername) return formatAddress(peername);
  return "a client";
}
