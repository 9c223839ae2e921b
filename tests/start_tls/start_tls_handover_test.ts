/** What becomes of the old transport, of what was written to it, and of the protocol, when the new one takes over. */
import { assert, assertEquals, assertRejects, assertStrictEquals, assertThrows } from "../std.ts";
import { InvalidStateError, type StartTlsOptions, type Transport } from "../../mod.ts";
import {
  assertBytes,
  BufferedRecorder,
  bytes,
  closed,
  concat,
  connect,
  loop,
  pattern,
  Recorder,
  text,
  turn,
} from "../kit.ts";
import { ANSWERING, exchange, plainPair, upgrade } from "./kit.ts";
import { clientTls, serverTls, TRUSTING } from "../tls/kit.ts";

Deno.test("startTls() makes the old transport dead: its write family throws, and it tells nothing of reading", async () => {
  await using pair = await plainPair("TCP");
  const old = pair.clientSide.transport;
  const upgrading = upgrade(pair);
  const dead = () => {
    const data = bytes("x");
    assertThrows(() => old.write(data), InvalidStateError, "startTls()");
    assertThrows(() => old.writeOwned(data), InvalidStateError, "startTls()");
    assertThrows(() => old.writelines([data]), InvalidStateError, "startTls()");
    assertEquals(old.isReading(), false);
    old.resumeReading();
    assertEquals(old.isReading(), false);
  };
  dead();
  await upgrading;
  dead();
  old.pauseReading();
  old.resumeReading();
  assertEquals(old.isClosing(), true);
  assertEquals(pair.clientSide.transport.isClosing(), false);
  assertEquals(pair.clientSide.transport.isReading(), true);
  assertEquals(old.getWriteBufferSize(), 0);
  await exchange(pair, 10);
});

for (const when of ["while startTls() runs", "after startTls()"]) {
  Deno.test({
    name: `writeEof() of the old transport is an InvalidStateError ${when}`,
    async fn() {
      await using pair = await plainPair("TCP");
      const old = pair.clientSide.transport;
      const upgrading = upgrade(pair);
      if (when !== "while startTls() runs") await upgrading;
      assertThrows(() => old.writeEof(), InvalidStateError, "startTls()");
      await upgrading;
      await exchange(pair, 10);
    },
  });
}

const ENDINGS: Record<string, (transport: Transport) => void> = {
  "close()": (transport) => transport.close(),
  "abort()": (transport) => transport.abort(),
  "using": (transport) => {
    using _ = transport;
  },
};

for (const [name, end] of Object.entries(ENDINGS)) {
  Deno.test(`${name} of the old transport reaches the new one, over as many as there are between`, async () => {
    await using pair = await plainPair("TCP");
    const old = pair.clientSide.transport;
    await upgrade(pair);
    await upgrade(pair);
    const { transport } = pair.clientSide;
    end(old);
    assertEquals(transport.isClosing(), true);
    await Promise.all([pair.clientSide.untilLost(), pair.serverSide.untilLost()]);
    const truncated = name === "abort()";
    assertEquals(pair.clientSide.error, null);
    const { ConnectionReset, UnexpectedEof } = Deno.errors;
    const { error } = pair.serverSide;
    // A reset if the client has not read all, such as session tickets.
    if (truncated) assert(error instanceof UnexpectedEof || error instanceof ConnectionReset, `${error}`);
    else assertEquals(error, null);
    end(old);
    end(transport);
    await turn();
    assertEquals(pair.clientSide.log.entries.filter((entry) => entry.startsWith("connectionLost")).length, 1);
  });
}

Deno.test("startTls() sends what was written before it in the clear, then the handshake", async () => {
  using listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const [old, client] = await loop.createConnection(() => new Recorder(), { port: listener.addr.port });
  const conn = await listener.accept();
  const block = pattern(1_000_000);
  const blocks: Uint8Array[] = [];
  // More than the kernel takes, however much that is.
  while (!client.log.entries.includes("pauseWriting")) {
    old.write(block);
    blocks.push(block);
  }
  const plain = concat(blocks);
  old.write(bytes("STARTTLS\r\n"));
  const upgrading = loop.startTls(old, client, { ...TRUSTING, handshakeTimeout: 20_000 });
  const failed = assertRejects(() => upgrading, Deno.errors.ConnectionAborted);
  assertEquals(client.log.entries, ["connectionMade", "pauseWriting"]);
  const pieces: Uint8Array[] = [];
  for (let missing = plain.length + 10 + 5; missing > 0;) {
    const buffer = new Uint8Array(1 << 20);
    const count = (await conn.read(buffer))!;
    pieces.push(buffer.subarray(0, count));
    missing -= count;
  }
  const received = concat(pieces);
  assertEquals(received.subarray(0, plain.length), plain);
  assertEquals(text(received.subarray(plain.length, plain.length + 10)), "STARTTLS\r\n");
  // A handshake record of TLS.
  assertEquals([...received.subarray(plain.length + 10, plain.length + 12)], [22, 3]);
  assertEquals(client.log.entries, ["connectionMade", "pauseWriting", "resumeWriting"]);
  old.close();
  await failed;
  await client.untilLost();
  conn.close();
  await turn();
});

