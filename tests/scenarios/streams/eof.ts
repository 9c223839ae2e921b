/** What eofReceived() and writeEof() promise: rule 4. */
import type { StreamCallbacks } from "../../../mod.ts";
import { assert, assertEquals, assertStrictEquals, assertThrows } from "../../std.ts";
import { assertBytes, BufferedRecorder, bytes, pattern, Recorder, text } from "../../kit.ts";
import { Scenarios } from "../scenario.ts";

const MIB = 1024 * 1024;
const ALONE = { halfCloses: true };

export const eof = new Scenarios();

eof.add("eofReceived() that returns false closes the transport", async (medium) => {
  await using pair = await medium.recorders({ keepOpen: false });
  const { serverSide, clientSide } = pair;
  clientSide.transport.write(bytes("last"));
  medium.end(clientSide.transport);
  await clientSide.untilLost();
  await serverSide.untilLost();
  assertEquals(clientSide.error, null);
  assertEquals(serverSide.log.entries, ["connectionMade", "dataReceived 4", "eofReceived", "connectionLost null"]);
});

eof.add("eofReceived() that returns undefined, or is missing, closes the transport", async (medium) => {
  for (const protocol of [{ eofReceived() {} }, {}]) {
    await using pair = await medium.connect((): StreamCallbacks => protocol, () => new Recorder());
    medium.end(pair.clientTransport);
    await pair.clientSide.untilLost();
    assertEquals(pair.clientSide.error, null);
  }
});

eof.add("eofReceived() that returns true closes the transport all the same", async (medium) => {
  await using pair = await medium.recorders({ keepOpen: true });
  const { serverSide, clientSide } = pair;
  clientSide.transport.write(bytes("last"));
  clientSide.transport.close();
  await clientSide.untilLost();
  await serverSide.untilLost();
  assertEquals(serverSide.log.entries, ["connectionMade", "dataReceived 4", "eofReceived", "connectionLost null"]);
}, { halfCloses: false });

eof.add("eofReceived() that returns true leaves the transport half open for writing", async (medium) => {
  await using pair = await medium.recorders({ keepOpen: true });
  const { serverSide, clientSide } = pair;
  const { transport, log } = serverSide;
  clientSide.transport.pauseReading();
  clientSide.transport.writeEof();
  await log.has("eofReceived");
  await medium.turn();
  assertEquals(transport.isClosing(), false);
  transport.write(pattern(medium.much));
  clientSide.transport.resumeReading();
  await log.has("resumeWriting");
  transport.write(bytes("and more"));
  transport.close();
  await serverSide.untilLost();
  await clientSide.untilReceived(medium.much + 8);
  assertEquals(log.entries, ["connectionMade", "eofReceived", "pauseWriting", "resumeWriting", "connectionLost null"]);
}, ALONE);

eof.add("eofReceived() on a BufferedProtocol follows the last bufferUpdated()", async (medium) => {
  await using pair = await medium.connect(() => new BufferedRecorder(4), () => new Recorder());
  pair.clientTransport.write(bytes("sixsix"));
  medium.end(pair.clientTransport);
  await pair.serverSide.untilLost();
  assertEquals(pair.serverSide.log.entries.slice(-2), ["eofReceived", "connectionLost null"]);
  assertEquals(text(pair.serverSide.data), "sixsix");
});

eof.add("what eofReceived() writes is flushed before the transport closes", async (medium) => {
  class Polite extends Recorder {
    override eofReceived(): boolean {
      this.transport.write(pattern(2 * MIB));
      return super.eofReceived();
    }
  }
  await using pair = await medium.connect(() => new Polite(), () => new Recorder());
  pair.clientTransport.writeEof();
  await pair.clientSide.untilLost();
  assertBytes(pair.clientSide.data, pattern(2 * MIB));
}, ALONE);

eof.add("eofReceived() may close() or abort() the transport itself, whatever it returns", async (medium) => {
  for (const method of ["close", "abort"] as const) {
    class Decided extends Recorder {
      override eofReceived(): boolean {
        super.eofReceived();
        this.transport[method]();
        this.log.add("returns");
        return true;
      }
    }
    await using pair = await medium.connect(() => new Decided(), () => new Recorder());
    medium.end(pair.clientTransport);
    await pair.serverSide.untilLost();
    const entries = ["connectionMade", "eofReceived", "returns", "connectionLost null"];
    assertEquals(pair.serverSide.log.entries, entries, method);
  }
});

