/** Odd moments at which memory from getBuffer() goes to writeOwned() and comes back. */
import type { Transport } from "../../mod.ts";
import { assert, assertEquals } from "../std.ts";
import { BufferedRecorder, bytes, concat, pattern, Recorder, text, turn } from "../kit.ts";
import type { StreamSink } from "../../transports/stream_handle.ts";
import { connectionOf, StreamTransport } from "../../transports/stream_transport.ts";
import { FakeHandle, makeTransport, microtasks } from "./kit.ts";

/** Gives its memory to other transports. */
class Gives extends BufferedRecorder {
  targets: Transport[] = [];

  override bufferUpdated(nbytes: number): void {
    super.bufferUpdated(nbytes);
    for (const target of this.targets) target.writeOwned(this.buffer.subarray(0, nbytes));
  }
}

for (const order of ["write last", "write first", "owned twice"] as const) {
  Deno.test(`writeOwned() of memory from getBuffer() among small writes keeps reading and loses nothing (${order})`, async () => {
    class Frames extends BufferedRecorder {
      override bufferUpdated(nbytes: number): void {
        const middle = nbytes >> 1;
        if (order === "write first") this.transport.write(bytes("<"));
        this.transport.writeOwned(this.buffer.subarray(0, middle));
        if (order === "write last") this.transport.write(bytes("|"));
        this.transport.writeOwned(this.buffer.subarray(middle, nbytes));
        if (order === "write last") this.transport.write(bytes(">"));
      }
    }
    for (const size of [7, 3000, 10_000, 40_000]) {
      const handle = new FakeHandle();
      const transport = makeTransport(new Frames(64 * 1024), handle);
      const expected: Uint8Array[] = [];
      for (let round = 0; round < 5; round++) {
        const data = pattern(size, round);
        handle.deliver(data);
        if (order === "write first") expected.push(bytes("<"));
        expected.push(data.subarray(0, size >> 1));
        if (order === "write last") expected.push(bytes("|"));
        expected.push(data.subarray(size >> 1));
        if (order === "write last") expected.push(bytes(">"));
        await turn();
        while (handle.writing) await handle.take(handle.posted!.length);
        await turn();
        assert(handle.reading, `${size} bytes, round ${round}`);
      }
      assertEquals(handle.written, concat(expected));
      transport.abort();
      await turn();
    }
  });
}

Deno.test("write() runs no data callback, even if it makes lent memory free", async () => {
  const [source, sink] = [new FakeHandle(), new FakeHandle()];
  const protocol = new Gives(4);
  const first = makeTransport(new Recorder(), source);
  const second = makeTransport(new Recorder(), sink);
  protocol.targets = [second];
  first.setProtocol(protocol);
  source.deliver(bytes("four and more"));
  assertEquals(text(protocol.data), "four");
  second.write(bytes("!"));
  assertEquals(text(protocol.data), "four");
  for (let i = 0; i < 10; i++) {
    await turn();
    if (sink.writing) await sink.take(sink.posted!.length);
  }
  assertEquals(text(protocol.data), "four and more");
  assertEquals(text(sink.written), "four! and more");
  first.abort();
  second.abort();
  await turn();
});

Deno.test("memory that a system write still reads from is not read into, also when its transport is aborted", async () => {
  const [source, sink] = [new FakeHandle(), new FakeHandle()];
  const protocol = new Gives(64 * 1024);
  const second = makeTransport(new Recorder(), sink);
  protocol.targets = [second];
  const first = makeTransport(protocol, source);
  source.deliver(pattern(10_000));
  await microtasks();
  assert(sink.writing);
  second.abort();
  await microtasks();
  assertEquals([source.reading, sink.closed], [false, false]);
  await turn();
  await turn();
  assertEquals([source.reading, sink.closed], [true, true]);
  first.abort();
  await turn();
});

Deno.test("memory given to several transports is read into when the last of them has sent it", async () => {
  const source = new FakeHandle();
  const sinks = [new FakeHandle(), new FakeHandle(), new FakeHandle()];
  const protocol = new Gives(64 * 1024);
  protocol.targets = sinks.map((sink) => makeTransport(new Recorder(), sink));
  const first = makeTransport(protocol, source);
  source.deliver(pattern(10_000));
  await microtasks();
  for (const sink of sinks) {
    assertEquals(source.reading, false);
    await sink.take(9_999);
    assertEquals(source.reading, false);
    await sink.take(1);
  }
  await turn();
  assertEquals(source.reading, true);
  for (const sink of sinks) assertEquals(sink.writes[0], pattern(10_000));
  for (const transport of [first, ...protocol.targets]) transport.abort();
  await turn();
});

