/** What reading and pausing promise: rules 6 and 7. */
import { Protocol, type Transport } from "../../../mod.ts";
import { assert, assertEquals, assertGreater, assertInstanceOf, assertStrictEquals } from "../../std.ts";
import { assertStringIncludes } from "../../std.ts";
import { assertBytes, BufferedRecorder, bytes, concat, pattern, Recorder, text } from "../../kit.ts";
import { type Medium, Scenarios } from "../scenario.ts";

const MIB = 1024 * 1024;

export const reading = new Scenarios();

reading.add("dataReceived() is given every byte in order, however they were cut", async (medium) => {
  await using pair = await medium.recorders();
  const sent: Uint8Array[] = [];
  for (let size = 1; size < 300_000; size = Math.ceil(size * 1.7)) sent.push(pattern(size, size));
  for (const piece of sent) pair.clientTransport.write(piece);
  pair.clientTransport.close();
  await pair.serverSide.untilLost();
  assertBytes(pair.serverSide.data, concat(sent));
  assert(pair.serverSide.pieces.every((piece) => piece.length > 0));
});

reading.add("bufferUpdated() is given every byte in order, in buffers of any size", async (medium) => {
  for (const size of [1, 3, 1000, 65536, MIB]) {
    const total = size < 10 ? 2000 : size < MIB ? MIB : 3 * MIB;
    await using pair = await medium.connect(() => new BufferedRecorder(size), () => new Recorder());
    pair.clientTransport.write(pattern(total));
    pair.clientTransport.close();
    await pair.serverSide.untilLost();
    assertBytes(pair.serverSide.data, pattern(total), `a buffer of ${size}`);
  }
});

reading.add(
  "bufferUpdated() tells of bytes at the start of what getBuffer() gave, and the rest of it is untouched",
  async (medium) => {
    await using pair = await medium.connect(() => new BufferedRecorder(100), () => new Recorder());
    const { buffer } = pair.serverSide;
    buffer.fill(0xee);
    pair.clientTransport.write(bytes("straight"));
    await pair.serverSide.untilReceived(8);
    assertEquals(text(buffer.subarray(0, 8)), "straight");
    assertEquals(buffer.subarray(8), new Uint8Array(92).fill(0xee));
  },
);

reading.add("getBuffer() is asked once for each bufferUpdated(), with a positive size hint", async (medium) => {
  const events: string[] = [];
  class Watches extends BufferedRecorder {
    override getBuffer(sizeHint: number): Uint8Array {
      assertGreater(sizeHint, 0);
      events.push("getBuffer");
      return super.getBuffer(sizeHint);
    }
    override bufferUpdated(nbytes: number): void {
      events.push(`bufferUpdated ${nbytes}`);
      super.bufferUpdated(nbytes);
    }
  }
  await using pair = await medium.connect(() => new Watches(4), () => new Recorder());
  for (const word of ["one", "four", "5five"]) {
    const before = pair.serverSide.received;
    pair.clientTransport.write(bytes(word));
    await pair.serverSide.untilReceived(before + word.length);
  }
  await medium.turn();
  // An engine that asks before bytes are there has asked for the next ones.
  if (events.at(-1) === "getBuffer") events.pop();
  const updates = [3, 4, 4, 1].flatMap((count) => ["getBuffer", `bufferUpdated ${count}`]);
  assertEquals(events, updates);
});

reading.add("getBuffer() that returns an empty array is fatal", async (medium) => {
  await expectFatalBuffer(medium, () => new Uint8Array(0), "empty");
});

reading.add("getBuffer() that returns something else than a Uint8Array is fatal and named", async (medium) => {
  await expectFatalBuffer(medium, () => new ArrayBuffer(8), "ArrayBuffer");
  await expectFatalBuffer(medium, () => null, "null");
  await expectFatalBuffer(medium, () => undefined, "undefined");
  await expectFatalBuffer(medium, () => "text", "string");
  await expectFatalBuffer(medium, () => new DataView(new ArrayBuffer(8)), "DataView");
});

