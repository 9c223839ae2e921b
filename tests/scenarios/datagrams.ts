/**
 * What UDP endpoints promise, whatever moves the datagrams: over Deno's own sockets, over `node:dgram`, or over an engine of
 * another kind.
 */
import type { EventLoop } from "../../mod.ts";
import { assertEquals } from "../std.ts";
import { endpointsOf } from "../datagrams/kit.ts";
import { scenarios } from "./datagrams/all.ts";

/**
 * Makes a test of each scenario.
 *
 * @param over What moves the datagrams, for the tests' names.
 * @param makeLoop Makes the loop that a scenario runs on; called once for each.
 * @param options `atOnce`: whether `sendto()` sends at once, so that nothing is queued while the system has room.
 */
export function datagramScenarios(over: string, makeLoop: () => EventLoop, options: { atOnce?: boolean } = {}): void {
  for (const { name, run, expected, expectedAtOnce = expected } of scenarios) {
    const seen = options.atOnce ? expectedAtOnce : expected;
    if (seen === null) continue;
    Deno.test(`${name}, over ${over}`, async () => assertEquals(await run(endpointsOf(makeLoop())), seen));
  }
}
