/** What close(), abort() and closeTimeout promise: rule 3. */
import type { Transport } from "../../../mod.ts";
import { assert, assertEquals, assertLess, assertMatch } from "../../std.ts";
import { assertBytes, BufferedRecorder, bytes, pattern, Recorder } from "../../kit.ts";
import { Scenarios } from "../scenario.ts";

const MIB = 1024 * 1024;

export const closing = new Scenarios();

closing.add("close() flushes what is buffered, then connectionLost(null) in a later turn", async (medium) => {
  await using pair = await medium.recorders();
  const { serverSide, clientSide } = pair;
  clientSide.transport.write(bytes("last words"));
  clientSide.transport.close();
  assertEquals(clientSide.log.entries, ["connectionMade"]);
  await clientSide.untilLost();
  await serverSide.untilLost();
  assertEquals(clientSide.log.entries, ["connectionMade", "connectionLost null"]);
  assertEquals(serverSide.log.entries, ["connectionMade", "dataReceived 10", "eofReceived", "connectionLost null"]);
  assertEquals(serverSide.text, "last words");
});

closing.add(
  "close() flushes megabytes to a reader that is late, and only then connectionLost(null) runs",
  async (medium) => {
    await using pair = await medium.recorders();
    const { serverSide, clientSide } = pair;
    clientSide.transport.pauseReading();
    const data = pattern(medium.much);
    serverSide.transport.write(data);
    serverSide.transport.close();
    await medium.roundTrip();
    assertEquals(serverSide.log.entries, ["connectionMade", "pauseWriting"]);
    clientSide.transport.resumeReading();
    await serverSide.untilLost();
    await clientSide.untilLost();
    assertBytes(clientSide.data, data);
    const entries = ["connectionMade", "pauseWriting", "resumeWriting", "connectionLost null"];
    assertEquals(serverSide.log.entries, entries);
  },
);

closing.add("close() stops reading at once, and drops what was held while paused", async (medium) => {
  await using pair = await medium.recorders();
  const { serverSide, clientSide } = pair;
  serverSide.transport.pauseReading();
  clientSide.transport.write(bytes("held"));
  await medium.roundTrip();
  serverSide.transport.close();
  assertEquals(serverSide.transport.isReading(), false);
  serverSide.transport.resumeReading();
  clientSide.transport.write(bytes("late"));
  await serverSide.untilLost();
  assertEquals(serverSide.log.entries, ["connectionMade", "connectionLost null"]);
});

closing.add("close() lets nothing through that the peer still sends while the flush is stuck", async (medium) => {
  await using pair = await medium.recorders();
  const { serverSide, clientSide } = pair;
  clientSide.transport.pauseReading();
  serverSide.transport.write(pattern(medium.much));
  // A read may be in flight here.
  await medium.roundTrip();
  serverSide.transport.close();
  clientSide.transport.write(bytes("late"));
  // Where one direction cannot end alone, an end would close the client, which then drops what the server flushes.
  if (medium.halfCloses) clientSide.transport.writeEof();
  await medium.roundTrip();
  assertEquals(serverSide.log.entries, ["connectionMade", "pauseWriting"]);
  serverSide.transport.abort();
  await serverSide.untilLost();
  assertEquals(serverSide.log.entries, ["connectionMade", "pauseWriting", "connectionLost null"]);
});

closing.add("close() inside dataReceived() lets no further data through while more keeps coming", async (medium) => {
  class Enough extends Recorder {
    override dataReceived(data: Uint8Array): void {
      super.dataReceived(data);
      this.transport.write(pattern(MIB));
      this.transport.close();
    }
  }
  await using pair = await medium.connect(() => new Enough(), () => new Recorder());
  pair.clientTransport.write(pattern(8 * MIB));
  await pair.serverSide.untilLost();
  const names = pair.serverSide.log.entries.map((entry) => entry.split(" ")[0]);
  assertEquals(names.filter((name) => name === "dataReceived").length, 1);
  assertEquals(names.at(-1), "connectionLost");
});

