/** Loops of a program's own: their engine, their clock, and which one getRunningLoop() returns. */
import { type Engine, EventLoop, getRunningLoop, InvalidStateError, Protocol, setRunningLoop } from "../../mod.ts";
import { DenoEngine } from "../../engines/deno/mod.ts";
import { makeLoop } from "../engine.ts";
import { bytes, EventLog, loop, ManualClock, portOf, Recorder, tempPath, text, turn } from "../kit.ts";
import { runProgram } from "../program.ts";
import { assertEquals, assertRejects, assertStrictEquals, assertThrows } from "../std.ts";

Deno.test("several loops live side by side, each with its own turns, exceptions and debug mode", async () => {
  const [one, two] = [makeLoop(), new EventLoop({ engine: new DenoEngine() })];
  const log = new EventLog();
  for (const [name, each] of Object.entries({ one, two })) {
    each.setExceptionHandler(({ error }) => log.add(`${name}: ${error?.message}`));
    each.callSoon(() => {
      throw new Error(`of ${name}`);
    });
  }
  one.setDebug(true);
  await log.until(() => log.entries.length === 2);
  assertEquals(log.entries, ["one: of one", "two: of two"]);
  assertEquals([one.getDebug(), two.getDebug(), loop.getDebug()], [true, false, false]);
  one.setDebug(false);
});

Deno.test("a server on one loop talks to a client on another", async () => {
  const [one, two] = [makeLoop(), makeLoop()];
  const received = Promise.withResolvers<string>();
  const factory = () => ({ dataReceived: (data: Uint8Array) => received.resolve(text(data)) });
  await using server = await one.createServer(factory, { hostname: "127.0.0.1", port: 0 });
  const [transport] = await two.createConnection(() => new Protocol(), { port: server.port });
  transport.write(bytes("across"));
  assertEquals(await received.promise, "across");
  transport.close();
});

Deno.test("closeTimeout goes by the loop's clock", async () => {
  const clock = new ManualClock();
  const own = makeLoop({ clock });
  const recorder = new Recorder();
  using listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const [accepted, [transport]] = await Promise.all([
    listener.accept(),
    own.createConnection(() => recorder, { port: listener.addr.port, closeTimeout: 3_600_000 }),
  ]);
  using _accepted = accepted;
  transport.write(new Uint8Array(32 * 1024 * 1024));
  transport.close();
  await clock.advance(3_599_999, own);
  assertEquals(recorder.log.entries.at(-1), "pauseWriting");
  await clock.advance(1, own);
  await turn(own);
  assertEquals(recorder.log.entries.at(-1), "connectionLost TimeoutError");
});

Deno.test("handshakeTimeout goes by the loop's clock", async () => {
  const clock = new ManualClock();
  const own = makeLoop({ clock });
  using listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const tls = { handshakeTimeout: 60_000, rejectUnauthorized: false };
  const failed = assertRejects(
    () => own.createConnection(() => new Protocol(), { port: listener.addr.port, tls }),
    DOMException,
    "handshakeTimeout: the TLS handshake did not complete within 60000 ms",
  );
  using accepted = await listener.accept();
  await accepted.read(new Uint8Array(4096)); // The ClientHello: the handshake is under way.
  await clock.advance(60_000, own);
  // The alert that tells the peer has a moment to leave.
  await failed;
  await turn(own);
});

Deno.test("callLater() on a clock that calls early waits for the time", async () => {
  const clock = new ManualClock();
  const hasty = {
    now: () => clock.now(),
    setTimer: (ms: number, callback: () => void) => clock.setTimer(ms / 2, callback),
  };
  const own = makeLoop({ clock: hasty });
  const log = new EventLog();
  own.callLater(64, () => log.add(`at ${clock.now()}`));
  while (log.entries.length === 0) await clock.advance(clock.due! - clock.now(), own);
  assertEquals(log.entries, ["at 64"]);
});

Deno.test("new EventLoop() names what an engine, a clock or an option lacks", () => {
  const engine = { name: "half", start() {}, soon() {} } as unknown as Engine;
  assertThrows(() => new EventLoop({ engine }), TypeError, "engine must have a method connect(), got Object");
  assertThrows(
    () => new EventLoop({ engine: null as never }),
    TypeError,
    "engine must have a method start(), got null",
  );
  assertThrows(() => new EventLoop({ clock: {} as never }), TypeError, "clock must have a method now(), got Object");
  assertThrows(() => new EventLoop(null as never), TypeError, "options must be a plain object, got null");
});

Deno.test("setRunningLoop() refuses another loop once getRunningLoop() has returned one", () => {
  assertThrows(() => setRunningLoop(makeLoop()), InvalidStateError, "must be called before getRunningLoop()");
  assertThrows(() => setRunningLoop({} as never), TypeError, "setRunningLoop(): loop must be an EventLoop, got Object");
  setRunningLoop(loop);
  assertStrictEquals(getRunningLoop(), loop);
});

Deno.test("setRunningLoop() before the first use decides what getRunningLoop() returns", async () => {
  const { code, stdout, stderr } = await runProgram(`
    import { EventLoop, getRunningLoop, setRunningLoop } from "@tandem/io";
    setRunningLoop(new EventLoop());
    const loop = new EventLoop();
    setRunningLoop(loop);
    console.log(getRunningLoop() === loop);
  `);
  assertEquals([code, stdout, stderr], [0, "true\n", ""]);
});

Deno.test("server.port is the port of the first address, and a Unix socket has none", async () => {
  await using server = await loop.createServer(() => new Protocol(), { hostname: "127.0.0.1", port: 0 });
  assertEquals(server.port, portOf(server));
  using temp = tempPath();
  await using unix = await loop.createUnixServer(() => new Protocol(), { path: temp.path });
  assertThrows(() => unix.port, InvalidStateError, "port: a Unix socket has no port; see addresses");
});
