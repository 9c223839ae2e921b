import { Protocol, type StreamCallbacks, type Transport } from "../../mod.ts";
import { assert, assertEquals, assertLessOrEqual } from "../std.ts";
import { bytes, loop, pattern, Recorder, text, turn } from "../kit.ts";
import { countWrites, FakeHandle, makeTransport, microtasks, readBytes } from "./kit.ts";

/** A TCP connection of which this side is a Tandem transport whose system writes are counted. */
class Counted implements AsyncDisposable {
  readonly transport: Transport;
  readonly peer: Deno.Conn;
  /** The size of each system write. */
  readonly writes: number[];

  constructor(transport: Transport, peer: Deno.Conn, writes: number[]) {
    this.transport = transport;
    this.peer = peer;
    this.writes = writes;
  }

  static async connect(protocol: StreamCallbacks): Promise<Counted> {
    using listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
    const conn = await Deno.connect({ hostname: "127.0.0.1", port: listener.addr.port });
    const peer = await listener.accept();
    const writes = countWrites(conn);
    const [transport] = await loop.createConnection(() => protocol, { conn });
    return new Counted(transport, peer, writes);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.peer.close();
    this.transport.abort();
    await turn();
  }
}

/** Writes `count` times two bytes. */
function chatter(transport: Transport, count: number): void {
  for (let i = 0; i < count; i++) transport.write(bytes("ab"));
}

Deno.test("many small write()s in dataReceived() leave as one system write, and arrive in one read", async () => {
  class Chatty extends Recorder {
    override dataReceived(): void {
      chatter(this.transport, 100);
    }
  }
  const protocol = new Chatty();
  await using counted = await Counted.connect(protocol);
  await counted.peer.write(bytes("go"));
  const buffer = new Uint8Array(1000);
  assertEquals(await counted.peer.read(buffer), 200);
  assertEquals(text(buffer.subarray(0, 200)), "ab".repeat(100));
  assertEquals(counted.writes, [200]);
});

Deno.test("many small write()s in any callback leave as one system write", async () => {
  class Everywhere extends Recorder {
    override connectionMade(transport: Transport): void {
      super.connectionMade(transport);
      chatter(transport, 10);
    }
    override eofReceived(): boolean {
      chatter(this.transport, 20);
      return true;
    }
    override resumeWriting(): void {
      chatter(this.transport, 30);
    }
  }
  const protocol = new Everywhere();
  await using counted = await Counted.connect(protocol);
  await readBytes(counted.peer, 20);
  await counted.peer.closeWrite();
  await readBytes(counted.peer, 40);
  counted.transport.setWriteBufferLimits({ high: 99 });
  counted.transport.write(pattern(100));
  await readBytes(counted.peer, 160);
  assertEquals(counted.writes, [20, 40, 100, 60]);
});

Deno.test("many small write()s in bufferUpdated() leave as one system write", async () => {
  const buffer = new Uint8Array(16);
  let transport: Transport;
  await using counted = await Counted.connect({
    connectionMade: (made) => transport = made,
    getBuffer: () => buffer,
    bufferUpdated: () => chatter(transport, 50),
  });
  await counted.peer.write(bytes("go"));
  await readBytes(counted.peer, 100);
  assertEquals(counted.writes, [100]);
});

Deno.test("many small write()s outside of callbacks, in one go, leave as one system write", async () => {
  await using counted = await Counted.connect(new Protocol());
  chatter(counted.transport, 70);
  await readBytes(counted.peer, 140);
  await new Promise<void>((resolve) => {
    loop.callSoon(() => {
      chatter(counted.transport, 5);
      resolve();
    });
  });
  await readBytes(counted.peer, 10);
  assertEquals(counted.writes, [140, 10]);
});

Deno.test("many small write()s on another transport, from inside a callback, leave as one system write", async () => {
  await using other = await Counted.connect(new Protocol());
  class Forwards extends Protocol {
    override dataReceived(): void {
      chatter(other.transport, 40);
    }
  }
  await using counted = await Counted.connect(new Forwards());
  await counted.peer.write(bytes("go"));
  await readBytes(other.peer, 80);
  assertEquals([counted.writes, other.writes], [[], [80]]);
});

Deno.test("many small writeOwned()s, alone and among write()s, leave as one system write", async () => {
  await using counted = await Counted.connect(new Protocol());
  for (let i = 0; i < 10; i++) counted.transport.writeOwned(bytes("own"));
  await readBytes(counted.peer, 30);
  counted.transport.writeOwned(bytes("own"));
  for (let i = 0; i < 10; i++) counted.transport.write(bytes("copied"));
  counted.transport.writeOwned(bytes("own"));
  assertEquals(text(await readBytes(counted.peer, 66)), "own" + "copied".repeat(10) + "own");
  assertEquals(counted.writes, [30, 66]);
});

Deno.test("writelines() of many small pieces leaves as one system write", async () => {
  await using counted = await Counted.connect(new Protocol());
  counted.transport.writelines(Array.from({ length: 200 }, () => bytes("line\n")));
  counted.transport.write(bytes("end"));
  await readBytes(counted.peer, 1003);
  assertEquals(counted.writes, [1003]);
});

Deno.test("what is written while a system write is going on leaves together after it", async () => {
  const handle = new FakeHandle();
  const transport = makeTransport(new Recorder(), handle);
  transport.write(bytes("first"));
  await microtasks();
  for (let i = 0; i < 100; i++) {
    transport.write(bytes("0123456789"));
    await microtasks();
  }
  assertEquals(handle.writes.length, 1);
  await handle.take(2);
  assertEquals(text(handle.posted!), "rst");
  await handle.take(3);
  assertEquals(handle.writes.map((data) => data.length), [5, 3, 1000]);
  transport.abort();
  await turn();
});

Deno.test("small write()s leave in the turn that made them: coalescing adds no delay", async () => {
  const handle = new FakeHandle();
  const transport = makeTransport({}, handle);
  transport.write(bytes("now"));
  assertEquals(handle.writes.length, 0);
  await microtasks();
  assertEquals(handle.writes.length, 1);
  transport.abort();
  await turn();
});

Deno.test("what dataReceived() writes leaves as soon as it returns", () => {
  const handle = new FakeHandle();
  handle.takesAtOnce = Infinity;
  const recorder = new class extends Recorder {
    override dataReceived(): void {
      chatter(this.transport, 3);
      assertEquals(handle.writes.length, 0);
    }
  }();
  const transport = makeTransport(recorder, handle);
  handle.deliver(bytes("go"));
  assertEquals(handle.writes.map(text), ["ababab"]);
  transport.abort();
  return turn();
});

Deno.test("a megabyte in thousand small write()s leaves in a few system writes", async () => {
  const handle = new FakeHandle();
  handle.takesAtOnce = Infinity;
  const transport = makeTransport({}, handle);
  for (let i = 0; i < 1000; i++) transport.write(pattern(1049, i));
  await microtasks();
  assertLessOrEqual(handle.writes.length, 6);
  assertEquals(handle.written.length, 1_049_000);
  transport.abort();
  await turn();
});

Deno.test("write() of a large array leaves as one system write as far as the kernel takes it", async () => {
  const handle = new FakeHandle();
  const transport = makeTransport({}, handle);
  transport.write(pattern(5_000_000));
  await microtasks();
  assertEquals(handle.posted!.length, 5_000_000);
  await handle.take(4_999_999);
  assertEquals(handle.posted!.length, 1);
  assert(handle.writing);
  transport.abort();
  await turn();
});