Deno.test("close(), abort() and setProtocol() while memory is lent do what they always do", async () => {
  for (const how of ["close", "abort", "setProtocol"] as const) {
    const [source, sink] = [new FakeHandle(), new FakeHandle()];
    const protocol = new Gives(64 * 1024);
    const second = makeTransport(new Recorder(), sink);
    protocol.targets = [second];
    const first = makeTransport(protocol, source);
    source.deliver(pattern(10_000));
    await microtasks();
    const next = new Recorder();
    if (how === "setProtocol") first.setProtocol(next);
    else first[how]();
    await turn();
    await sink.take(10_000);
    await turn();
    if (how === "setProtocol") {
      source.deliver(bytes("on we go"));
      assertEquals(next.text, "on we go");
    } else {
      assertEquals(source.reading, false);
      assertEquals(protocol.log.entries, ["connectionMade", "bufferUpdated 10000", "connectionLost null"]);
    }
    first.abort();
    second.abort();
    await turn();
  }
});

Deno.test("pauseReading() and resumeReading() while memory is lent keep it from being read into", async () => {
  const [source, sink] = [new FakeHandle(), new FakeHandle()];
  const protocol = new Gives(64 * 1024);
  const second = makeTransport(new Recorder(), sink);
  protocol.targets = [second];
  const first = makeTransport(protocol, source);
  source.deliver(pattern(10_000));
  first.pauseReading();
  first.resumeReading();
  await turn();
  await turn();
  assertEquals(source.reading, false);
  first.pauseReading();
  await sink.take(10_000);
  await turn();
  assertEquals(source.reading, false);
  first.resumeReading();
  await turn();
  assertEquals(source.reading, true);
  first.abort();
  second.abort();
  await turn();
});

/** A handle that delivers chunks in memory of their own, as those of TLS and web streams do, while it may. */
class Pushing extends FakeHandle {
  #sink: StreamSink | null = null;
  #chunks: Uint8Array[];

  constructor(chunks: Uint8Array[]) {
    super();
    this.#chunks = chunks;
  }

  override readStart(sink: StreamSink): void {
    this.#sink = sink;
    queueMicrotask(() => {
      while (this.#sink !== null && this.#chunks.length > 0) this.#sink.chunk(this.#chunks.shift()!);
    });
  }

  override readStop(): void {
    this.#sink = null;
  }
}

Deno.test("chunks that come while memory is lent wait for it, and none is lost", async () => {
  const sink = new FakeHandle();
  const protocol = new Gives(4);
  const second = makeTransport(new Recorder(), sink);
  protocol.targets = [second];
  const first = makeTransport(
    protocol,
    new Pushing([bytes("one"), bytes("two and three"), bytes("four"), bytes("five")]),
  );
  for (let i = 0; i < 20; i++) {
    await turn();
    if (sink.writing) await sink.take(sink.posted!.length);
  }
  assertEquals(text(protocol.data), "onetwo and threefourfive");
  assertEquals(text(sink.written), "onetwo and threefourfive");
  first.abort();
  second.abort();
  await turn();
});

Deno.test("memory that is lent when startTls() takes the connection over is not read into before it is back", async () => {
  const sink = new FakeHandle();
  const protocol = new Gives(16);
  const second = makeTransport(new Recorder(), sink);
  protocol.targets = [second];
  const source = new FakeHandle();
  const first = makeTransport(protocol, source);
  source.deliver(bytes("plain"));
  const connection = connectionOf(first)!;
  connection.beginUpgrade(first);
  const ignored = { allocate: () => null, filled() {}, chunk() {}, end() {}, failed() {} };
  const upgraded = new Pushing([bytes("secret")]);
  connection.upgrade(() => [upgraded, ignored], protocol, true, () => new StreamTransport(connection, { extra: {} }));
  connection.startReading();
  await turn();
  await turn();
  assertEquals(text(protocol.data), "plain");
  assertEquals(text(sink.posted!), "plain");
  await sink.take(5);
  await turn();
  assertEquals(text(protocol.data), "plainsecret");
  for (const transport of [connection, second]) transport.abort();
  await turn();
});
