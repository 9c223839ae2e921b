/** What a stream promises, whatever moves its bytes: rules 1 to 14 of "Behaviour", as far as they are a stream's. */
import type { MakeSetup, StreamTraits } from "./scenario.ts";
import { closing } from "./streams/closing.ts";
import { connection } from "./streams/connection.ts";
import { eof } from "./streams/eof.ts";
import { errors } from "./streams/errors.ts";
import { flowControl } from "./streams/flow_control.ts";
import { ownership } from "./streams/ownership.ts";
import { reading } from "./streams/reading.ts";
import { setProtocol } from "./streams/set_protocol.ts";
import { writing } from "./streams/writing.ts";

/**
 * Makes a test of each scenario.
 *
 * @param over What moves the bytes, for the tests' names.
 * @param setup Makes what a scenario runs on; called once for each.
 * @param traits What scenarios must know of it.
 */
export function streamScenarios(over: string, setup: MakeSetup, traits: StreamTraits = {}): void {
  const all = [connection, closing, eof, reading, setProtocol, ownership, writing, flowControl, errors];
  for (const scenarios of all) scenarios.register(over, setup, traits);
}
