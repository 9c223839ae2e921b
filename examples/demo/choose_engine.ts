/** The engine of the demo, from its command line. */
import { parseArgs } from "node:util";
import { EpollEngine, install } from "../../engines/epoll/mod.ts";

/** Makes the loop run over the engine that `--engine` names, or ends the program with an explanation. Returns the name. */
export function chooseEngine(): "deno" | "epoll" {
  let engine: string | undefined;
  try {
    engine = parseArgs({ args: Deno.args, options: { engine: { type: "string", default: "deno" } } }).values.engine;
  } catch (error) {
    fail(2, (error as Error).message);
  }
  if (engine !== "deno" && engine !== "epoll") {
    fail(2, `--engine must be "deno" or "epoll", got ${JSON.stringify(engine)}`);
  }
  if (engine === "deno") return engine;
  const { supported, reason } = EpollEngine.isSupported();
  if (!supported) fail(3, `the epoll engine cannot be used: ${reason}`);
  install();
  return engine;
}

function fail(code: number, message: string): never {
  console.error(`demo: ${message}`);
  Deno.exit(code);
}
