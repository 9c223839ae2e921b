/**
 * Makes the loop of `getRunningLoop()` run over epoll: for the tests that are imported after this, whose names say so, and
 * for programs. It is imported for its effect, because `kit.ts` takes that loop when it is loaded.
 */
import { EpollEngine, install } from "../engines/epoll/mod.ts";
import { isOverOpenssl, useEpoll } from "./engine.ts";

const { supported, reason } = EpollEngine.isSupported();
if (supported) install(useEpoll());

const register = Deno.test as (definition: Deno.TestDefinition) => void;

/** Takes the place of `Deno.test`: the arguments are a name, options and a function, each of them optional. */
function test(...args: (string | Partial<Deno.TestDefinition> | Deno.TestDefinition["fn"])[]): void {
  const definition: Partial<Deno.TestDefinition> = {};
  for (const arg of args) {
    if (typeof arg === "string") definition.name = arg;
    else if (typeof arg === "function") definition.fn = arg;
    else Object.assign(definition, arg);
  }
  const { name, fn, ignore = false } = definition;
  const over = supported ? `over epoll${isOverOpenssl() ? "" : " and node:tls"}` : `skipped: ${reason}`;
  register({ ...definition, name: `${name} (${over})`, fn: fn!, ignore: ignore || !supported });
}

Object.assign(Deno, { test });