closing.add("close() inside bufferUpdated() asks for no further buffer", async (medium) => {
  class Enough extends BufferedRecorder {
    asked = 0;
    override getBuffer(sizeHint: number): Uint8Array {
      this.asked++;
      return super.getBuffer(sizeHint);
    }
    override bufferUpdated(nbytes: number): void {
      super.bufferUpdated(nbytes);
      this.transport.close();
    }
  }
  await using pair = await medium.connect(() => new Enough(3), () => new Recorder());
  pair.clientTransport.write(pattern(100));
  await pair.serverSide.untilLost();
  assertEquals(pair.serverSide.log.entries, ["connectionMade", "bufferUpdated 3", "connectionLost null"]);
  assertEquals(pair.serverSide.asked, 1);
});

closing.add("write() while closing is dropped", async (medium) => {
  await using pair = await medium.recorders();
  const { transport } = pair.serverSide;
  transport.write(bytes("kept"));
  transport.close();
  transport.write(bytes("dropped"));
  transport.writeOwned(bytes("dropped"));
  transport.writelines([bytes("dropped")]);
  assertEquals(transport.getWriteBufferSize(), 4);
  await pair.clientSide.untilLost();
  await pair.serverSide.untilLost();
  assertEquals(pair.clientSide.text, "kept");
});

closing.add("abort() drops what is buffered, then connectionLost(null)", async (medium) => {
  await using pair = await medium.recorders();
  const { serverSide, clientSide } = pair;
  clientSide.transport.pauseReading();
  serverSide.transport.write(pattern(medium.much));
  await medium.roundTrip();
  serverSide.transport.abort();
  assertEquals(serverSide.transport.getWriteBufferSize(), 0);
  await serverSide.untilLost();
  assertEquals(serverSide.log.entries, ["connectionMade", "pauseWriting", "connectionLost null"]);
  clientSide.transport.resumeReading();
  await clientSide.untilLost();
  assertLess(clientSide.received, medium.much);
  assertBytes(clientSide.data, pattern(clientSide.received));
});

closing.add("abort() in the same turn as write() sends nothing", async (medium) => {
  await using pair = await medium.recorders();
  pair.serverSide.transport.write(bytes("never"));
  pair.serverSide.transport.abort();
  await pair.clientSide.untilLost();
  await pair.serverSide.untilLost();
  assertEquals(pair.clientSide.received, 0);
});

closing.add("close() and abort() are idempotent, in any order", async (medium) => {
  for (const calls of ["cc", "aa", "ca", "ac", "cacaca"]) {
    await using pair = await medium.recorders();
    const { transport, log } = pair.serverSide;
    for (const call of calls) call === "c" ? transport.close() : transport.abort();
    await pair.serverSide.untilLost();
    transport.close();
    transport.abort();
    await medium.turn();
    assertEquals(log.entries, ["connectionMade", "connectionLost null"], calls);
  }
});

closing.add("abort() after close() ends a flush that is stuck", async (medium) => {
  await using pair = await medium.recorders();
  const { serverSide, clientSide } = pair;
  clientSide.transport.pauseReading();
  serverSide.transport.write(pattern(medium.much));
  serverSide.transport.close();
  await medium.roundTrip();
  serverSide.transport.abort();
  assertEquals(serverSide.log.entries, ["connectionMade", "pauseWriting"]);
  await serverSide.untilLost();
  await medium.turn();
  assertEquals(serverSide.log.entries, ["connectionMade", "pauseWriting", "connectionLost null"]);
});

closing.add("closeTimeout turns a stuck flush into an abort with a TimeoutError", async (medium) => {
  for (const side of ["server", "client"] as const) {
    await using pair = await medium.connect(() => new Recorder(), () => new Recorder(), {
      [side]: { closeTimeout: 5000 },
    });
    const [subject, peer] = side === "server" ? [pair.serverSide, pair.clientSide] : [pair.clientSide, pair.serverSide];
    peer.transport.pauseReading();
    subject.transport.write(pattern(medium.much));
    await medium.advance(10_000);
    subject.transport.close();
    await medium.advance(4999);
    assertEquals(subject.log.entries, ["connectionMade", "pauseWriting"], side);
    await medium.advance(1);
    await subject.untilLost();
    assertEquals(subject.log.entries, ["connectionMade", "pauseWriting", "connectionLost TimeoutError"], side);
    assertEquals(subject.transport.getWriteBufferSize(), 0);
    assertMatch(subject.error!.message, /^closeTimeout: \d+ bytes were not sent within 5000 ms$/);
    peer.transport.resumeReading();
    await peer.untilLost();
    assertLess(peer.received, medium.much);
  }
});

