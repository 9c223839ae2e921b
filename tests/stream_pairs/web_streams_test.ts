/** The web streams of a pair, and pairs of web streams. */
import { assert, assertEquals, assertRejects, assertStrictEquals } from "../std.ts";
import { InvalidStateError, Protocol, type Transport } from "../../mod.ts";
import { fromStreams } from "../../streams/mod.ts";
import { MemoryLoop } from "../../testing/mod.ts";
import { assertBytes, bytes, concat, loop, pattern, Recorder, text, turn } from "../kit.ts";
import { serveResettable } from "../streams/kit.ts";
import { SERVER, TRUSTING } from "../tls/kit.ts";
import { connectPairs, fedReader } from "./kit.ts";
import { toStreams } from "../../streams/mod.ts";

/** Reads a stream to its end. */
async function collect(readable: ReadableStream<Uint8Array>): Promise<Uint8Array> {
  return concat(await Array.fromAsync(readable));
}

Deno.test("readable and writable carry megabytes both ways, and end each direction alone", async () => {
  await using ends = await connectPairs();
  const data = pattern(3_000_000);
  const echoing = ends.served.readable.pipeTo(ends.served.writable);
  const sending = new Blob([data]).stream().pipeTo(ends.client.writable);
  assertBytes(await collect(ends.client.readable), data);
  await Promise.all([echoing, sending, ends.client.closed, ends.served.closed]);
});

Deno.test("closing writable leaves readable open, and the end of readable leaves writable open", async () => {
  await using ends = await connectPairs();
  await ends.client.writable.close();
  assertEquals((await collect(ends.served.readable)).length, 0);
  assertEquals(ends.served.transport.isClosing(), false);
  const writer = ends.served.writable.getWriter();
  await writer.write(bytes("answer"));
  assertEquals(ends.client.transport.isClosing(), false);
  await writer.close();
  assertEquals(text(await collect(ends.client.readable)), "answer");
  await Promise.all([ends.client.closed, ends.served.closed]);
});

Deno.test("readable fills the buffer of a BYOB reader, and ends it", async () => {
  await using ends = await connectPairs();
  ends.client.writer.write(bytes("abcdefg"));
  const reader = ends.served.readable.getReader({ mode: "byob" });
  const first = await reader.read(new Uint8Array(3));
  assertEquals(text(first.value!), "abc");
  const buffer = new Uint8Array(10);
  const second = await reader.read(buffer.subarray(2, 6), { min: 4 });
  assertEquals([text(second.value!), second.value!.byteOffset, buffer.length], ["defg", 2, 0]);
  const last = reader.read(new Uint8Array(3));
  ends.client.writer.writeEof();
  assertEquals((await last).done, true);
});

Deno.test("a BYOB reader, other readers and reader take turns, with none lost", async () => {
  await using ends = await connectPairs();
  const data = pattern(900_000);
  ends.client.writer.write(data);
  ends.client.writer.writeEof();
  const pieces: Uint8Array[] = [];
  let received = 0;
  for (let i = 0; received < data.length; i++) {
    let piece: Uint8Array;
    if (i % 3 === 0) {
      const reader = ends.served.readable.getReader({ mode: "byob" });
      piece = (await reader.read(new Uint8Array(10_000 + i))).value!;
      reader.releaseLock();
    } else if (i % 3 === 1) {
      const reader = ends.served.readable.getReader();
      piece = (await reader.read()).value!;
      reader.releaseLock();
    } else {
      piece = await ends.served.reader.readExactly(Math.min(3000, data.length - received));
    }
    pieces.push(piece);
    received += piece.length;
  }
  assertBytes(concat(pieces), data);
  assertEquals((await ends.served.readable.getReader({ mode: "byob" }).read(new Uint8Array(1))).done, true);
});

Deno.test("BYOB reads into buffers of any size return all bytes in order, one at a time and several at once", async () => {
  await using ends = await connectPairs();
  const data = pattern(5_000_000);
  const sending = new Blob([data]).stream().pipeTo(ends.client.writable);
  const reader = ends.served.readable.getReader({ mode: "byob" });
  const sizes = [65_536, 100, 20_000, 16_384, 200_000, 1];
  const pieces: Uint8Array[] = [];
  for (let i = 0, done = false; !done; i++) {
    // A slow reader now and then: bytes wait for it.
    if (i % 50 === 0) await turn();
    const reads = Array.from({ length: 1 + i % 3 }, (_, j) => reader.read(new Uint8Array(sizes[(i + j) % 6]!)));
    for (const read of await Promise.all(reads)) {
      done ||= read.done;
      pieces.push(read.value!);
    }
  }
  assertBytes(concat(pieces), data);
  await sending;
});

