/** The reactor of the epoll engine: it starves nothing, mixes up no descriptors, and survives what system calls return. */
import { AsyncLocalStorage } from "node:async_hooks";
import { constants } from "node:os";
import { setImmediate } from "node:timers";
import { Protocol, type Server, type Transport } from "../../mod.ts";
import { assert, assertEquals, assertInstanceOf, assertRejects } from "../std.ts";
import { bytes, captureExceptions, EventLog, ManualClock, pattern, Recorder, turn } from "../kit.ts";
import { Lane } from "../../engines/epoll/lane.ts";
import { SOCK_FLAGS } from "../../engines/epoll/constants.ts";
import { type Libc, openLibc } from "../../engines/epoll/libc.ts";
import { socketOf } from "../../engines/epoll/mod.ts";
import { Reactor } from "../../engines/epoll/reactor.ts";
import { Source } from "../../engines/epoll/source.ts";
import { epollLoop, epollTest, failCalls, replaceCall } from "./epoll_kit.ts";

const { EINTR, EAGAIN, ENOMEM, EMFILE, ECONNABORTED, ECONNRESET, ENOBUFS, EPIPE, ETIMEDOUT } = constants.errno;

/** Sends back what it receives. */
class Echo extends Protocol {
  transport!: Transport;
  override connectionMade(transport: Transport): void {
    this.transport = transport;
  }
  override dataReceived(data: Uint8Array): void {
    this.transport.write(data);
  }
}

/** Sends a byte back and forth until it is stopped. */
class PingPong extends Echo {
  static stopped = false;
  rounds = 0;
  override connectionMade(transport: Transport): void {
    super.connectionMade(transport);
    transport.write(bytes("x"));
  }
  override dataReceived(data: Uint8Array): void {
    this.rounds++;
    if (PingPong.stopped) this.transport.close();
    else super.dataReceived(data);
  }
}

const LOCAL = { hostname: "127.0.0.1", port: 0 };

epollTest("Deno's timers, fetch and sockets go on while the engine's sockets have events all the time", async () => {
  const loop = epollLoop();
  PingPong.stopped = false;
  await using server = await loop.createServer(() => new Echo(), LOCAL);
  const pairs = await Promise.all(
    Array.from({ length: 20 }, () => loop.createConnection(() => new PingPong(), { port: server.port })),
  );
  await using http = Deno.serve({ ...LOCAL, onListen: () => {} }, () => new Response("fetched"));
  // If one of these starved, the flood would never end.
  await new Promise((resolve) => setTimeout(resolve, 0));
  await new Promise((resolve) => setTimeout(resolve, 3));
  assertEquals(await (await fetch(`http://127.0.0.1:${http.addr.port}`)).text(), "fetched");
  await new Promise<void>((resolve) => void loop.callLater(1, resolve));
  await new Promise<void>((resolve) => void loop.callSoon(resolve));
  PingPong.stopped = true;
  server.closeClients();
  for (const [transport, { rounds }] of pairs) {
    assert(rounds > 0);
    transport.close();
  }
});

epollTest("a turn of Deno's loop has few events if their callbacks take long", async () => {
  const loop = epollLoop();
  let [callbacks, calledInTurn, most, stopped] = [0, 0, 0, false];
  const onTurn = () => {
    // The engine has learnt by then how long the callbacks take.
    if (callbacks > 200) most = Math.max(most, calledInTurn);
    calledInTurn = 0;
    if (!stopped) setImmediate(onTurn);
  };
  class Slow extends PingPong {
    override dataReceived(data: Uint8Array): void {
      callbacks++;
      calledInTurn++;
      for (const start = performance.now(); performance.now() - start < 1;);
      super.dataReceived(data);
    }
  }
  PingPong.stopped = false;
  await using server = await loop.createServer(() => new Slow(), LOCAL);
  const pairs = await Promise.all(
    Array.from({ length: 20 }, () => loop.createConnection(() => new Slow(), { port: server.port })),
  );
  onTurn();
  while (callbacks < 400) await new Promise((resolve) => setTimeout(resolve, 1));
  PingPong.stopped = stopped = true;
  server.closeClients();
  for (const [transport] of pairs) transport.close();
  assert(most >= 1 && most <= 3, `${most} callbacks in a turn`);
});

