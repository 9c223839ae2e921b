/** What the virtual clock promises, over the engine in memory and over Deno's. */
import { setImmediate } from "node:timers";
import { EventLoop, InvalidStateError, Protocol, TimeoutError, type Transport } from "../../mod.ts";
import { MemoryEngine, MemoryLoop, VirtualClock } from "../../testing/mod.ts";
import { bytes, pattern, Recorder, turn } from "../kit.ts";
import { assertEquals, assertInstanceOf, assertRejects, assertThrows } from "../std.ts";

Deno.test("VirtualClock.advance() runs timers in order, each at its time, and ends at the time asked for", async () => {
  const loop = new MemoryLoop();
  const seen: [string, number][] = [];
  const see = (name: string) => seen.push([name, loop.time()]);
  loop.callLater(300, see, "c");
  loop.callLater(100.5, see, "a");
  loop.callLater(200, () => {
    see("b");
    loop.callLater(50, see, "b2");
    loop.callLater(0, see, "b1");
  });
  await loop.clock.advance(299);
  assertEquals(seen, [["a", 100.5], ["b", 200], ["b1", 200], ["b2", 250]]);
  assertEquals([loop.time(), loop.clock.due], [299, 300]);
  await loop.clock.advance(1);
  assertEquals(seen.at(-1), ["c", 300]);
  assertEquals(loop.clock.due, null);
});

Deno.test("VirtualClock.advance() lets all that a timer causes happen before the next one", async () => {
  const loop = new MemoryLoop();
  const seen: unknown[] = [];
  class Answering extends Recorder {
    override dataReceived(data: Uint8Array): void {
      this.transport.write(data);
    }
  }
  await using _server = await loop.createServer(() => new Answering(), { hostname: "a.test", port: 80 });
  async function ask(): Promise<void> {
    const [transport, client] = await loop.createConnection(() => new Recorder(), { hostname: "a.test", port: 80 });
    transport.write(pattern(500_000));
    await client.untilReceived(500_000);
    transport.close();
    await client.untilLost();
    seen.push(["asked", loop.time()]);
  }
  loop.callLater(100, ask);
  loop.callLater(101, () => seen.push(["timer", loop.time()]));
  await loop.clock.advance(200);
  assertEquals(seen, [["asked", 100], ["timer", 101]]);
});

Deno.test("VirtualClock.advance() follows an async function from timer to timer, over Deno's engine too", async () => {
  const clock = new VirtualClock();
  const loop = new EventLoop({ clock });
  const ticks: string[] = [];
  async function tick(): Promise<void> {
    for (let i = 0; i < 100; i++) {
      await new Promise<void>((resolve) => void loop.callLater(36_000.1, resolve));
      ticks.push(loop.time().toFixed(3));
    }
  }
  const ticking = tick();
  await clock.advance(4_000_000);
  await ticking;
  assertEquals(ticks, Array.from({ length: 100 }, (_, i) => ((i + 1) * 36_000.1).toFixed(3)));
});

Deno.test("VirtualClock drives closeTimeout", async () => {
  const loop = new MemoryLoop();
  const [transport, client] = await pausedPeer(loop);
  transport.write(pattern(10_000_000));
  transport.close();
  await loop.clock.advance(4999);
  assertEquals(client.log.entries.at(-1), "pauseWriting");
  await loop.clock.advance(1);
  assertInstanceOf(client.error, TimeoutError);
});

/** Connects to a server that does not read, with a `closeTimeout` of 5 s. */
async function pausedPeer(loop: MemoryLoop): Promise<[Transport, Recorder]> {
  class Pausing extends Protocol {
    override connectionMade(transport: Transport): void {
      transport.pauseReading();
    }
  }
  const server = await loop.createServer(() => new Pausing(), { hostname: "paused.test", port: 80 });
  const address = { hostname: "paused.test", port: 80, closeTimeout: 5000 };
  const connection = await loop.createConnection(() => new Recorder(), address);
  await loop.clock.advance(0);
  server.close();
  return connection;
}

Deno.test("VirtualClock.runUntilIdle() runs until no timer is left that holds the process", async () => {
  const loop = new MemoryLoop();
  const seen: number[] = [];
  let count = 0;
  const again = () => {
    seen.push(loop.time());
    if (++count < 3) loop.callLater(1000, again);
  };
  again();
  const background = () => {
    seen.push(-loop.time());
    loop.callLater(1500, background).unref();
  };
  loop.callLater(1500, background).unref();
  await loop.clock.runUntilIdle();
  assertEquals(seen, [0, 1000, -1500, 2000]);
  assertEquals(loop.time(), 2000);
});

Deno.test("VirtualClock.runUntilIdle() rejects if timers are left after limit", async () => {
  const loop = new MemoryLoop();
  const forever = () => void (timer = loop.callLater(1000, forever));
  let timer = loop.callLater(1000, forever);
  await assertRejects(
    () => loop.clock.runUntilIdle({ limit: 2500 }),
    TimeoutError,
    "runUntilIdle(): timers are left after 2500 ms; the next is due at 3000",
  );
  assertEquals(loop.time(), 2500);
  timer.cancel();
});