closing.add("closeTimeout holds when it is the peer's EOF that closes", async (medium) => {
  const server = { closeTimeout: 5000 };
  await using pair = await medium.connect(() => new Recorder(), () => new Recorder(), { server });
  const { serverSide, clientSide } = pair;
  clientSide.transport.pauseReading();
  serverSide.transport.write(pattern(medium.much));
  clientSide.transport.writeEof();
  await serverSide.log.has("eofReceived");
  await medium.advance(5000);
  await serverSide.untilLost();
  const entries = ["connectionMade", "pauseWriting", "eofReceived", "connectionLost TimeoutError"];
  assertEquals(serverSide.log.entries, entries);
}, { halfCloses: true });

closing.add("closeTimeout leaves no timer behind when the flush ends in time, or is aborted", async (medium) => {
  for (const ending of ["flushed", "aborted"] as const) {
    const server = { closeTimeout: 5000 };
    await using pair = await medium.connect(() => new Recorder(), () => new Recorder(), { server });
    const { serverSide, clientSide } = pair;
    clientSide.transport.pauseReading();
    serverSide.transport.write(pattern(medium.much));
    serverSide.transport.close();
    assertEquals(medium.clock.due, 5000);
    await medium.turn();
    if (ending === "flushed") clientSide.transport.resumeReading();
    else serverSide.transport.abort();
    await serverSide.untilLost();
    assertEquals([serverSide.error, medium.clock.due], [null, null]);
  }
});

closing.add("isClosing() tells from the first close(), abort() or EOF on", async (medium) => {
  for (const end of ["close", "abort"] as const) {
    await using pair = await medium.recorders();
    const { transport } = pair.serverSide;
    assertEquals([transport.isClosing(), transport.isReading()], [false, true]);
    transport[end]();
    assertEquals([transport.isClosing(), transport.isReading()], [true, false]);
    await pair.serverSide.untilLost();
    assert(transport.isClosing());
    await pair.clientSide.untilLost();
    assert(pair.clientTransport.isClosing());
  }
});

closing.add("close() inside pauseWriting() still flushes what that write() brought", async (medium) => {
  class Leaves extends Recorder {
    override pauseWriting(): void {
      super.pauseWriting();
      this.transport.close();
    }
  }
  await using pair = await medium.connect(() => new Recorder(), () => new Leaves());
  const { serverSide, clientSide } = pair;
  serverSide.transport.pauseReading();
  const data = pattern(medium.much);
  pair.clientTransport.write(data);
  serverSide.transport.resumeReading();
  await serverSide.untilLost();
  await clientSide.untilLost();
  assertBytes(serverSide.data, data);
  const entries = ["connectionMade", "pauseWriting", "resumeWriting", "connectionLost null"];
  assertEquals(clientSide.log.entries, entries);
});

closing.add("abort() inside pauseWriting() drops what that write() brought", async (medium) => {
  class Leaves extends Recorder {
    override pauseWriting(): void {
      super.pauseWriting();
      this.transport.abort();
    }
  }
  await using pair = await medium.connect(() => new Recorder(), () => new Leaves());
  const { serverSide, clientSide } = pair;
  serverSide.transport.pauseReading();
  pair.clientTransport.write(pattern(medium.much));
  serverSide.transport.resumeReading();
  await serverSide.untilLost();
  await clientSide.untilLost();
  assertLess(serverSide.received, medium.much);
  assertEquals(clientSide.log.entries, ["connectionMade", "pauseWriting", "connectionLost null"]);
});

closing.add("a transport that is closed by its protocol's own connectionLost() stays closed", async (medium) => {
  class Again extends Recorder {
    override connectionLost(error: Error | null): void {
      super.connectionLost(error);
      const again: Transport = this.transport;
      again.write(bytes("in connectionLost"));
      again.close();
      again.abort();
    }
  }
  await using pair = await medium.connect(() => new Again(), () => new Recorder());
  pair.serverSide.transport.close();
  await pair.serverSide.untilLost();
  for (let i = 0; i < 3; i++) await medium.turn();
  assertEquals(pair.serverSide.log.entries, ["connectionMade", "connectionLost null"]);
});