epollTest("the engine's sockets go on while Deno's loop is never idle", async () => {
  const loop = epollLoop();
  let busy = true;
  let timer: ReturnType<typeof setTimeout> | undefined;
  const spin = () => void (timer = setTimeout(spin, 0));
  const churn = (): void => {
    if (busy) loop.callSoon(churn);
  };
  spin();
  churn();
  await using server = await loop.createServer(() => new Echo(), LOCAL);
  const [transport, client] = await loop.createConnection(() => new Recorder(), { port: server.port });
  transport.write(bytes("hello"));
  await client.untilReceived(5);
  busy = false;
  clearTimeout(timer);
  transport.close();
  await client.untilLost();
});

epollTest("an event of a closed descriptor does not go to the next owner of its number", async () => {
  const loop = epollLoop();
  const clients: Recorder[] = [];
  const sides: Closing[] = [];
  const log = new EventLog();
  /** The first one that receives closes all others, whose events are in the same batch, and connects as often. */
  class Closing extends Echo {
    override dataReceived(data: Uint8Array): void {
      log.add(`received ${data.length}`);
      if (log.entries.length > 1) return;
      for (const side of sides) side.transport.abort();
      // connectionLost() and the close come with the next turn. By then the new sockets have the numbers.
      loop.callSoon(() => loop.callSoon(() => void open()));
    }
  }
  const made = Promise.withResolvers<void>();
  const silent = await loop.createServer(() => new Recorder(), LOCAL);
  const fresh: Recorder[] = [];
  const open = async () => {
    for (let i = 0; i < 10; i++) {
      fresh.push((await loop.createConnection(() => new Recorder(), { port: silent.port }))[1]);
    }
    made.resolve();
  };
  const server = await loop.createServer(() => {
    const side = new Closing();
    sides.push(side);
    return side;
  }, LOCAL);
  for (let i = 0; i < 10; i++) {
    clients.push((await loop.createConnection(() => new Recorder(), { port: server.port }))[1]);
  }
  while (sides.length < 10) await turn(loop);
  for (const { transport } of clients) transport.write(bytes("now"));
  await made.promise;
  for (let i = 0; i < 10; i++) await turn(loop);
  assertEquals(log.entries, ["received 3"]);
  for (const { log } of fresh) assertEquals(log.entries, ["connectionMade"]);
  for (const { transport } of [...clients, ...fresh]) transport.abort();
  for (const each of [server, silent]) await each[Symbol.asyncDispose]();
});

epollTest(
  "a transport whose descriptor the program has closed, against the rules, does not touch the next owner of its number",
  async () => {
    const loop = epollLoop();
    await using server = await loop.createServer(() => new Echo(), LOCAL);
    const [former, client] = await loop.createConnection(() => new Recorder(), { port: server.port });
    await turn(loop);
    former.pauseReading();
    const { fd } = socketOf(former);
    openLibc().close(fd);
    const [transport, next] = await loop.createConnection(() => new Recorder(), { port: server.port });
    assertEquals([socketOf(transport).fd, socketOf(former).fd], [fd, -1]);
    former.write(bytes("not for the next owner"));
    former.abort({ reset: true });
    await client.untilLost();
    transport.write(bytes("sound"));
    await next.untilReceived(5);
    assertEquals(next.text, "sound");
    transport.abort();
    await next.untilLost();
  },
);

