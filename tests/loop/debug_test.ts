import { makeLoop } from "../engine.ts";
import { assert, assertEquals, assertMatch, assertStrictEquals, assertThrows } from "../std.ts";
import { DatagramProtocol, type DatagramTransport } from "../../mod.ts";
import { runProgram } from "../program.ts";
import { BufferedRecorder, bytes, captureExceptions, connect, ManualClock, Recorder, turn } from "../kit.ts";
import { ProcessRecorder } from "../processes/kit.ts";

/** Callbacks are as slow here as the tests say: the clock stands still but for them. */
const clock = new ManualClock();
const loop = makeLoop({ clock });

/** Switches debug mode on; leaving the scope switches it off again. */
function debug(slowCallbackDuration: number): Disposable {
  const before = loop.slowCallbackDuration;
  loop.setDebug(true);
  loop.slowCallbackDuration = slowCallbackDuration;
  return {
    [Symbol.dispose]() {
      loop.setDebug(false);
      loop.slowCallbackDuration = before;
    },
  };
}

const SLOW = 50;

/** Takes as long as is slow. */
function dawdle(): void {
  clock.skip(SLOW);
}

function messages(contexts: { message: string }[]): string[] {
  return contexts.map(({ message }) => message);
}

Deno.test("setDebug() switches debug mode, which is off to begin with; a callback is slow from 100 ms on", () => {
  assertEquals([loop.getDebug(), loop.slowCallbackDuration], [false, 100]);
  {
    using _ = debug(5);
    assertEquals([loop.getDebug(), loop.slowCallbackDuration], [true, 5]);
  }
  assertEquals([loop.getDebug(), loop.slowCallbackDuration], [false, 100]);
  assertThrows(() => loop.slowCallbackDuration = "5" as unknown as number, TypeError, "slowCallbackDuration");
  assertThrows(() => loop.slowCallbackDuration = NaN, RangeError, "slowCallbackDuration");
  assertEquals(loop.slowCallbackDuration, 100);
});

Deno.test("debug mode tells of slow callbacks of callSoon() and callLater(), with how long they took", async () => {
  using exceptions = captureExceptions(loop);
  using _ = debug(SLOW);
  const soon = loop.callSoon(function lazy() {
    dawdle();
  });
  loop.callSoon(function quick() {});
  const later = loop.callLater(1, function lazier() {
    dawdle();
  });
  await exceptions.log.until(() => exceptions.contexts.length === 1);
  await clock.advance(1, loop);
  assertEquals(messages(exceptions.contexts), ["Executing lazy took 50 ms", "Executing lazier took 50 ms"]);
  assertStrictEquals(exceptions.contexts[0]!.handle, soon);
  assertStrictEquals(exceptions.contexts[1]!.handle, later);
});

Deno.test("slow callbacks are not reported without debug mode", async () => {
  using exceptions = captureExceptions(loop);
  {
    using _ = debug(SLOW);
  }
  loop.callSoon(dawdle);
  await turn(loop);
  await turn(loop);
  assertEquals(exceptions.contexts, []);
});

Deno.test("debug mode tells of every slow callback of a stream's protocol", async () => {
  using exceptions = captureExceptions(loop);
  using _ = debug(SLOW);
  class Lazy extends Recorder {
    override connectionMade(transport: typeof this.transport): void {
      super.connectionMade(transport);
      dawdle();
    }
    override dataReceived(data: Uint8Array): void {
      dawdle();
      super.dataReceived(data);
    }
    override eofReceived(): boolean {
      dawdle();
      return super.eofReceived();
    }
    override connectionLost(error: Error | null): void {
      dawdle();
      super.connectionLost(error);
    }
  }
  await using pair = await connect(() => new Lazy(), () => new Recorder(), { loop });
  const { serverSide } = pair;
  pair.clientTransport.write(bytes("hello"));
  await serverSide.untilReceived(5);
  pair.clientTransport.close();
  await serverSide.untilLost();
  await turn(loop);
  const ofProtocol = exceptions.contexts.filter(({ handle }) => handle === undefined);
  assertEquals(messages(ofProtocol), [
    "Executing protocol.connectionMade() took 50 ms",
    "Executing protocol.dataReceived() took 50 ms",
    "Executing protocol.eofReceived() took 50 ms",
    "Executing protocol.connectionLost() took 50 ms",
  ]);
  for (const { transport, protocol } of ofProtocol) {
    assertStrictEquals(transport, serverSide.transport);
    assertStrictEquals(protocol, serverSide);
  }
});

Deno.test("debug mode tells of slow callbacks of a BufferedProtocol", async () => {
  using exceptions = captureExceptions(loop);
  using _ = debug(SLOW);
  class Lazy extends BufferedRecorder {
    override getBuffer(sizeHint: number): Uint8Array {
      if (this.received === 0) dawdle();
      return super.getBuffer(sizeHint);
    }
    override bufferUpdated(nbytes: number): void {
      dawdle();
      super.bufferUpdated(nbytes);
    }
  }
  await using pair = await connect(() => new Lazy(), () => new Recorder(), { loop });
  pair.clientTransport.write(bytes("hello"));
  await pair.serverSide.untilReceived(5);
  await turn(loop);
  assertEquals(messages(exceptions.contexts.filter(({ handle }) => handle === undefined)), [
    "Executing protocol.getBuffer() took 50 ms",
    "Executing protocol.bufferUpdated() took 50 ms",
  ]);
});

