/**
 * The loop, seen from a transport.
 *
 * @module
 */
import type { LoopContext } from "../transports/loop_context.ts";
import type { Exceptions } from "./exceptions.ts";
import type { Scheduler } from "./scheduler.ts";

/**
 * Joins the parts that transports need of a loop.
 *
 * @param exceptions Whom to tell of exceptions.
 * @param scheduler Who runs callbacks.
 * @returns The context.
 */
export function makeContext(exceptions: Exceptions, scheduler: Scheduler): LoopContext {
  return {
    get debug() {
      return exceptions.debug;
    },
    callSoon: (callback, ...args) => scheduler.callSoon(callback, args),
    report: (context) => exceptions.report(context),
    reportIfSlow: (what, startedAt, context) => exceptions.reportIfSlow(what, startedAt, context),
    watch: (transport) => exceptions.watch(transport),
    unwatch: (transport) => exceptions.unwatch(transport),
  };
}
