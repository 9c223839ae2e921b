/** What setProtocol() promises: rule 8. */
import { assertEquals, assertStrictEquals } from "../../std.ts";
import { assertBytes, BufferedRecorder, bytes, concat, pattern, Recorder, text } from "../../kit.ts";
import { Scenarios } from "../scenario.ts";

type Kind = "Protocol" | "BufferedProtocol";
const KINDS = ["Protocol", "BufferedProtocol"] as const;

function make(kind: Kind, size = 64): Recorder | BufferedRecorder {
  return kind === "Protocol" ? new Recorder() : new BufferedRecorder(size);
}

function callbackOf(kind: Kind): string {
  return kind === "Protocol" ? "dataReceived" : "bufferUpdated";
}

export const setProtocol = new Scenarios();

for (const [from, to] of KINDS.flatMap((from) => KINDS.map((to) => [from, to] as const))) {
  setProtocol.add(`setProtocol() from a ${from} to a ${to} takes effect at the next callback`, async (medium) => {
    const [first, second] = [make(from), make(to)];
    await using pair = await medium.connect(() => first, () => new Recorder());
    const { transport } = first;
    assertStrictEquals(transport.getProtocol(), first);
    pair.clientTransport.write(bytes("first"));
    await first.untilReceived(5);
    // A read may be in flight here, in memory that the first protocol may have given.
    transport.setProtocol(second);
    assertStrictEquals(transport.getProtocol(), second);
    pair.clientTransport.write(bytes("second"));
    await second.untilReceived(6);
    pair.clientTransport.write(bytes("third"));
    await second.untilReceived(11);
    transport.close();
    await second.untilLost();
    assertEquals(first.log.entries, ["connectionMade", `${callbackOf(from)} 5`]);
    assertEquals(second.log.entries, [`${callbackOf(to)} 6`, `${callbackOf(to)} 5`, "connectionLost null"]);
    assertEquals([text(first.data), text(second.data)], ["first", "secondthird"]);
  });

  setProtocol.add(`setProtocol() from a ${from} to a ${to} while paused hands over what is held`, async (medium) => {
    const [first, second] = [make(from), make(to)];
    await using pair = await medium.connect(() => first, () => new Recorder());
    const { transport } = first;
    transport.pauseReading();
    pair.clientTransport.write(bytes("held"));
    await medium.roundTrip();
    transport.setProtocol(second);
    await medium.roundTrip();
    assertEquals(second.received, 0);
    transport.resumeReading();
    await second.untilReceived(4);
    assertEquals([text(first.data), text(second.data)], ["", "held"]);
  });

  setProtocol.add(`setProtocol() from a ${from} to a ${to} inside the callback loses nothing`, async (medium) => {
    const second = make(to, 3);
    const first = from === "Protocol"
      ? new class extends Recorder {
        override dataReceived(data: Uint8Array): void {
          super.dataReceived(data);
          this.transport.setProtocol(second);
        }
      }()
      : new class extends BufferedRecorder {
        override bufferUpdated(nbytes: number): void {
          super.bufferUpdated(nbytes);
          this.transport.setProtocol(second);
        }
      }(3);
    await using pair = await medium.connect(() => first, () => new Recorder());
    pair.clientTransport.write(pattern(20_000));
    pair.clientTransport.close();
    await second.untilLost();
    assertEquals(first.pieces.length, 1);
    assertBytes(concat([first.data, second.data]), pattern(20_000));
    assertEquals(first.log.entries.length, 2);
    assertEquals(second.log.entries.slice(-2), ["eofReceived", "connectionLost null"]);
  });
}

setProtocol.add(
  "setProtocol() inside connectionMade() gives the new protocol all data, and the call still resolves to the old",
  async (medium) => {
    const [before, after] = [new Recorder(), new Recorder()];
    before.connectionMade = (transport) => transport.setProtocol(after);
    await using pair = await medium.connect(() => new Recorder(), () => before);
    assertStrictEquals(pair.clientSide, before);
    assertStrictEquals(pair.clientTransport.getProtocol(), after);
    pair.serverSide.transport.write(bytes("hello"));
    pair.serverSide.transport.close();
    await after.untilLost();
    assertEquals(before.log.entries, []);
    assertEquals(after.log.entries, ["dataReceived 5", "eofReceived", "connectionLost null"]);
  },
);

setProtocol.add(
  "setProtocol() moves pauseWriting(), resumeWriting(), eofReceived() and connectionLost() to the new protocol",
  async (medium) => {
    await using pair = await medium.recorders();
    const { serverSide: first, clientSide } = pair;
    const second = new Recorder();
    const { transport } = first;
    clientSide.transport.pauseReading();
    transport.write(pattern(medium.much));
    transport.setProtocol(second);
    clientSide.transport.resumeReading();
    await second.log.has("resumeWriting");
    await clientSide.untilReceived(medium.much);
    clientSide.transport.close();
    await second.untilLost();
    assertEquals(first.log.entries, ["connectionMade", "pauseWriting"]);
    assertEquals(second.log.entries, ["resumeWriting", "eofReceived", "connectionLost null"]);
  },
);

setProtocol.add("setProtocol() while closing decides whose connectionLost() is called", async (medium) => {
  await using pair = await medium.recorders();
  const { serverSide: first } = pair;
  const second = new Recorder();
  first.transport.close();
  first.transport.setProtocol(second);
  await second.untilLost();
  assertEquals([first.log.entries, second.log.entries], [["connectionMade"], ["connectionLost null"]]);
});