Deno.test("a BYOB read that waits with a large buffer can be cancelled, and what arrives then is dropped", async () => {
  await using ends = await connectPairs();
  const reader = ends.served.readable.getReader({ mode: "byob" });
  const first = reader.read(new Uint8Array(65_536));
  ends.client.writer.write(bytes("first"));
  assertEquals(text((await first).value!), "first");
  const second = reader.read(new Uint8Array(65_536));
  await turn();
  await reader.cancel();
  assertEquals((await second).done, true);
  ends.client.writer.write(bytes("second"));
  await ends.served.writable.close();
  await ends.served.closed;
});

Deno.test("the end within an element of a BYOB reader's array fails the stream, and leaves writable open", async () => {
  await using ends = await connectPairs();
  const reading = ends.served.readable.getReader({ mode: "byob" }).read(new Uint32Array(8192));
  ends.client.writer.write(bytes("abc"));
  ends.client.writer.writeEof();
  await assertRejects(() => reading, TypeError);
  ends.served.writer.write(bytes("answer"));
  assertEquals(text(await ends.client.reader.readExactly(6)), "answer");
});

Deno.test("startTls() rejects while a BYOB read waits, and the connection goes on in the clear", async () => {
  await using ends = await connectPairs();
  const reading = ends.served.readable.getReader({ mode: "byob" }).read(new Uint8Array(65_536));
  await turn();
  const message = "a BYOB read of readable waits";
  await assertRejects(() => ends.served.writer.startTls(SERVER), InvalidStateError, message);
  const transport = ends.served.transport as Transport;
  const direct = () => loop.startTls(transport, transport.getProtocol(), { ...SERVER, serverSide: true });
  await assertRejects(direct, InvalidStateError, message);
  ends.client.writer.write(bytes("plain"));
  assertEquals(text((await reading).value!), "plain");
});

Deno.test("startTls() rejects while readable has plain bytes of a read that was given up", async () => {
  await using ends = await connectPairs();
  const { readable, writer } = ends.served;
  const given = readable.getReader({ mode: "byob" });
  const reading = assertRejects(() => given.read(new Uint8Array(65_536)), TypeError);
  await turn();
  given.releaseLock();
  await reading;
  ends.client.writer.write(bytes("plain"));
  // Until the bytes are there, a BYOB read still waits, which is rejected, too.
  for (let i = 0; i < 20; i++) await turn();
  const options = { ...SERVER, handshakeTimeout: 500 };
  await assertRejects(() => writer.startTls(options), InvalidStateError, "startTls() cannot be called while ");
});

Deno.test("startTls() after a BYOB reader goes on with both", async () => {
  await using ends = await connectPairs();
  ends.client.writer.write(bytes("plain"));
  const reader = ends.served.readable.getReader({ mode: "byob" });
  assertEquals(text((await reader.read(new Uint8Array(5))).value!), "plain");
  await Promise.all([ends.client.writer.startTls(TRUSTING), ends.served.writer.startTls(SERVER)]);
  ends.client.writer.write(bytes("secret, more\n"));
  assertEquals(text((await reader.read(new Uint8Array(6))).value!), "secret");
  reader.releaseLock();
  assertEquals(text(await ends.served.reader.readLine()), ", more\n");
});

for (const [engine, loopOf] of [["the engine", () => loop], ["memory", () => new MemoryLoop()]] as const) {
  Deno.test(`readable gives another reader what arrives after a BYOB read was given up, over ${engine}`, async () => {
    for (const size of [8, 65_536]) {
      await using ends = await connectPairs({ server: { loop: loopOf() } });
      const { readable } = ends.served;
      for (const second of ["default", "byob"] as const) {
        const given = readable.getReader({ mode: "byob" });
        const givenUp = assertRejects(() => given.read(new Uint8Array(size)), TypeError);
        await turn();
        given.releaseLock();
        await givenUp;
        const reader = second === "byob" ? readable.getReader({ mode: "byob" }) : readable.getReader();
        const read = () => reader.read(new Uint8Array(size)) as Promise<ReadableStreamReadResult<Uint8Array>>;
        const reads = [read(), read()];
        await turn();
        ends.client.writer.write(bytes("one"));
        assertEquals(text((await reads[0]!).value!), "one");
        ends.client.writer.write(bytes("two"));
        assertEquals(text((await reads[1]!).value!), "two");
        reader.releaseLock();
      }
      const given = readable.getReader({ mode: "byob" });
      const givenUp = assertRejects(() => given.read(new Uint8Array(size)), TypeError);
      await turn();
      given.releaseLock();
      await givenUp;
      const last = readable.getReader().read();
      ends.client.writer.writeEof();
      assertEquals((await last).done, true);
    }
  });
}