Deno.test("VirtualClock with autoJump jumps by itself, but not before bytes have arrived", async () => {
  const loop = new MemoryLoop({ autoJump: true });
  const seen: unknown[] = [];
  const server = await loop.createServer(() => new Recorder(), { hostname: "a.test", port: 80 });
  const [transport] = await loop.createConnection(() => new Recorder(), { hostname: "a.test", port: 80 });
  const deadline = loop.callLater(1000, () => seen.push("too late"));
  class Slow extends Protocol {
    override connectionMade(): void {
      loop.callLater(999, () => seen.push("in time")); // jumps here
    }
  }
  await loop.createConnection(() => new Slow(), { hostname: "a.test", port: 80 });
  await new Promise<void>((resolve) => void loop.callLater(999.5, resolve));
  deadline.cancel();
  assertEquals([seen, loop.time()], [["in time"], 999.5]);
  transport.close();
  await server[Symbol.asyncDispose]();
});

Deno.test("VirtualClock with autoJump does not jump for timers that are unref'd, and stands while it is held", async () => {
  const loop = new MemoryLoop({ autoJump: true });
  const timer = loop.callLater(10, () => {});
  timer.unref();
  for (let i = 0; i < 20; i++) await turn(loop);
  assertEquals(loop.time(), 0);
  timer.ref();
  const hold = loop.clock.hold();
  // Turns of Deno's loop, in which nothing happens on the other one.
  for (let i = 0; i < 20; i++) await new Promise<void>((resolve) => void setImmediate(resolve));
  assertEquals(loop.time(), 0);
  hold[Symbol.dispose]();
  hold[Symbol.dispose]();
  await new Promise<void>((resolve) => void loop.callLater(15, resolve));
  assertEquals(loop.time(), 15);
});

Deno.test("VirtualClock.skip() moves the time, and runs what is due later", async () => {
  const loop = new MemoryLoop();
  const seen: number[] = [];
  loop.callLater(10, () => seen.push(loop.time()));
  loop.clock.skip(100);
  assertEquals([loop.time(), seen], [100, []]);
  await loop.clock.advance(0);
  assertEquals(seen, [100]);
});

Deno.test("VirtualClock drives several loops together", async () => {
  const clock = new VirtualClock();
  const loops = [1, 2].map(() => new EventLoop({ engine: new MemoryEngine({ clock }), clock }));
  const seen: string[] = [];
  loops[0]!.callLater(20, () => seen.push("first"));
  loops[1]!.callLater(10, () => seen.push("second"));
  await clock.advance(20);
  assertEquals(seen, ["second", "first"]);
});

Deno.test("VirtualClock rejects wrong arguments, and a second advance() meanwhile", async () => {
  const clock = new VirtualClock();
  for (const ms of [-1, NaN, Infinity]) {
    await assertRejects(() => clock.advance(ms), RangeError, "advance(): ms must be");
  }
  await assertRejects(() => clock.advance("1" as unknown as number), TypeError, "advance(): ms must be");
  await assertRejects(() => clock.runUntilIdle({ limit: -1 }), RangeError, "runUntilIdle(): limit must be");
  assertThrows(() => clock.skip(-1), RangeError, "skip(): ms must be");
  assertThrows(() => new VirtualClock({ autoJump: 1 as unknown as boolean }), TypeError, "autoJump must be");
  assertThrows(() => new MemoryEngine({ clock: {} as VirtualClock }), TypeError, "clock must be a VirtualClock");
  const advancing = clock.advance(10);
  await assertRejects(() => clock.runUntilIdle(), InvalidStateError, "advance() is already running");
  await advancing;
});

Deno.test("MemoryLoop carries 10,000 connections through a virtual hour of messages and timeouts", async () => {
  const loop = new MemoryLoop();
  const counts = { pings: 0, pongs: 0, idle: 0, lost: 0 };
  const MINUTE = 60_000;
  /** Answers, and ends a connection that is silent for ten minutes. */
  class Server extends Protocol {
    #transport!: Transport;
    #timer = loop.callLater(10 * MINUTE, () => this.#expire());
    override connectionMade(transport: Transport): void {
      this.#transport = transport;
    }
    override dataReceived(data: Uint8Array): void {
      counts.pings++;
      this.#transport.write(data);
      this.#timer.cancel();
      this.#timer = loop.callLater(10 * MINUTE, () => this.#expire());
    }
    #expire(): void {
      counts.idle++;
      this.#transport.close();
    }
  }
  /** Sends a message every nine minutes, five times. */
  class Client extends Protocol {
    #transport!: Transport;
    #left = 5;
    override connectionMade(transport: Transport): void {
      this.#transport = transport;
      loop.callLater(9 * MINUTE, () => this.#ping());
    }
    #ping(): void {
      this.#transport.write(bytes("ping"));
      if (--this.#left > 0) loop.callLater(9 * MINUTE, () => this.#ping());
    }
    override dataReceived(): void {
      counts.pongs++;
    }
    override connectionLost(): void {
      counts.lost++;
    }
  }
  const address = { hostname: "busy.test", port: 80 };
  const server = await loop.createServer(() => new Server(), address);
  for (let i = 0; i < 10_000; i += 100) {
    await Promise.all(Array.from({ length: 100 }, () => loop.createConnection(() => new Client(), address)));
    // So that the timers of the connections differ.
    await loop.clock.advance(7);
  }
  await loop.clock.advance(60 * MINUTE);
  assertEquals(counts, { pings: 50_000, pongs: 50_000, idle: 10_000, lost: 10_000 });
  server.close();
  await server.waitClosed();
});
