/** What write(), writeOwned() and writelines() promise: rules 9, 10 and 12. */
import { InvalidStateError, type Transport } from "../../../mod.ts";
import { assertEquals, assertGreater, assertInstanceOf, assertThrows } from "../../std.ts";
import { assertBytes, BufferedRecorder, bytes, concat, pattern, Recorder } from "../../kit.ts";
import { Scenarios } from "../scenario.ts";

const MIB = 1024 * 1024;

export const writing = new Scenarios();

writing.add("write() gives the array back: changing it afterwards changes nothing of what arrives", async (medium) => {
  for (const size of [1, 100, 4096, 5000, 256 * 1024, 256 * 1024 + 1, 3 * MIB]) {
    await using pair = await medium.recorders();
    const data = pattern(size);
    pair.clientTransport.write(data);
    data.fill(255);
    pair.clientTransport.writelines([data.fill(254).subarray(0, 7)]);
    data.fill(253);
    pair.clientTransport.close();
    await pair.serverSide.untilLost();
    assertBytes(pair.serverSide.data, concat([pattern(size), new Uint8Array(Math.min(7, size)).fill(254)]));
  }
});

writing.add("write() takes a view of any buffer, and sends that part only", async (medium) => {
  await using pair = await medium.recorders();
  const whole = bytes("0123456789");
  pair.clientTransport.write(whole.subarray(2, 4));
  pair.clientTransport.writeOwned(whole.subarray(6, 8));
  const shared = new Uint8Array(new SharedArrayBuffer(8), 2, 3);
  shared.set(bytes("abc"));
  pair.clientTransport.write(shared);
  pair.clientTransport.close();
  await pair.serverSide.untilLost();
  assertEquals(pair.serverSide.text, "2367abc");
});

writing.add("write() never blocks: it takes megabytes at once while the peer does not read", async (medium) => {
  await using pair = await medium.recorders();
  const { serverSide, clientSide } = pair;
  clientSide.transport.pauseReading();
  const piece = medium.much / 16;
  for (let i = 0; i < 16; i++) serverSide.transport.write(pattern(piece, i));
  assertGreater(serverSide.transport.getWriteBufferSize(), 64 * 1024);
  serverSide.transport.close();
  clientSide.transport.resumeReading();
  await clientSide.untilLost();
  await serverSide.untilLost();
  assertBytes(clientSide.data, concat(Array.from({ length: 16 }, (_, i) => pattern(piece, i))));
});

writing.add("write() never throws for a lost connection, before, at and after connectionLost()", async (medium) => {
  await using pair = await medium.recorders({ keepOpen: true });
  const { transport, log } = pair.serverSide;
  let inside = false;
  pair.serverSide.connectionLost = () => {
    assertEquals(inside, false);
    log.add("connectionLost");
    transport.write(bytes("in connectionLost"));
  };
  pair.clientTransport.abort();
  while (!log.entries.includes("connectionLost")) {
    inside = true;
    transport.write(bytes("a"));
    transport.writeOwned(bytes("b"));
    transport.writelines([bytes("c")]);
    inside = false;
    await medium.turn();
  }
  transport.write(bytes("after"));
  transport.writeOwned(pattern(MIB));
  transport.writelines([bytes("after")]);
  await medium.turn();
  assertEquals(log.entries.filter((entry) => entry !== "eofReceived"), ["connectionMade", "connectionLost"]);
  assertEquals(transport.getWriteBufferSize(), 0);
});

writing.add("write() of many small pieces in one callback arrives as one", async (medium) => {
  class Lines extends Recorder {
    override dataReceived(): void {
      for (let i = 0; i < 100; i++) this.transport.write(bytes(`line ${10 + i % 90}\n`));
    }
  }
  await using pair = await medium.connect(() => new Lines(), () => new BufferedRecorder());
  pair.clientTransport.write(bytes("go"));
  await pair.clientSide.untilReceived(800);
  assertEquals(pair.clientSide.log.entries, ["connectionMade", "bufferUpdated 800"]);
});

writing.add("writelines() sends any iterable of pieces as if they were one", async (medium) => {
  await using pair = await medium.recorders();
  const transport = pair.clientTransport;
  transport.writelines([bytes("a"), bytes(""), bytes("b")]);
  transport.writelines(new Set([bytes("c"), bytes("d")]));
  transport.writelines((function* () {
    for (let i = 0; i < 3; i++) yield bytes(`${i}`);
  })());
  transport.writelines([]);
  transport.close();
  await pair.serverSide.untilLost();
  assertEquals(pair.serverSide.text, "abcd012");
});

