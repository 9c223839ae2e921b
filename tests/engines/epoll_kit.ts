/** What the tests of the epoll engine share. */
import { EpollEngine } from "../../engines/epoll/mod.ts";
import { type Libc, openLibc } from "../../engines/epoll/libc.ts";
import { EventLoop } from "../../mod.ts";
import type { ManualClock } from "../kit.ts";

const { supported, reason } = EpollEngine.isSupported();

/** Makes a loop over the engine. */
export function epollLoop(clock?: ManualClock): EventLoop {
  return new EventLoop({ engine: new EpollEngine(), ...clock && { clock } });
}

/** A test that needs the engine. */
export function epollTest(name: string, fn: () => Promise<void> | void): void {
  Deno.test(supported ? name : `${name} (skipped: ${reason})`, { ignore: !supported }, fn);
}

/** Adds the tests of scenarios, or one skipped test in their place. */
export function epollScenarios(what: string, add: () => void): void {
  if (supported) add();
  else epollTest(`the scenarios of ${what} on epoll`, () => {});
}

type Function = Exclude<keyof Libc, "errno">;
type Args<K extends Function> = Parameters<Libc[K]>;

/**
 * Replaces a function of the C library until the scope is left.
 *
 * @param name The function.
 * @param replacement Is called instead, with the real function. A negative result is an errno: the call fails with it.
 */
export function replaceCall<K extends Function>(
  name: K,
  replacement: (real: (...args: Args<K>) => number, ...args: Args<K>) => number,
): Disposable {
  const libc = openLibc();
  const [real, realErrno] = [libc[name] as (...args: Args<K>) => number, libc.errno];
  let errno: number | null = null;
  libc.errno = () => errno ?? realErrno();
  (libc as Record<Function, unknown>)[name] = (...args: Args<K>) => {
    errno = null;
    const result = replacement(real, ...args);
    if (result >= -1) return result;
    errno = -result;
    return -1;
  };
  return {
    [Symbol.dispose]() {
      libc[name] = real as Libc[K];
      libc.errno = realErrno;
    },
  };
}

/** Makes the first calls of a function fail, one for each errno. */
export function failCalls<K extends Function>(name: K, ...errnos: number[]): Disposable & { left(): number } {
  const left = [...errnos];
  const replaced = replaceCall(name, (real, ...args) => {
    const errno = left.shift();
    return errno === undefined ? real(...args) : -errno;
  });
  return { left: () => left.length, [Symbol.dispose]: () => replaced[Symbol.dispose]() };
}