async function expectFatalBuffer(medium: Medium, getBuffer: () => unknown, included: string): Promise<void> {
  using captured = medium.captureExceptions();
  class Bad extends BufferedRecorder {
    override getBuffer(): Uint8Array {
      return getBuffer() as Uint8Array;
    }
  }
  await using pair = await medium.connect(() => new Bad(), () => new Recorder());
  const { serverSide } = pair;
  // An engine may ask only when bytes are there.
  pair.clientTransport.write(bytes("x"));
  await serverSide.untilLost();
  await pair.clientSide.untilLost();
  assertEquals(serverSide.log.entries, ["connectionMade", `connectionLost ${serverSide.error!.name}`]);
  assertEquals(captured.contexts.length, 1);
  const { message, error, transport, protocol } = captured.contexts[0]!;
  assertEquals(message, "Fatal error: protocol.getBuffer() call failed.");
  assertStrictEquals(error, serverSide.error!);
  assertStrictEquals<unknown>(transport, serverSide.transport);
  assertStrictEquals<unknown>(protocol, serverSide);
  assertInstanceOf(error, Error);
  assertStringIncludes(error.message, included);
}

reading.add("pauseReading() and resumeReading() are idempotent", async (medium) => {
  await using pair = await medium.recorders();
  const { serverSide, clientSide } = pair;
  const { transport } = serverSide;
  transport.resumeReading();
  transport.pauseReading();
  transport.pauseReading();
  assertEquals(transport.isReading(), false);
  clientSide.transport.write(bytes("one"));
  await medium.roundTrip();
  assertEquals(serverSide.received, 0);
  transport.resumeReading();
  transport.resumeReading();
  assertEquals(transport.isReading(), true);
  await serverSide.untilReceived(3);
  transport.resumeReading();
  clientSide.transport.write(bytes("four"));
  await serverSide.untilReceived(7);
  assertEquals(serverSide.log.entries, ["connectionMade", "dataReceived 3", "dataReceived 4"]);
  transport.abort();
  transport.pauseReading();
  transport.resumeReading();
  assertEquals(transport.isReading(), false);
});

reading.add(
  "pauseReading() holds what arrives until resumeReading(), in order, and gives it in a later turn",
  async (medium) => {
    await using pair = await medium.recorders();
    const { serverSide, clientSide } = pair;
    serverSide.transport.pauseReading();
    clientSide.transport.write(bytes("in flight"));
    await medium.roundTrip();
    clientSide.transport.write(bytes(", and next"));
    await medium.roundTrip();
    assertEquals(serverSide.log.entries, ["connectionMade"]);
    serverSide.transport.resumeReading();
    assertEquals(serverSide.received, 0);
    await serverSide.untilReceived(19);
    assertEquals(serverSide.text, "in flight, and next");
  },
);

reading.add("pauseReading() right after resumeReading() lets nothing through", async (medium) => {
  await using pair = await medium.recorders();
  const { serverSide, clientSide } = pair;
  serverSide.transport.pauseReading();
  clientSide.transport.write(bytes("held"));
  await medium.roundTrip();
  for (let i = 0; i < 3; i++) {
    serverSide.transport.resumeReading();
    serverSide.transport.pauseReading();
  }
  await medium.roundTrip();
  assertEquals(serverSide.received, 0);
  serverSide.transport.resumeReading();
  await serverSide.untilReceived(4);
  assertEquals(serverSide.text, "held");
});

reading.add("pauseReading() lets nothing run while paused, loses nothing, and slows the peer down", async (medium) => {
  await using pair = await medium.recorders();
  const { serverSide, clientSide } = pair;
  serverSide.transport.pauseReading();
  clientSide.transport.write(pattern(medium.much));
  // The other direction still works.
  for (let i = 1; i <= 5; i++) {
    serverSide.transport.write(bytes("ping"));
    await clientSide.untilReceived(4 * i);
  }
  await medium.roundTrip();
  assertEquals(serverSide.received, 0);
  assertGreater(clientSide.transport.getWriteBufferSize(), 0);
  serverSide.transport.resumeReading();
  await serverSide.untilReceived(medium.much);
  assertBytes(serverSide.data, pattern(medium.much));
});