writing.add(
  "writelines() sends nothing at all if one piece is no Uint8Array, or the iterable throws",
  async (medium) => {
    await using pair = await medium.recorders();
    const transport = pair.clientTransport;
    assertThrows(
      () => transport.writelines([bytes("a"), "b" as unknown as Uint8Array]),
      TypeError,
      'pieces[1] must be a Uint8Array, got string "b"',
    );
    assertThrows(
      () =>
        transport.writelines((function* () {
          yield bytes("a");
          throw new RangeError("no more");
        })()),
      RangeError,
      "no more",
    );
    transport.write(bytes("only this"));
    transport.close();
    await pair.serverSide.untilLost();
    assertEquals(pair.serverSide.text, "only this");
  },
);

writing.add(
  "write(), writeOwned() and writelines() of something else than a Uint8Array are a TypeError that names it",
  async (medium) => {
    await using pair = await medium.recorders();
    const transport = pair.clientTransport;
    const wrong: [unknown, string][] = [
      ["text", 'string "text"'],
      [new ArrayBuffer(3), "ArrayBuffer"],
      [null, "null"],
      [undefined, "undefined"],
      [[1, 2, 3], "Array"],
      [42, "number 42"],
      [new Uint16Array(2), "Uint16Array"],
    ];
    for (const [value, name] of wrong) {
      const data = value as Uint8Array;
      assertThrows(() => transport.write(data), TypeError, `write(): data must be a Uint8Array, got ${name}`);
      assertThrows(() => transport.writeOwned(data), TypeError, `writeOwned(): data must be a Uint8Array, got ${name}`);
      assertThrows(() => transport.writelines([data]), TypeError, `got ${name}`);
    }
    transport.write(bytes("unharmed"));
    transport.close();
    await pair.serverSide.untilLost();
    assertEquals(pair.serverSide.text, "unharmed");
  },
);

writing.add(
  "write(), writeOwned() and writelines() after writeEof() are an InvalidStateError that names the method",
  async (medium) => {
    await using pair = await medium.recorders();
    const transport = pair.clientTransport;
    transport.writeEof();
    for (const data of [bytes("late"), bytes("")]) {
      const error = assertThrows(() => transport.write(data), InvalidStateError, "write()");
      assertEquals(error.name, "InvalidStateError");
      assertInstanceOf(error, DOMException);
      assertThrows(() => transport.writeOwned(data), InvalidStateError, "writeOwned()");
      assertThrows(() => transport.writelines([data]), InvalidStateError, "writelines()");
    }
    assertThrows(() => transport.write("late" as unknown as Uint8Array), TypeError);
    await pair.serverSide.untilLost();
    assertEquals(pair.serverSide.log.entries, ["connectionMade", "eofReceived", "connectionLost null"]);
  },
  { halfCloses: true },
);

writing.add("an empty write is nothing", async (medium) => {
  await using pair = await medium.recorders();
  const transport: Transport = pair.clientTransport;
  transport.write(bytes(""));
  transport.writeOwned(bytes(""));
  transport.writelines([]);
  transport.writelines([bytes(""), bytes("")]);
  assertEquals(transport.getWriteBufferSize(), 0);
  await medium.roundTrip();
  assertEquals(pair.serverSide.log.entries, ["connectionMade"]);
});

writing.add(
  "write(), writeOwned() and writelines() keep their order while the peer reads and pauses",
  async (medium) => {
    await using pair = await medium.recorders();
    const { serverSide, clientSide } = pair;
    const sent: Uint8Array[] = [];
    for (let i = 0; i < 300; i++) {
      const data = pattern(1 + i * 977 % (i % 5 === 0 ? 100_000 : 300), i);
      sent.push(data.slice());
      if (i % 3 === 0) clientSide.transport.write(data);
      else if (i % 3 === 1) clientSide.transport.writeOwned(data);
      else clientSide.transport.writelines([data.subarray(0, 5), data.subarray(5)]);
      if (i % 20 === 0) serverSide.transport.pauseReading();
      if (i % 20 === 10) serverSide.transport.resumeReading();
      if (i % 7 === 0) await medium.turn();
    }
    clientSide.transport.close();
    await serverSide.untilLost();
    await clientSide.untilLost();
    assertBytes(serverSide.data, concat(sent));
  },
);
