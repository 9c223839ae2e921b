/**
 * What UDP endpoints promise, whatever moves the datagrams: `datagram_test.ts` runs these over Deno's own sockets,
 * `datagram_fallback_test.ts` over `node:dgram`, in a Deno without `--unstable-net`.
 */
import { endpoint } from "./endpoint.ts";
import { flow } from "./flow.ts";
import type { Scenario } from "./kit.ts";
import { sending } from "./sending.ts";

export const scenarios: Scenario[] = [...sending, ...flow, ...endpoint];
