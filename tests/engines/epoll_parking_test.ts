/** What a parked thread must not do: outlive the last socket. */
import type { EventLoop, Server, ServerOptions } from "../../mod.ts";
import { portOf, turn } from "../kit.ts";
import { assertRejects } from "../std.ts";
import { epollLoop, epollTest, factory, replaceCall } from "./epoll_kit.ts";

/** Resolves when the reactor parks; leaving the scope puts the function back. */
function untilParked(): Disposable & { parked: Promise<void> } {
  const { promise, resolve } = Promise.withResolvers<void>();
  const replaced = replaceCall("epoll_park", (real, ...args) => {
    resolve();
    return real(...args);
  });
  return { parked: promise, [Symbol.dispose]: () => replaced[Symbol.dispose]() };
}

/** How the last socket of a loop closes while the reactor is parked, and what a test then waits for. */
const WAYS: Record<string, (loop: EventLoop, parked: Promise<void>) => Promise<void>> = {
  "close() of a server and waitClosed()": async (loop, parked) => {
    const server = await serve(loop);
    await parked;
    server.close();
    await server.waitClosed();
  },
  "close() of a server and a turn": async (loop, parked) => {
    const server = await serve(loop);
    await parked;
    server.close();
    await turn(loop);
  },
  "the end of a connection attempt by its signal": async (loop, parked) => {
    // A full backlog, on a loop that watches nothing: the attempt does not end.
    const full = await serve(epollLoop(), { backlog: 1, startServing: false });
    const port = portOf(full);
    using _first = await Deno.connect({ port });
    using _second = await Deno.connect({ port });
    const controller = new AbortController();
    const attempt = loop.createConnection(factory, { port, signal: controller.signal });
    await parked;
    full.close();
    controller.abort();
    await assertRejects(() => attempt, DOMException);
  },
};

function serve(loop: EventLoop, options: Partial<ServerOptions> = {}): Promise<Server> {
  return loop.createServer(factory, { hostname: "127.0.0.1", port: 0, ...options });
}

// Deno's op sanitizer checks. One test alone would not always meet the race.
for (const [way, run] of Object.entries(WAYS)) {
  for (let i = 1; i <= 15; i++) {
    epollTest(`${way} leaves no call pending while the reactor is parked, attempt ${i}`, async () => {
      using reactor = untilParked();
      await run(epollLoop(), reactor.parked);
    });
  }
}
