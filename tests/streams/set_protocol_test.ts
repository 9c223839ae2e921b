import type { StreamCallbacks, Transport } from "../../mod.ts";
import { assertEquals, assertStrictEquals } from "../std.ts";
import { BufferedRecorder, bytes, pattern, Recorder, text, turn } from "../kit.ts";
import { FakeHandle, makeTransport } from "./kit.ts";

type Kind = "Protocol" | "BufferedProtocol";
const KINDS = ["Protocol", "BufferedProtocol"] as const;
const SWITCHES = KINDS.flatMap((from) => KINDS.map((to): [Kind, Kind] => [from, to]));

function make(kind: Kind, size = 64): Recorder | BufferedRecorder {
  return kind === "Protocol" ? new Recorder() : new BufferedRecorder(size);
}

for (const [from, to] of SWITCHES) {
  Deno.test(`setProtocol() from a ${from} to a ${to} takes effect at the next callback`, async () => {
    const handle = new FakeHandle();
    const [first, second] = [make(from), make(to)];
    const transport = makeTransport(first, handle);
    assertStrictEquals(transport.getProtocol(), first);
    handle.deliver(bytes("first"));
    // A read is in flight here, in memory that the first protocol may have given.
    transport.setProtocol(second);
    assertStrictEquals(transport.getProtocol(), second);
    handle.deliver(bytes("second"));
    handle.deliver(bytes("third"));
    transport.close();
    await turn();
    const [before, after] = [
      from === "Protocol" ? "dataReceived" : "bufferUpdated",
      to === "Protocol" ? "dataReceived" : "bufferUpdated",
    ];
    assertEquals(first.log.entries, ["connectionMade", `${before} 5`]);
    assertEquals(second.log.entries, [`${after} 6`, `${after} 5`, "connectionLost null"]);
    assertEquals([text(first.data), text(second.data)], ["first", "secondthird"]);
  });

  Deno.test(`setProtocol() from a ${from} to a ${to} while paused hands over what is held`, async () => {
    const handle = new FakeHandle();
    const [first, second] = [make(from), make(to)];
    const transport = makeTransport(first, handle);
    transport.pauseReading();
    handle.deliver(bytes("held"));
    transport.setProtocol(second);
    await turn();
    assertEquals(second.received, 0);
    transport.resumeReading();
    await turn();
    assertEquals([text(first.data), text(second.data)], ["", "held"]);
    transport.abort();
    await turn();
  });
}

Deno.test("setProtocol() to a BufferedProtocol with a buffer of 1 or 3 bytes gives it all that was in flight", async () => {
  for (const size of [1, 3]) {
    const handle = new FakeHandle();
    const second = new BufferedRecorder(size);
    const transport = makeTransport(new Recorder(), handle);
    transport.setProtocol(second);
    handle.deliver(bytes("eleven byte"));
    assertEquals(text(second.data), "eleven byte");
    assertEquals(second.log.entries.length, Math.ceil(11 / size));
    transport.abort();
    await turn();
  }
});

Deno.test("pauseReading() inside bufferUpdated() holds the rest of what setProtocol() handed over", async () => {
  class Sips extends BufferedRecorder {
    override bufferUpdated(nbytes: number): void {
      super.bufferUpdated(nbytes);
      transport.pauseReading();
    }
  }
  const handle = new FakeHandle();
  const second = new Sips(3);
  const transport = makeTransport(new Recorder(), handle);
  transport.setProtocol(second);
  handle.deliver(bytes("in four sips"));
  for (const soFar of ["in ", "in fou", "in four s"]) {
    assertEquals(text(second.data), soFar);
    transport.resumeReading();
    await turn();
  }
  assertEquals(text(second.data), "in four sips");
  assertEquals(second.log.entries.length, 4);
  transport.abort();
  await turn();
});

Deno.test("setProtocol() back to a Protocol halfway through what was handed over gives it the rest", async () => {
  const third = new Recorder();
  class Once extends BufferedRecorder {
    override bufferUpdated(nbytes: number): void {
      super.bufferUpdated(nbytes);
      transport.setProtocol(third);
    }
  }
  const handle = new FakeHandle();
  const second = new Once(4);
  const transport = makeTransport(new Recorder(), handle);
  transport.setProtocol(second);
  handle.deliver(bytes("head and the rest"));
  assertEquals([text(second.data), third.text], ["head", " and the rest"]);
  transport.abort();
  await turn();
});

Deno.test("setProtocol() away and back while a read is in flight loses nothing", async () => {
  for (const kind of KINDS) {
    const handle = new FakeHandle();
    const first = make(kind);
    const transport = makeTransport(first, handle);
    transport.setProtocol(make("Protocol"));
    transport.setProtocol(make("BufferedProtocol"));
    transport.setProtocol(first);
    handle.deliver(bytes("home"));
    assertEquals(text(first.data), "home");
    transport.abort();
    await turn();
  }
});

Deno.test("setProtocol() inside getBuffer() gives the new protocol the bytes, in memory of its own", async () => {
  for (const kind of KINDS) {
    const handle = new FakeHandle();
    const second = make(kind);
    const updates: number[] = [];
    const memory = new Uint8Array(64);
    const first: StreamCallbacks = {
      getBuffer() {
        transport.setProtocol(second);
        return memory;
      },
      bufferUpdated: (nbytes) => updates.push(nbytes),
    };
    const transport: Transport = makeTransport(new Recorder(), handle);
    transport.setProtocol(first);
    handle.deliver(bytes("x"));
    handle.deliver(bytes("yz"));
    assertEquals(text(second.data), "xyz", kind);
    assertEquals(updates, []);
    transport.abort();
    await turn();
  }
});

Deno.test("setProtocol() moves pauseWriting(), eofReceived() and connectionLost() to the new protocol", async () => {
  const handle = new FakeHandle();
  const [first, second] = [new Recorder(), new Recorder({ keepOpen: true })];
  const transport = makeTransport(first, handle);
  transport.write(pattern(100_000));
  transport.setProtocol(second);
  await turn();
  await handle.take(100_000);
  transport.write(pattern(100_000));
  handle.end();
  transport.abort();
  await turn();
  assertEquals(first.log.entries, ["connectionMade", "pauseWriting"]);
  assertEquals(second.log.entries, ["resumeWriting", "pauseWriting", "eofReceived", "connectionLost null"]);
});

Deno.test("setProtocol() while closing decides whose connectionLost() is called", async () => {
  const [first, second] = [new Recorder(), new Recorder()];
  const transport = makeTransport(first, new FakeHandle());
  transport.close();
  transport.setProtocol(second);
  await turn();
  assertEquals([first.log.entries, second.log.entries], [["connectionMade"], ["connectionLost null"]]);
});