eof.add("eofReceived() runs at most once, also when reading is paused and resumed after it", async (medium) => {
  await using pair = await medium.recorders({ keepOpen: true });
  const { serverSide, clientSide } = pair;
  const { transport, log } = serverSide;
  clientSide.transport.writeEof();
  await log.has("eofReceived");
  for (let i = 0; i < 3; i++) {
    transport.pauseReading();
    await medium.turn();
    transport.resumeReading();
    await medium.turn();
  }
  // By the time that this has arrived, a second read would have met the end again.
  transport.write(bytes("ping"));
  await clientSide.untilReceived(4);
  transport.close();
  await serverSide.untilLost();
  assertEquals(log.entries, ["connectionMade", "eofReceived", "connectionLost null"]);
}, ALONE);

eof.add("eofReceived() runs at most once when it pauses and resumes reading itself", async (medium) => {
  class Restless extends Recorder {
    override eofReceived(): boolean {
      this.transport.pauseReading();
      this.transport.resumeReading();
      return super.eofReceived();
    }
  }
  await using pair = await medium.connect(() => new Restless({ keepOpen: true }), () => new Recorder());
  const { serverSide } = pair;
  pair.clientTransport.writeEof();
  await serverSide.log.has("eofReceived");
  await medium.roundTrip();
  serverSide.transport.abort();
  await serverSide.untilLost();
  assertEquals(serverSide.log.entries, ["connectionMade", "eofReceived", "connectionLost null"]);
}, ALONE);

eof.add("eofReceived() is held while paused, and runs once, in a later turn than resumeReading()", async (medium) => {
  await using pair = await medium.recorders({ keepOpen: medium.halfCloses });
  const { transport, log } = pair.serverSide;
  transport.pauseReading();
  medium.end(pair.clientTransport);
  await medium.roundTrip();
  assertEquals(log.entries, ["connectionMade"]);
  transport.resumeReading();
  assertEquals(log.entries, ["connectionMade"]);
  await log.has("eofReceived");
  transport.pauseReading();
  transport.resumeReading();
  await medium.turn();
  assertEquals(log.entries.filter((entry) => entry === "eofReceived").length, 1);
  transport.close();
  await pair.serverSide.untilLost();
  assertEquals(log.entries, ["connectionMade", "eofReceived", "connectionLost null"]);
});

eof.add("eofReceived() waits behind data that is held while paused", async (medium) => {
  await using pair = await medium.recorders();
  const { serverSide, clientSide } = pair;
  serverSide.transport.pauseReading();
  clientSide.transport.write(pattern(100_000));
  medium.end(clientSide.transport);
  await medium.roundTrip();
  assertEquals(serverSide.log.entries, ["connectionMade"]);
  serverSide.transport.resumeReading();
  await serverSide.untilLost();
  assertBytes(serverSide.data, pattern(100_000));
  assertEquals(serverSide.log.entries.slice(-2), ["eofReceived", "connectionLost null"]);
});

eof.add("eofReceived() does not run for a transport that was paused and then closed", async (medium) => {
  await using pair = await medium.recorders();
  const { serverSide } = pair;
  serverSide.transport.pauseReading();
  medium.end(pair.clientTransport);
  await medium.roundTrip();
  serverSide.transport.close();
  await serverSide.untilLost();
  assertEquals(serverSide.log.entries, ["connectionMade", "connectionLost null"]);
});

eof.add("eofReceived() that throws is fatal: the handler is told, then connectionLost(error)", async (medium) => {
  using captured = medium.captureExceptions();
  const error = new Error("no end in sight");
  class Throws extends Recorder {
    override eofReceived(): boolean {
      super.eofReceived();
      throw error;
    }
  }
  await using pair = await medium.connect(() => new Throws(), () => new Recorder());
  const { serverSide } = pair;
  medium.end(pair.clientTransport);
  await serverSide.untilLost();
  assertEquals(serverSide.log.entries, ["connectionMade", "eofReceived", "connectionLost Error"]);
  assert(serverSide.error === error);
  assertEquals(captured.contexts.map(({ message }) => message), ["Fatal error: protocol.eofReceived() call failed."]);
  assertStrictEquals(captured.contexts[0]!.error, error);
  assertStrictEquals<unknown>(captured.contexts[0]!.transport, serverSide.transport);
  assertStrictEquals<unknown>(captured.contexts[0]!.protocol, serverSide);
});