Deno.test("readable takes over from reader, and reader from readable, with none lost", async () => {
  await using ends = await connectPairs();
  ends.client.writer.write(bytes("header\nbody"));
  assertEquals(text(await ends.served.reader.readLine()), "header\n");
  const reader = ends.served.readable.getReader();
  assertEquals(text((await reader.read()).value!), "body");
  reader.releaseLock();
  ends.client.writer.write(bytes("trailer\n"));
  assertEquals(text(await ends.served.reader.readLine()), "trailer\n");
});

Deno.test("reader reads while a read of readable that was given up waits, and readable reads on after it", async () => {
  await using ends = await connectPairs();
  const { reader, readable } = ends.served;
  const given = readable.getReader();
  const givenUp = assertRejects(() => given.read(), TypeError);
  await turn();
  await assertRejects(() => reader.readLine(), InvalidStateError, "readLine() cannot be called");
  given.releaseLock();
  await givenUp;
  const line = reader.readLine();
  ends.client.writer.write(bytes("line\nrest"));
  assertEquals(text(await line), "line\n");
  assertEquals(text((await readable.getReader().read()).value!), "rest");
});

Deno.test("a chunk of readable can be transferred, and detaches nothing that a reader has returned", async () => {
  const { protocol, reader } = fedReader();
  const chunk = pattern(100_000);
  protocol.dataReceived(chunk);
  const head = await reader.readExactly(10);
  const stream = protocol.pair.readable.getReader();
  const { value } = await stream.read();
  assertEquals(value!.length, 99_990);
  structuredClone(value, { transfer: [value!.buffer] });
  assertEquals([...head], [...pattern(10)]);
  protocol.dataReceived(pattern(100_000));
  assertBytes((await stream.read()).value!, pattern(100_000));
});

Deno.test("cancelling readable stops reading and leaves writable open; ending that closes the connection", async () => {
  await using ends = await connectPairs();
  const reader = ends.served.readable.getReader();
  const reading = reader.read();
  await turn();
  await reader.cancel("no more");
  assertEquals((await reading).done, true);
  assertEquals([ends.served.transport.isReading(), ends.served.transport.isClosing()], [false, false]);
  const writer = ends.served.writable.getWriter();
  await writer.write(bytes("goodbye"));
  await writer.close();
  await ends.served.closed;
  assertEquals(text(await ends.client.reader.read()), "goodbye");
});

Deno.test("aborting writable drops what was written, also while a write waits for the peer", async () => {
  await using ends = await connectPairs({ server: { limit: 1000 } });
  const writer = ends.client.writable.getWriter();
  const writing = writer.write(new Uint8Array(20_000_000));
  writing.catch(() => {});
  await turn();
  const reason = new Error("changed my mind");
  await writer.abort(reason);
  await ends.client.closed;
  await assertRejects(() => writer.closed, Error, "changed my mind");
});

Deno.test("a lost connection fails both streams with its error", async () => {
  await using peer = await serveResettable(toStreams());
  const { pair } = peer.protocol;
  const reading = pair.readable.getReader().read();
  const writer = pair.writable.getWriter();
  await peer.reset();
  const error = await assertRejects(() => reading, Deno.errors.ConnectionReset);
  assertStrictEquals(await assertRejects(() => writer.closed, Error), error);
  assertStrictEquals(await assertRejects(() => writer.write(bytes("x")), Error), error);
  assertStrictEquals(await assertRejects(() => pair.closed, Error), error);
});

Deno.test("a write after close() rejects, and so does one that is no bytes", async () => {
  await using ends = await connectPairs();
  await assertRejects(
    () => ends.client.writable.getWriter().write("text" as never),
    TypeError,
    'writable: the chunk must be a Uint8Array, got string "text"',
  );
  ends.served.close();
  await assertRejects(
    () => ends.served.writable.getWriter().write(bytes("x")),
    Deno.errors.ConnectionReset,
    "writable: the connection is closed",
  );
});

