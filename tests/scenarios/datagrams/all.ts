/** All scenarios of datagrams: alone, since programs without a configuration run them, too, and cannot import `@std`. */
import type { Scenario } from "../../datagrams/kit.ts";
import { endpoint } from "./endpoint.ts";
import { flow } from "./flow.ts";
import { sending } from "./sending.ts";

export const scenarios: readonly Scenario[] = [...sending, ...flow, ...endpoint];