epollTest("each descriptor is closed once, and not used afterwards", async () => {
  const open = new Set<number>();
  const mistakes: string[] = [];
  const opening = (real: (...args: never[]) => number, ...args: unknown[]) => {
    const fd = real(...args as never[]);
    if (fd >= 0) open.add(fd);
    return fd;
  };
  const using_ = (name: string) => (real: (...args: never[]) => number, ...args: unknown[]) => {
    if (!open.has(args[0] as number)) mistakes.push(`${name}(${args[0]})`);
    return real(...args as never[]);
  };
  using stack = new DisposableStack();
  for (const name of ["socket", "accept4", "epoll_create1", "eventfd"] as const) {
    stack.use(replaceCall(name, (real, ...args) => {
      if (name === "accept4") using_(name)(real as never, ...args);
      return name === "accept4" ? opening(() => -EAGAIN) : opening(real as never, ...args);
    }));
  }
  for (const name of ["bind", "listen", "getsockname", "setsockopt", "epoll_ctl", "epoll_wait", "shutdown"] as const) {
    stack.use(replaceCall(name, using_(name) as never));
  }
  stack.use(replaceCall("close", (real, fd) => {
    if (!open.delete(fd)) mistakes.push(`close(${fd})`);
    return real(fd);
  }));
  const loop = epollLoop();
  for (let i = 0; i < 3; i++) {
    const server = await loop.createServer(() => new Echo(), LOCAL);
    server.close();
    server.close();
    await server.waitClosed();
  }
  while (open.size > 0) await turn(loop);
  assertEquals(mistakes, []);
});

epollTest(
  "close() of a transport whose descriptor the program has closed, against the rules, ends it as usual",
  async () => {
    const loop = epollLoop();
    const server = await loop.createServer(() => new Echo(), LOCAL);
    for (const size of [0, 20_000_000]) {
      for (const end of ["close", "abort", "pauseReading"] as const) {
        const [transport, client] = await loop.createConnection(() => new Recorder(), { port: server.port });
        await turn(loop);
        // With a pending write, the transport is watched for two reasons, and one of them goes first.
        transport.write(new Uint8Array(size));
        await turn(loop);
        openLibc().close(socketOf(transport).fd);
        transport[end]();
        transport.abort();
        await client.untilLost();
        assertEquals(client.log.entries.at(-1), "connectionLost null");
        assertEquals(client.log.entries.filter((entry) => entry.startsWith("connection")).length, 2);
      }
      server.abortClients();
    }
    server.close();
    await server.waitClosed();
  },
);

/** Serves, connects, and sends a message to the server and back. */
async function exchange(message = pattern(300_000)): Promise<[server: Recorder, client: Recorder]> {
  const loop = epollLoop();
  class EchoRecorder extends Recorder {
    override dataReceived(data: Uint8Array): void {
      super.dataReceived(data);
      this.transport.write(data);
    }
  }
  const made = Promise.withResolvers<Recorder>();
  await using server: Server = await loop.createServer(() => {
    const side = new EchoRecorder();
    made.resolve(side);
    return side;
  }, LOCAL);
  const [transport, client] = await loop.createConnection(() => new Recorder(), { port: server.port });
  transport.write(message);
  await Promise.race([client.untilReceived(message.length), client.untilLost()]);
  transport.close();
  const side = await made.promise;
  await Promise.all([client.untilLost(), side.untilLost()]);
  return [side, client];
}

for (const name of ["recv", "send", "accept4", "epoll_wait"] as const) {
  epollTest(`${name} that a signal interrupts (EINTR) is repeated`, async () => {
    using failing = failCalls(name, EINTR, EINTR);
    const [, client] = await exchange();
    assertEquals([client.received, failing.left()], [300_000, 0]);
  });
}

epollTest("connect that a signal interrupts (EINTR) goes on", async () => {
  using _interrupted = replaceCall("connect", (real, ...args) => real(...args) === 0 ? -EINTR : -1);
  const [, client] = await exchange();
  assertEquals(client.received, 300_000);
});

for (const name of ["recv", "send", "accept4"] as const) {
  epollTest(`${name} that would block (EAGAIN) is repeated when the kernel says so`, async () => {
    using failing = failCalls(name, EAGAIN, EAGAIN);
    const [, client] = await exchange();
    assertEquals([client.received, failing.left()], [300_000, 0]);
  });
}

