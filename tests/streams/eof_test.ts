import { assert, assertEquals } from "../std.ts";
import { BufferedRecorder, bytes, captureExceptions, connect, pattern, Recorder, text, turn } from "../kit.ts";
import { FakeHandle, makeTransport, readAll, serveRaw, writeAll } from "./kit.ts";

const MIB = 1024 * 1024;

Deno.test("eofReceived() that returns false closes the transport", async () => {
  await using peer = await serveRaw(() => new Recorder({ keepOpen: false }));
  await peer.conn.write(bytes("last"));
  await peer.conn.closeWrite();
  assertEquals(await peer.conn.read(new Uint8Array(1)), null);
  await peer.protocol.untilLost();
  assertEquals(peer.protocol.log.entries, ["connectionMade", "dataReceived 4", "eofReceived", "connectionLost null"]);
});

Deno.test("eofReceived() that returns undefined, or is missing, closes the transport", async () => {
  for (const protocol of [{ eofReceived() {} }, {}]) {
    await using peer = await serveRaw(() => protocol);
    await peer.conn.closeWrite();
    assertEquals(await peer.conn.read(new Uint8Array(1)), null);
  }
});

Deno.test("eofReceived() that returns true leaves the transport half open for writing", async () => {
  await using peer = await serveRaw(() => new Recorder({ keepOpen: true }));
  const { transport, log } = peer.protocol;
  await peer.conn.closeWrite();
  await log.has("eofReceived");
  await turn();
  assertEquals(transport.isClosing(), false);
  transport.write(pattern(4 * MIB));
  const reading = readAll(peer.conn);
  await log.has("resumeWriting");
  transport.write(bytes("and more"));
  transport.close();
  assertEquals((await reading).length, 4 * MIB + 8);
  await peer.protocol.untilLost();
  assertEquals(log.entries, ["connectionMade", "eofReceived", "pauseWriting", "resumeWriting", "connectionLost null"]);
});

Deno.test("eofReceived() on a BufferedProtocol follows the last bufferUpdated()", async () => {
  await using peer = await serveRaw(() => new BufferedRecorder(4));
  await peer.conn.write(bytes("sixsix"));
  await peer.conn.closeWrite();
  await peer.protocol.untilLost();
  const { entries } = peer.protocol.log;
  assertEquals(entries.slice(-2), ["eofReceived", "connectionLost null"]);
  assertEquals(text(peer.protocol.data), "sixsix");
});

Deno.test("what eofReceived() writes is flushed before the transport closes", async () => {
  class Polite extends Recorder {
    override eofReceived(): boolean {
      this.transport.write(pattern(2 * MIB));
      return super.eofReceived();
    }
  }
  await using peer = await serveRaw(() => new Polite());
  await peer.conn.closeWrite();
  assertEquals(await readAll(peer.conn), pattern(2 * MIB));
});

Deno.test("eofReceived() may close() or abort() the transport itself, whatever it returns", async () => {
  for (const method of ["close", "abort"] as const) {
    class Decided extends Recorder {
      override eofReceived(): boolean {
        super.eofReceived();
        this.transport[method]();
        this.log.add("returns");
        return true;
      }
    }
    await using peer = await serveRaw(() => new Decided());
    await peer.conn.closeWrite();
    await peer.protocol.untilLost();
    assertEquals(peer.protocol.log.entries, ["connectionMade", "eofReceived", "returns", "connectionLost null"]);
  }
});

Deno.test("eofReceived() runs at most once, also when reading is paused and resumed after it", async () => {
  await using peer = await serveRaw(() => new Recorder({ keepOpen: true }));
  const { transport, log } = peer.protocol;
  await peer.conn.closeWrite();
  await log.has("eofReceived");
  for (let i = 0; i < 3; i++) {
    transport.pauseReading();
    await turn();
    transport.resumeReading();
    await turn();
  }
  // By the time that this has come back, a second read would have met the end again.
  transport.write(bytes("ping"));
  await peer.conn.read(new Uint8Array(4));
  transport.close();
  await peer.protocol.untilLost();
  assertEquals(log.entries, ["connectionMade", "eofReceived", "connectionLost null"]);
});

Deno.test("eofReceived() runs at most once when it pauses and resumes reading itself", async () => {
  class Restless extends Recorder {
    override eofReceived(): boolean {
      this.transport.pauseReading();
      this.transport.resumeReading();
      return super.eofReceived();
    }
  }
  const handle = new FakeHandle();
  const recorder = new Restless({ keepOpen: true });
  const transport = makeTransport(recorder, handle);
  handle.end();
  await turn();
  assertEquals(handle.reading, false);
  transport.abort();
  await turn();
  assertEquals(recorder.log.entries, ["connectionMade", "eofReceived", "connectionLost null"]);
});

Deno.test("eofReceived() is held while paused, and runs once, in a later turn than resumeReading()", async () => {
  const handle = new FakeHandle();
  const recorder = new Recorder({ keepOpen: true });
  const transport = makeTransport(recorder, handle);
  transport.pauseReading();
  handle.end();
  await turn();
  assertEquals(recorder.log.entries, ["connectionMade"]);
  transport.resumeReading();
  assertEquals(recorder.log.entries, ["connectionMade"]);
  await turn();
  assertEquals(recorder.log.entries, ["connectionMade", "eofReceived"]);
  transport.pauseReading();
  transport.resumeReading();
  await turn();
  assertEquals(recorder.log.entries, ["connectionMade", "eofReceived"]);
  transport.close();
  await turn();
});

