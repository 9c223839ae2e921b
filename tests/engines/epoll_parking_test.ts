/** What a parked thread must not do: outlive the last socket. */
import { EventLoop, type Server } from "../../mod.ts";
import { EpollEngine } from "../../engines/epoll/mod.ts";
import { openLibc } from "../../engines/epoll/libc.ts";
import { Recorder, turn } from "../kit.ts";

const { supported, reason } = EpollEngine.isSupported();

/** Resolves when the reactor parks; leaving the scope puts the function back. */
function untilParked(): Disposable & { parked: Promise<void> } {
  const libc = openLibc();
  const { epoll_park } = libc;
  const { promise, resolve } = Promise.withResolvers<void>();
  libc.epoll_park = (...args) => {
    resolve();
    return epoll_park(...args);
  };
  return { parked: promise, [Symbol.dispose]: () => void (libc.epoll_park = epoll_park) };
}

const WAYS: Record<string, (loop: EventLoop, server: Server) => Promise<void>> = {
  "waitClosed()": (_, server) => server.waitClosed(),
  "a turn": (loop) => turn(loop),
};

// Deno's op sanitizer checks. One test alone would not always meet the race.
for (const [way, wait] of Object.entries(WAYS)) {
  for (let i = 1; i <= 15; i++) {
    const name =
      `close() of the last socket while the reactor is parked leaves no call pending after ${way}, attempt ${i}`;
    Deno.test(supported ? name : `${name} (skipped: ${reason})`, { ignore: !supported }, async () => {
      using reactor = untilParked();
      const loop = new EventLoop({ engine: new EpollEngine() });
      const server = await loop.createServer(() => new Recorder(), { hostname: "127.0.0.1", port: 0 });
      await reactor.parked;
      server.close();
      await wait(loop, server);
    });
  }
}
