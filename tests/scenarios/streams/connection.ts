/** What a stream promises about its beginning and its end: rules 1 and 2. */
import { Protocol, type StreamCallbacks, type Transport } from "../../../mod.ts";
import { assert, assertEquals, assertNotEquals, assertStrictEquals } from "../../std.ts";
import { bytes, EventLog, pattern, Recorder } from "../../kit.ts";
import { type Medium, Scenarios } from "../scenario.ts";

export const connection = new Scenarios();

connection.add("connectionMade() runs once and before createConnection() resolves", async (medium) => {
  const client = new Recorder();
  await using pair = await medium.connect(() => new Recorder(), () => client);
  assertEquals(client.log.entries, ["connectionMade"]);
  assertStrictEquals(client.transport, pair.clientTransport);
  assertEquals(pair.serverSide.log.entries, ["connectionMade"]);
});

connection.add(
  "connectionMade() runs before any data on a server whose client has sent and left already",
  async (medium) => {
    class Brief extends Recorder {
      override connectionMade(transport: Transport): void {
        super.connectionMade(transport);
        transport.write(bytes("early"));
        transport.close();
      }
    }
    const recorder = new Recorder();
    await using server = await medium.serve(() => recorder, { startServing: false });
    const dialling = medium.dial(server, () => new Brief());
    for (let i = 0; i < 10; i++) await medium.turn();
    assertEquals(recorder.log.entries, []);
    server.startServing();
    const [, client] = await dialling;
    await recorder.untilLost();
    await client.untilLost();
    assertEquals(recorder.log.entries, ["connectionMade", "dataReceived 5", "eofReceived", "connectionLost null"]);
  },
);

connection.add("createConnection() gives back the factory's own object", async (medium) => {
  class Own extends Protocol {
    readonly answer = 42;
  }
  const own = new Own();
  await using pair = await medium.connect(() => new Recorder(), () => own);
  assertStrictEquals(pair.clientSide, own);
  assertStrictEquals(pair.clientTransport.getProtocol(), own);
});

connection.add("a plain object with some of the callbacks works as a protocol", async (medium) => {
  const events = new EventLog();
  const serverSide = { dataReceived: (data: Uint8Array) => events.add(`server ${data.length}`) };
  const clientSide = { connectionLost: (error: Error | null) => events.add(`client ${error}`) };
  await using pair = await medium.connect((): StreamCallbacks => serverSide, (): StreamCallbacks => clientSide);
  pair.clientTransport.write(bytes("four"));
  await events.has("server");
  pair.clientTransport.close();
  await events.has("client");
  assertEquals(events.entries, ["server 4", "client null"]);
});

connection.add("a plain object with no callback at all reads to the end and closes", async (medium) => {
  await using pair = await medium.connect((): StreamCallbacks => ({}), () => new Recorder());
  pair.clientTransport.write(bytes("never delivered"));
  medium.end(pair.clientTransport);
  await pair.clientSide.untilLost();
  pair.server.close();
  await pair.server.waitClosed();
  assertEquals(pair.clientSide.error, null);
});

connection.add("connectionLost() runs once and last when this side closes", async (medium) => {
  await using pair = await medium.recorders();
  const { serverSide, clientSide } = pair;
  clientSide.transport.write(bytes("one"));
  await serverSide.untilReceived(3);
  serverSide.transport.close();
  clientSide.transport.write(bytes("two"));
  await serverSide.untilLost();
  await afterTheEnd(medium, serverSide);
  assertEquals(serverSide.log.entries, ["connectionMade", "dataReceived 3", "connectionLost null"]);
});

connection.add("connectionLost() runs once and last when this side aborts", async (medium) => {
  await using pair = await medium.recorders();
  const { serverSide } = pair;
  serverSide.transport.write(pattern(1000));
  serverSide.transport.abort();
  await serverSide.untilLost();
  await afterTheEnd(medium, serverSide);
  assertEquals(serverSide.log.entries, ["connectionMade", "connectionLost null"]);
});

connection.add("connectionLost() runs once and last, with null, when the peer closes", async (medium) => {
  await using pair = await medium.recorders();
  const { serverSide } = pair;
  pair.clientTransport.close();
  await serverSide.untilLost();
  await afterTheEnd(medium, serverSide);
  assertEquals(serverSide.log.entries, ["connectionMade", "eofReceived", "connectionLost null"]);
});