Deno.test("eofReceived() waits behind data that is held while paused", async () => {
  await using peer = await serveRaw(() => new Recorder({ keepOpen: false }));
  const { transport, log } = peer.protocol;
  transport.pauseReading();
  await writeAll(peer.conn, pattern(100_000));
  await peer.conn.closeWrite();
  await turn();
  assertEquals(log.entries, ["connectionMade"]);
  transport.resumeReading();
  await peer.protocol.untilLost();
  assertEquals(peer.protocol.data, pattern(100_000));
  assertEquals(log.entries.slice(-2), ["eofReceived", "connectionLost null"]);
});

Deno.test("eofReceived() does not run for a transport that was paused and then closed", async () => {
  const handle = new FakeHandle();
  const recorder = new Recorder();
  const transport = makeTransport(recorder, handle);
  transport.pauseReading();
  handle.end();
  transport.close();
  await turn();
  assertEquals(recorder.log.entries, ["connectionMade", "connectionLost null"]);
});

Deno.test("eofReceived() that throws is fatal: the handler is told, then connectionLost(error)", async () => {
  using captured = captureExceptions();
  const error = new Error("no end in sight");
  class Throws extends Recorder {
    override eofReceived(): boolean {
      super.eofReceived();
      throw error;
    }
  }
  await using peer = await serveRaw(() => new Throws());
  const { protocol } = peer;
  await peer.conn.closeWrite();
  await protocol.untilLost();
  assertEquals(protocol.log.entries, ["connectionMade", "eofReceived", "connectionLost Error"]);
  assert(protocol.error === error);
  assertEquals(captured.contexts, [{
    message: "Fatal error: protocol.eofReceived() call failed.",
    error,
    transport: protocol.transport,
    protocol,
  }]);
});

Deno.test("writeEof() ends only the writing half: reading goes on", async () => {
  await using peer = await serveRaw(() => new Recorder());
  const { transport, log } = peer.protocol;
  assertEquals(transport.canWriteEof(), true);
  transport.write(bytes("question"));
  transport.writeEof();
  assertEquals(text(await readAll(peer.conn)), "question");
  await writeAll(peer.conn, pattern(MIB));
  await peer.protocol.untilReceived(MIB);
  assertEquals(peer.protocol.data, pattern(MIB));
  assertEquals(transport.isClosing(), false);
  transport.close();
  await peer.protocol.untilLost();
  assertEquals(log.entries.at(-1), "connectionLost null");
});

Deno.test("writeEof() comes after all that is buffered, and is idempotent", async () => {
  const handle = new FakeHandle();
  const transport = makeTransport(new Recorder(), handle);
  transport.write(bytes("abc"));
  transport.writeEof();
  transport.writeEof();
  await turn();
  assertEquals([handle.writes.length, handle.closeWrites], [1, 0]);
  await handle.take(1);
  assertEquals(handle.closeWrites, 0);
  await handle.take(2);
  assertEquals(handle.closeWrites, 1);
  transport.writeEof();
  await turn();
  assertEquals(handle.closeWrites, 1);
  transport.close();
  await turn();
});

Deno.test("writeEof() with nothing buffered is sent at once", async () => {
  await using peer = await serveRaw(() => new Recorder());
  peer.protocol.transport.writeEof();
  assertEquals(await peer.conn.read(new Uint8Array(1)), null);
});

Deno.test("writeEof() then close() flushes and closes once", async () => {
  await using peer = await serveRaw(() => new Recorder());
  const { transport, log } = peer.protocol;
  transport.write(pattern(8 * MIB));
  transport.writeEof();
  transport.close();
  assertEquals((await readAll(peer.conn)).length, 8 * MIB);
  await peer.protocol.untilLost();
  assertEquals(log.entries, ["connectionMade", "pauseWriting", "resumeWriting", "connectionLost null"]);
});

Deno.test("writeEof() on both sides leaves both open until somebody closes", async () => {
  await using pair = await connect(() => new Recorder({ keepOpen: true }), () => new Recorder({ keepOpen: true }));
  const { serverSide, clientSide } = pair;
  clientSide.transport.writeEof();
  await serverSide.log.has("eofReceived");
  serverSide.transport.write(bytes("answer"));
  serverSide.transport.writeEof();
  await clientSide.log.has("eofReceived");
  await turn();
  assertEquals([clientSide.transport.isClosing(), serverSide.transport.isClosing()], [false, false]);
  clientSide.transport.close();
  serverSide.transport.close();
  await clientSide.untilLost();
  await serverSide.untilLost();
  assertEquals(clientSide.log.entries, ["connectionMade", "dataReceived 6", "eofReceived", "connectionLost null"]);
  assertEquals(serverSide.log.entries, ["connectionMade", "eofReceived", "connectionLost null"]);
});

Deno.test("writeEof() on a transport that is closing is nothing", async () => {
  const handle = new FakeHandle();
  const transport = makeTransport(new Recorder(), handle);
  transport.close();
  transport.writeEof();
  await turn();
  transport.writeEof();
  assertEquals(handle.closeWrites, 0);
});