eof.add("writeEof() ends only the writing half: reading goes on", async (medium) => {
  await using pair = await medium.connect(() => new Recorder(), () => new Recorder({ keepOpen: true }));
  const { serverSide, clientSide } = pair;
  const { transport } = serverSide;
  assertEquals(transport.canWriteEof(), true);
  transport.write(bytes("question"));
  transport.writeEof();
  await clientSide.log.has("eofReceived");
  assertEquals(clientSide.text, "question");
  clientSide.transport.write(pattern(MIB));
  await serverSide.untilReceived(MIB);
  assertBytes(serverSide.data, pattern(MIB));
  assertEquals(transport.isClosing(), false);
  transport.close();
  await serverSide.untilLost();
  assertEquals(serverSide.log.entries.at(-1), "connectionLost null");
}, ALONE);

eof.add("writeEof() comes after all that is buffered, and is idempotent", async (medium) => {
  await using pair = await medium.recorders({ keepOpen: true });
  const { serverSide, clientSide } = pair;
  clientSide.transport.pauseReading();
  serverSide.transport.write(pattern(medium.much));
  serverSide.transport.writeEof();
  serverSide.transport.writeEof();
  await medium.roundTrip();
  clientSide.transport.resumeReading();
  await clientSide.log.has("eofReceived");
  assertBytes(clientSide.data, pattern(medium.much));
  serverSide.transport.writeEof();
  await medium.roundTrip();
  assertEquals(clientSide.log.entries.filter((entry) => entry === "eofReceived").length, 1);
  assertEquals(serverSide.transport.isClosing(), false);
}, ALONE);

eof.add("writeEof() with nothing buffered is sent at once", async (medium) => {
  await using pair = await medium.recorders({ keepOpen: true });
  pair.serverSide.transport.writeEof();
  await pair.clientSide.log.has("eofReceived");
  assertEquals(pair.clientSide.log.entries, ["connectionMade", "eofReceived"]);
}, ALONE);

eof.add("writeEof() then close() flushes and closes once", async (medium) => {
  await using pair = await medium.recorders();
  const { serverSide, clientSide } = pair;
  clientSide.transport.pauseReading();
  serverSide.transport.write(pattern(medium.much));
  serverSide.transport.writeEof();
  serverSide.transport.close();
  clientSide.transport.resumeReading();
  await serverSide.untilLost();
  await clientSide.untilLost();
  assertEquals(clientSide.received, medium.much);
  const entries = ["connectionMade", "pauseWriting", "resumeWriting", "connectionLost null"];
  assertEquals(serverSide.log.entries, entries);
}, ALONE);

eof.add("writeEof() on both sides leaves both open until one of them closes", async (medium) => {
  await using pair = await medium.recorders({ keepOpen: true });
  const { serverSide, clientSide } = pair;
  clientSide.transport.writeEof();
  await serverSide.log.has("eofReceived");
  serverSide.transport.write(bytes("answer"));
  serverSide.transport.writeEof();
  await clientSide.log.has("eofReceived");
  await medium.turn();
  assertEquals([clientSide.transport.isClosing(), serverSide.transport.isClosing()], [false, false]);
  clientSide.transport.close();
  serverSide.transport.close();
  await clientSide.untilLost();
  await serverSide.untilLost();
  assertEquals(clientSide.log.entries, ["connectionMade", "dataReceived 6", "eofReceived", "connectionLost null"]);
  assertEquals(serverSide.log.entries, ["connectionMade", "eofReceived", "connectionLost null"]);
}, ALONE);

eof.add("writeEof() on a transport that is closing is nothing", async (medium) => {
  await using pair = await medium.recorders();
  const { serverSide, clientSide } = pair;
  serverSide.transport.close();
  serverSide.transport.writeEof();
  await serverSide.untilLost();
  serverSide.transport.writeEof();
  await clientSide.untilLost();
  assertEquals(clientSide.log.entries, ["connectionMade", "eofReceived", "connectionLost null"]);
}, ALONE);

eof.add("writeEof() is NotSupported, and canWriteEof() false", async (medium) => {
  await using pair = await medium.recorders();
  assertEquals(pair.clientTransport.canWriteEof(), false);
  assertThrows(() => pair.clientTransport.writeEof(), Deno.errors.NotSupported);
}, { halfCloses: false });