reading.add("pauseReading() inside dataReceived() stops after that piece", async (medium) => {
  class Sips extends Recorder {
    override dataReceived(data: Uint8Array): void {
      super.dataReceived(data);
      this.transport.pauseReading();
    }
  }
  await using pair = await medium.connect(() => new Sips(), () => new Recorder());
  const { serverSide } = pair;
  const total = MIB;
  pair.clientTransport.write(pattern(total));
  while (serverSide.received < total) {
    const before = serverSide.pieces.length;
    await serverSide.log.until(() => serverSide.pieces.length > before || serverSide.received === total);
    for (let i = 0; i < 3; i++) await medium.turn();
    assertEquals(serverSide.pieces.length, before + 1);
    serverSide.transport.resumeReading();
  }
  assertBytes(serverSide.data, pattern(total));
});

reading.add("pauseReading() inside bufferUpdated() stops after that piece", async (medium) => {
  class Sips extends BufferedRecorder {
    override bufferUpdated(nbytes: number): void {
      super.bufferUpdated(nbytes);
      this.transport.pauseReading();
    }
  }
  await using pair = await medium.connect(() => new Sips(10_000), () => new Recorder());
  const { serverSide } = pair;
  pair.clientTransport.write(pattern(100_000));
  while (serverSide.received < 100_000) {
    const before = serverSide.pieces.length;
    await serverSide.log.until(() => serverSide.pieces.length > before);
    for (let i = 0; i < 3; i++) await medium.turn();
    assertEquals(serverSide.pieces.length, before + 1);
    serverSide.transport.resumeReading();
  }
  assertBytes(serverSide.data, pattern(100_000));
});

reading.add("pauseReading() and resumeReading() inside one callback keep order and lose nothing", async (medium) => {
  class Nervous extends Recorder {
    override dataReceived(data: Uint8Array): void {
      this.transport.pauseReading();
      super.dataReceived(data);
      this.transport.resumeReading();
    }
  }
  await using pair = await medium.connect(() => new Nervous(), () => new Recorder());
  for (let i = 0; i < 64; i++) pair.clientTransport.write(pattern(64 * 1024, i));
  pair.clientTransport.close();
  await pair.serverSide.untilLost();
  assertBytes(pair.serverSide.data, concat(Array.from({ length: 64 }, (_, i) => pattern(64 * 1024, i))));
});

reading.add("pauseReading() in connectionMade() holds the first bytes", async (medium) => {
  class Late extends Recorder {
    override connectionMade(transport: Transport): void {
      super.connectionMade(transport);
      transport.pauseReading();
    }
  }
  await using pair = await medium.connect(() => new Late(), () => new Late());
  for (const [here, there] of [[pair.serverSide, pair.clientSide], [pair.clientSide, pair.serverSide]] as const) {
    there.transport.write(bytes("early"));
    await medium.roundTrip();
    assertEquals(here.received, 0);
    here.transport.resumeReading();
    await here.untilReceived(5);
    assertEquals(here.text, "early");
  }
});

reading.add("pauseReading() in the turn in which createConnection() resolves is in time", async (medium) => {
  class Greeter extends Protocol {
    override connectionMade(transport: Transport): void {
      transport.write(bytes("hello"));
    }
  }
  await using server = await medium.serve(() => new Greeter());
  const [transport, client] = await medium.dial(server, () => new Recorder());
  transport.pauseReading();
  for (let i = 0; i < 20; i++) await medium.turn();
  assertEquals(client.received, 0);
  transport.resumeReading();
  await client.untilReceived(5);
  assertEquals(client.text, "hello");
  transport.close();
  await client.untilLost();
});