epollTest("accept4 that fails for one connection (ECONNABORTED) goes on at once, and reports nothing", async () => {
  const loop = epollLoop();
  using exceptions = captureExceptions(loop);
  using failing = failCalls("accept4", ECONNABORTED);
  await using server = await loop.createServer(() => new Echo(), LOCAL);
  const [transport, client] = await loop.createConnection(() => new Recorder(), { port: server.port });
  transport.write(bytes("hello"));
  await client.untilReceived(5);
  transport.close();
  await client.untilLost();
  assertEquals([exceptions.contexts, failing.left()], [[], 0]);
});

for (const [index, what] of ["the eventfd", "the first socket"].entries()) {
  epollTest(
    `epoll_ctl that fails for ${what} (ENOMEM) leaves nothing open, and the next call begins anew`,
    async () => {
      const loop = epollLoop();
      let [opened, closed] = [0, 0];
      using listener = Deno.listen(LOCAL);
      const { port } = listener.addr;
      using _create = replaceCall("epoll_create1", (real, flags) => {
        opened++;
        return real(flags);
      });
      using _close = replaceCall("close", (real, fd) => {
        closed++;
        return real(fd);
      });
      {
        let left = index;
        using _failing = replaceCall("epoll_ctl", (real, ...args) => left-- === 0 ? -ENOMEM : real(...args));
        const connecting = loop.createConnection(() => new Recorder(), { port });
        const error: Error & { code?: string } = await assertRejects(() => connecting, Error);
        assertEquals(error.code, "ENOMEM");
        await new Promise<void>((resolve) => void setImmediate(resolve));
      }
      assertEquals([opened, closed], [1, 3]); // The socket, epoll and the eventfd.
      const [transport, client] = await loop.createConnection(() => new Recorder(), { port });
      transport.abort();
      await client.untilLost();
      await turn(loop);
      assertEquals([opened, closed], [2, 6]);
    },
  );
}

epollTest(
  "accept4 without a free descriptor (EMFILE) is reported, and repeated after a second of the loop's clock",
  async () => {
    const clock = new ManualClock();
    const loop = epollLoop(clock);
    using exceptions = captureExceptions(loop);
    using _failing = failCalls("accept4", EMFILE);
    await using server = await loop.createServer(() => new Echo(), LOCAL);
    const [transport, client] = await loop.createConnection(() => new Recorder(), { port: server.port });
    transport.write(bytes("hello"));
    await exceptions.log.until(() => exceptions.contexts.length === 1);
    const { message, error } = exceptions.contexts[0]!;
    assertEquals(message, "accept() failed; trying again in 1000 ms");
    assertEquals([error?.message, (error as { code?: string }).code], ["Too many open files (os error 24)", "EMFILE"]);
    await clock.advance(1000, loop);
    await client.untilReceived(5);
    transport.close();
    await client.untilLost();
  },
);

for (
  const [name, errno, Class, code] of [
    ["send", EPIPE, Deno.errors.BrokenPipe, "EPIPE"],
    ["send", ENOBUFS, Error, "ENOBUFS"],
    ["recv", ECONNRESET, Deno.errors.ConnectionReset, "ECONNRESET"],
    ["recv", ETIMEDOUT, Deno.errors.TimedOut, "ETIMEDOUT"],
  ] as const
) {
  epollTest(`${name} that fails with ${code} ends the connection with Deno's error`, async () => {
    const loop = epollLoop();
    await using server = await loop.createServer(() => new Recorder(), LOCAL);
    const [transport, client] = await loop.createConnection(() => new Recorder(), { port: server.port });
    {
      using _failing = failCalls(name, errno);
      if (name === "send") transport.write(bytes("x"));
      else server.closeClients();
      await client.untilLost();
    }
    const { error } = client;
    assertInstanceOf(error, Class);
    assertEquals([error.constructor, (error as { code?: string }).code], [Class, code]);
    assertEquals(error.message.endsWith(` (os error ${errno})`), true);
  });
}