Deno.test("readable rejects while a read of reader waits, which goes on", async () => {
  await using ends = await connectPairs();
  const line = ends.served.reader.readLine();
  await assertRejects(() => ends.served.readable.getReader().read(), InvalidStateError, "readable cannot be called");
  ends.client.writer.write(bytes("line\n"));
  assertEquals(text(await line), "line\n");
});

Deno.test("writable waits while its peer does not read", async () => {
  await using ends = await connectPairs({ server: { limit: 1000 } });
  const writer = ends.client.writable.getWriter();
  let written = 0;
  const writing = (async () => {
    for (; written < 40; written++) await writer.write(pattern(1_000_000));
    await writer.close();
  })();
  let before = -1;
  for (let quiet = 0; quiet < 200; quiet = before === written ? quiet + 1 : 0) {
    before = written;
    await turn();
  }
  assert(written < 40, `${written} writes`);
  assertEquals((await ends.served.reader.readExactly(40_000_000)).length, 40_000_000);
  await writing;
});

Deno.test("fromStreams() makes a transport of two web streams, for a protocol of one's own", async () => {
  const [there, back] = [new TransformStream<Uint8Array, Uint8Array>(), new TransformStream<Uint8Array, Uint8Array>()];
  class Echo extends Protocol {
    #transport!: Transport;
    override connectionMade(transport: Transport): void {
      this.#transport = transport;
    }
    override dataReceived(data: Uint8Array): void {
      this.#transport.write(data);
    }
  }
  const [transport] = await fromStreams({ readable: there.readable, writable: back.writable }, () => new Echo());
  assertEquals(transport.getExtraInfo("peername"), { transport: "unix", path: "" });
  const data = pattern(500_000);
  const sending = new Blob([data]).stream().pipeTo(there.writable);
  assertBytes(await collect(back.readable), data);
  await sending;
  assertEquals(transport.isClosing(), true);
});

Deno.test("fromStreams() without a factory makes a pair, whose ends pass both ways", async () => {
  const [there, back] = [new TransformStream<Uint8Array, Uint8Array>(), new TransformStream<Uint8Array, Uint8Array>()];
  const [, { pair }] = await fromStreams({ readable: there.readable, writable: back.writable });
  const [, far] = await fromStreams({ readable: back.readable, writable: there.writable }, () => new Recorder());
  pair.writer.write(bytes("question"));
  await far.untilReceived(8);
  far.keepOpen = true;
  pair.writer.writeEof();
  await far.log.has("eofReceived");
  far.transport.write(bytes("answer"));
  far.transport.writeEof();
  assertEquals(text(await pair.reader.read()), "answer");
  await pair.closed;
  far.transport.close();
  await far.untilLost();
  await turn();
});

Deno.test("fromStreams() fails with the error of a stream, and aborts the other", async () => {
  let aborted = false;
  const broken = new Error("broken");
  const readable = new ReadableStream<Uint8Array>({ pull: () => Promise.reject(broken) });
  const writable = new WritableStream<Uint8Array>({ abort: () => void (aborted = true) });
  const [, { pair }] = await fromStreams({ readable, writable });
  assertStrictEquals(await assertRejects(() => pair.closed, Error), broken);
  await turn();
  assertEquals(aborted, true);
});

Deno.test("fromStreams() rejects what is no stream, and leaves the other unlocked", async () => {
  const { readable, writable } = new TransformStream<Uint8Array, Uint8Array>();
  const wrong = [
    [{ readable: 1, writable }, "fromStreams(): readable must be a ReadableStream, got number 1"],
    [{ readable }, "fromStreams(): writable must be a WritableStream, got undefined"],
    [null, "fromStreams(): streams must be an object with readable and writable, got null"],
  ] as const;
  for (const [streams, message] of wrong) {
    const error = await assertRejects(() => fromStreams(streams as never), TypeError);
    assertEquals(error.message, message);
  }
  await assertRejects(() => fromStreams({ readable, writable }, 1 as never), TypeError, "factory must be a function");
  assertEquals([readable.locked, writable.locked], [false, false]);
  const reader = readable.getReader();
  await assertRejects(() => fromStreams({ readable, writable }), TypeError, "fromStreams(): readable is locked");
  reader.releaseLock();
  assertEquals([readable.locked, writable.locked], [false, false]);
});