Deno.test("debug mode tells of slow callbacks of datagrams and processes", async () => {
  using exceptions = captureExceptions(loop);
  using _ = debug(SLOW);
  const received = Promise.withResolvers<void>();
  class Lazy extends DatagramProtocol {
    override connectionMade(transport: DatagramTransport): void {
      transport.sendto(bytes("x"), transport.getExtraInfo("sockname"));
    }
    override datagramReceived(): void {
      dawdle();
      received.resolve();
    }
  }
  const localAddr = { hostname: "127.0.0.1", port: 0 };
  const [transport] = await loop.createDatagramEndpoint(() => new Lazy(), { localAddr });
  await received.promise;
  transport.close();
  class LazyParent extends ProcessRecorder {
    override processExited(): void {
      dawdle();
      super.processExited();
    }
  }
  const [, child] = await loop.subprocessExec(() => new LazyParent(), "true");
  await child.untilLost();
  assertEquals(messages(exceptions.contexts.filter(({ handle }) => handle === undefined)), [
    "Executing protocol.datagramReceived() took 50 ms",
    "Executing protocol.processExited() took 50 ms",
  ]);
});

/** What a program's exception handler was told, and what it has printed itself. */
async function messagesOf(source: string): Promise<string[]> {
  const { code, stdout, stderr } = await runProgram(
    `
    import { getRunningLoop, Protocol, socketPair } from "@tandem/io";
    const loop = getRunningLoop();
    loop.setExceptionHandler(({ message }) => console.log(message));
    const connect = async () => {
      const [near, far] = await socketPair();
      const [transport] = await loop.createConnection(() => new Protocol(), { conn: near });
      return [transport, far];
    };
    const later = (ms) => new Promise((resolve) => loop.callLater(ms, resolve));
    /** Makes a transport that nothing refers to. */
    const drop = async (end = () => {}) => {
      const [transport] = await loop.connectWritePipe(() => ({}), new WritableStream());
      await end(transport);
    };
    const collect = async () => {
      for (let i = 0; i < 3; i++) {
        await later(1);
        gc();
      }
      await later(1);
    };
    ${source}
  `,
    { flags: ["--allow-net", "--v8-flags=--expose-gc"] },
  );
  assertEquals([code, stderr], [0, ""]);
  return stdout.split("\n").filter((line) => line !== "");
}

Deno.test("debug mode tells of transports that are open when the process ends", async () => {
  const messages = await messagesOf(`
    loop.setDebug(true);
    await connect();
    const [closed] = await connect();
    closed.close();
    await later(1);
    const [closing] = await connect();
    closing.close();
    const [datagrams] = await loop.createDatagramEndpoint(() => ({}), { localAddr: { hostname: "127.0.0.1", port: 0 } });
    console.log("end");
    Deno.exit();
  `);
  assertEquals(messages[0], "end");
  assertEquals(messages.slice(1).sort(), ["DatagramTransport was never closed", "StreamTransport was never closed"]);
});

Deno.test("transports that are open when the process ends are not reported without debug mode", async () => {
  assertEquals(await messagesOf(`await connect(); Deno.exit();`), []);
  assertEquals(await messagesOf(`loop.setDebug(true); await connect(); loop.setDebug(false); Deno.exit();`), []);
});

Deno.test("debug mode tells of a transport that is dropped without being closed", async () => {
  assertEquals(await messagesOf(`loop.setDebug(true); await drop(); await collect(); Deno.exit();`), [
    "StreamTransport was dropped without being closed",
  ]);
});

Deno.test("debug mode does not tell of a dropped transport that was closed, even while debug mode was off", async () => {
  const messages = await messagesOf(`
    loop.setDebug(true);
    await drop((transport) => transport.close());
    await drop((transport) => transport.abort());
    await later(1);
    await drop(async (transport) => {
      loop.setDebug(false);
      transport.close();
      await later(1);
      loop.setDebug(true);
    });
    await collect();
    console.log("collected");
    Deno.exit();
  `);
  assertEquals(messages, ["collected"]);
});

Deno.test("debug mode on its own changes nothing: what works without it works with it", async () => {
  using exceptions = captureExceptions(loop);
  using _ = debug(10_000);
  {
    await using pair = await connect(() => new Recorder(), () => new Recorder(), { loop });
    pair.clientTransport.write(bytes("hello"));
    await pair.serverSide.untilReceived(5);
    assertMatch(pair.serverSide.text, /^hello$/);
    assert(!pair.clientTransport.isClosing());
  }
  assertEquals(exceptions.contexts, []);
});