Deno.test("startTls() inside connectionMade comes before any data callback", async () => {
  const upgraded: Promise<Transport>[] = [];
  class Eager extends Recorder {
    #options: StartTlsOptions;
    constructor(options: StartTlsOptions) {
      super();
      this.#options = options;
    }
    override connectionMade(transport: Transport): void {
      super.connectionMade(transport);
      upgraded.push(
        loop.startTls(transport, this, this.#options).then((transport) => {
          transport.write(bytes("secret"));
          return this.transport = transport;
        }),
      );
    }
  }
  await using pair = await connect(
    () => new Eager({ ...serverTls(), serverSide: true }),
    () => new Eager(clientTls()),
  );
  await Promise.all([pair.serverSide.untilReceived(6), pair.clientSide.untilReceived(6)]);
  assertEquals(upgraded.length, 2);
  for (const { log } of [pair.serverSide, pair.clientSide]) {
    assertEquals(log.entries, ["connectionMade", "dataReceived 6"]);
  }
});

Deno.test("startTls() gives the connection to its protocol; the old protocol is not called again", async () => {
  await using pair = await plainPair("TCP");
  const before = pair.clientSide;
  const heir = new BufferedRecorder();
  const [transport] = await Promise.all([
    loop.startTls(before.transport, heir, clientTls()),
    loop.startTls(pair.serverSide.transport, pair.serverSide, ANSWERING).then((transport) => {
      pair.serverSide.transport = transport;
    }),
  ]);
  assertStrictEquals(transport.getProtocol(), heir);
  pair.serverSide.transport.write(pattern(200_000));
  await heir.untilReceived(200_000);
  assertEquals(heir.data, pattern(200_000));
  const third = new Recorder();
  transport.setProtocol(third);
  pair.serverSide.transport.write(bytes("for the third"));
  await third.untilReceived(13);
  before.transport = transport;
  await closed(transport, third);
  assertEquals(before.log.entries, ["connectionMade"]);
  assert(heir.log.entries.every((entry) => entry.startsWith("bufferUpdated")));
  assertEquals(third.log.entries.at(-1), "connectionLost null");
});

Deno.test("startTls() keeps closeTimeout", async () => {
  await using pair = await plainPair("TCP", { client: { closeTimeout: 50 } });
  await upgrade(pair);
  pair.serverSide.transport.pauseReading();
  pair.clientSide.transport.write(new Uint8Array(16_000_000));
  pair.clientSide.transport.close();
  await pair.clientSide.untilLost();
  assertEquals(pair.clientSide.error?.name, "TimeoutError");
  assert(pair.clientSide.error!.message.startsWith("closeTimeout: "));
});

Deno.test("startTls() leaves flow control paired: the old transport's pause ends before the new one's begins", async () => {
  await using pair = await plainPair("TCP");
  const { clientSide, serverSide } = pair;
  serverSide.transport.setWriteBufferLimits({ high: 10 });
  // More than the kernel takes at once.
  serverSide.transport.write(pattern(16_000_000));
  assertEquals(serverSide.log.entries, ["connectionMade", "pauseWriting"]);
  const answered = loop.startTls(serverSide.transport, serverSide, ANSWERING);
  await clientSide.untilReceived(16_000_000);
  clientSide.transport = await loop.startTls(clientSide.transport, clientSide, clientTls());
  const transport = serverSide.transport = await answered;
  assertEquals(serverSide.log.entries, ["connectionMade", "pauseWriting", "resumeWriting"]);
  assertEquals(transport.getWriteBufferLimits(), [16 * 1024, 64 * 1024]);
  // The kernel takes more at once than before: its buffers have grown.
  transport.write(pattern(16_000_000, 5));
  await clientSide.untilReceived(32_000_000);
  assertBytes(clientSide.data.subarray(16_000_000), pattern(16_000_000, 5));
  await serverSide.log.until(() => serverSide.log.entries.length === 5);
  assertEquals(serverSide.log.entries.slice(3), ["pauseWriting", "resumeWriting"]);
});

Deno.test("startTls() begins to read whether the old transport was paused or not, in a later turn", async () => {
  await using pair = await plainPair("TCP");
  pair.clientSide.transport.pauseReading();
  const { serverSide, clientSide } = pair;
  const [server, client] = await Promise.all([
    loop.startTls(serverSide.transport, serverSide, ANSWERING).then((transport) => {
      transport.write(bytes("hello"));
      return transport;
    }),
    loop.startTls(clientSide.transport, clientSide, clientTls()).then((transport) => {
      clientSide.log.add("resolved");
      return transport;
    }),
  ]);
  [serverSide.transport, clientSide.transport] = [server, client];
  assertEquals(client.isReading(), true);
  await clientSide.untilReceived(5);
  assertEquals(clientSide.log.entries, ["connectionMade", "resolved", "dataReceived 5"]);
});

Deno.test("pauseReading() right after startTls() holds what came with the handshake", async () => {
  await using pair = await plainPair("TCP");
  const { serverSide, clientSide } = pair;
  const serverUpgraded = loop.startTls(serverSide.transport, serverSide, ANSWERING).then((transport) => {
    serverSide.transport = transport;
    transport.write(bytes("first"));
    transport.close();
  });
  clientSide.transport = await loop.startTls(clientSide.transport, clientSide, clientTls());
  clientSide.transport.pauseReading();
  await serverUpgraded;
  for (let i = 0; i < 20; i++) await turn();
  assertEquals(clientSide.log.entries, ["connectionMade"]);
  clientSide.transport.resumeReading();
  await clientSide.untilLost();
  assertEquals(clientSide.log.entries, ["connectionMade", "dataReceived 5", "eofReceived", "connectionLost null"]);
});