epollTest("the callbacks of each connection run in the AsyncLocalStorage context that made it", async () => {
  const storage = new AsyncLocalStorage<string>();
  const loop = epollLoop();
  const log = new EventLog();
  class Noting extends Protocol {
    #name: string;
    constructor(name: string) {
      super();
      this.#name = name;
    }
    #note(what: string): void {
      log.add(`${this.#name} ${what} in ${storage.getStore()}`);
      storage.enterWith("elsewhere"); // Must not reach another connection, nor the next batch.
    }
    override connectionMade(transport: Transport): void {
      this.#note("made");
      transport.write(bytes("x"));
    }
    override dataReceived(): void {
      this.#note("data");
    }
    override connectionLost(): void {
      this.#note("lost");
    }
  }
  class Answering extends Echo {
    override dataReceived(data: Uint8Array): void {
      log.add(`server data in ${storage.getStore()}`);
      super.dataReceived(data);
      this.transport.close();
    }
  }
  await using server = await storage.run("S", () => loop.createServer(() => new Answering(), LOCAL));
  const { port } = server;
  await Promise.all(["A", "B", "C"].map((name) => {
    return storage.run(name, () => loop.createConnection(() => new Noting(name), { port }));
  }));
  await log.until(() => log.entries.length === 12);
  assertEquals(log.entries.filter((entry) => !entry.startsWith("server")).sort(), [
    ...["A data in A", "A lost in A", "A made in A", "B data in B", "B lost in B", "B made in B"],
    ...["C data in C", "C lost in C", "C made in C"],
  ]);
  assertEquals(new Set(log.entries.filter((entry) => entry.startsWith("server"))), new Set(["server data in S"]));
});

/** A source that counts its events. */
class Counting extends Source {
  events = 0;
  ready(): void {
    this.events++;
  }
  override closeFd(): void {
    super.closeFd();
  }
}

Deno.test("an event that a parked thread returns late does not go to the next owner of its descriptor", async () => {
  const parking = Promise.withResolvers<(events: Int32Array) => number>();
  const parked = Promise.withResolvers<void>();
  const changes: Int32Array[] = [];
  let parkings = 0;
  const libc = {
    epoll_create1: () => 3,
    eventfd: () => 4,
    close: () => 0,
    write: () => 8,
    epoll_wait: () => 0,
    epoll_ctl: (_epoll: number, _operation: number, _fd: number, change: Int32Array) => {
      changes.push(change.slice());
      return 0;
    },
    epoll_park: (_epoll: number, events: Int32Array) => {
      parked.resolve();
      return parkings++ === 0 ? parking.promise.then((fill) => fill(events)) : new Promise(() => {});
    },
  } as unknown as Libc;
  const reactor = new Reactor(libc, () => {});
  const former = new Counting(reactor, new Lane(), 5);
  former.want(1);
  await parked.promise;
  const event = changes.at(-1)!;
  former.closeFd();
  const next = new Counting(reactor, new Lane(), 5);
  next.want(1);
  const fresh = changes.at(-1)!;
  parking.resolve((events) => {
    events.set(event);
    events.set(fresh, event.length);
    return 2;
  });
  await new Promise((resolve) => setTimeout(resolve, 0));
  assertEquals([former.events, next.events], [0, 1]);
  next.closeFd();
});

/** A source that always has more than it reads in an event. */
class Flooded extends Counting {
  override ready(): void {
    super.ready();
    this.reactor.again(this);
  }
}

epollTest(
  "sources that read again and again, however many, leave events to others, and all have their turn",
  async () => {
    const libc = openLibc();
    const reactor = new Reactor(libc, () => {});
    const open = () => libc.eventfd(0, SOCK_FLAGS);
    const flooded = Array.from({ length: 100 }, () => new Flooded(reactor, new Lane(), open()));
    const quiet = new Counting(reactor, new Lane(), open());
    for (const source of flooded) {
      source.want(1);
      reactor.again(source);
    }
    quiet.want(1);
    libc.write(quiet.fd, new BigUint64Array([1n]), 8n);
    const fewest = () => Math.min(quiet.events, ...flooded.map(({ events }) => events));
    for (let turns = 0; turns < 200 && fewest() < 3; turns++) await new Promise((resolve) => setImmediate(resolve));
    const events = fewest();
    for (const source of [...flooded, quiet]) source.closeFd();
    await new Promise((resolve) => setImmediate(resolve));
    assert(events >= 3);
  },
);