connection.add("connectionLost() runs once and last when the peer aborts", async (medium) => {
  await using pair = await medium.recorders({ keepOpen: true });
  const { serverSide } = pair;
  pair.clientTransport.abort();
  while (serverSide.error === undefined) {
    serverSide.transport.write(bytes("anybody there?"));
    await medium.turn();
  }
  await afterTheEnd(medium, serverSide);
  const { entries } = serverSide.log;
  assertEquals(entries.filter((entry) => entry.startsWith("connection")).length, 2);
  assertEquals([entries[0], entries.at(-1)!.split(" ")[0]], ["connectionMade", "connectionLost"]);
});

connection.add(
  "connectionLost() never runs inside close(), abort() or write(), but in a later turn",
  async (medium) => {
    for (const method of ["close", "abort"] as const) {
      await using pair = await medium.recorders();
      const { transport, log } = pair.serverSide;
      transport[method]();
      transport.write(bytes("dropped"));
      assertEquals(log.entries, ["connectionMade"], method);
      for (let i = 0; i < 50; i++) await Promise.resolve();
      assertEquals(log.entries, ["connectionMade"], method);
      await pair.serverSide.untilLost();
      assertEquals(log.entries, ["connectionMade", "connectionLost null"], method);
    }
  },
);

connection.add(
  "close() inside connectionMade() lets createConnection() resolve before connectionLost()",
  async (medium) => {
    for (const method of ["close", "abort"] as const) {
      class Shy extends Recorder {
        override connectionMade(transport: Transport): void {
          super.connectionMade(transport);
          transport[method]();
        }
      }
      await using pair = await medium.recorders();
      const client = new Shy();
      await medium.dial(pair.server, () => client);
      client.log.add("resolved");
      await client.untilLost();
      assertEquals(client.log.entries, ["connectionMade", "resolved", "connectionLost null"], method);
    }
  },
);

connection.add("a server's close() inside connectionMade() reads nothing", async (medium) => {
  class Shy extends Recorder {
    override connectionMade(transport: Transport): void {
      super.connectionMade(transport);
      transport.write(bytes("bye"));
      transport.close();
    }
  }
  await using pair = await medium.connect(() => new Shy(), () => new Recorder());
  await pair.clientSide.untilLost();
  await pair.serverSide.untilLost();
  assertEquals(pair.serverSide.log.entries, ["connectionMade", "connectionLost null"]);
  assertEquals(pair.clientSide.text, "bye");
});

connection.add("getExtraInfo() still answers after the transport has closed", async (medium) => {
  await using pair = await medium.recorders();
  const { clientTransport, clientSide, serverSide } = pair;
  const ask = () => [clientTransport, serverSide.transport].map((transport) => transport.getExtraInfo("peername"));
  const before = ask();
  assertEquals(before[0], pair.server.addresses[0]!);
  assertNotEquals(before[1], null);
  clientTransport.close();
  await clientSide.untilLost();
  await serverSide.untilLost();
  await medium.turn();
  assertEquals(ask(), before);
});

connection.add("getExtraInfo() gives the default for what it does not know", async (medium) => {
  await using pair = await medium.recorders();
  const transport = pair.clientTransport;
  assertEquals(transport.getExtraInfo("pipe"), null);
  assertEquals(transport.getExtraInfo("pipe", "none"), "none");
  assertEquals(transport.getExtraInfo("toString"), null);
});

connection.add("using closes the transport at the end of its scope", async (medium) => {
  await using pair = await medium.recorders();
  {
    using scoped: Transport = pair.clientTransport;
    scoped.write(bytes("scoped"));
    assert(!scoped.isClosing());
  }
  assert(pair.clientTransport.isClosing());
  await pair.serverSide.untilLost();
  await pair.clientSide.untilLost();
  assertEquals(pair.serverSide.text, "scoped");
  assertEquals(pair.clientSide.log.entries, ["connectionMade", "connectionLost null"]);
});

/** Provokes whatever might still call a protocol whose connection is lost. */
async function afterTheEnd(medium: Medium, { transport }: Recorder): Promise<void> {
  transport.write(pattern(200_000));
  transport.setWriteBufferLimits({ high: 0 });
  transport.pauseReading();
  transport.resumeReading();
  transport.close();
  transport.abort();
  try {
    transport.writeEof();
  } catch {
    // Where it is not supported.
  }
  for (let i = 0; i < 3; i++) await medium.turn();
}
