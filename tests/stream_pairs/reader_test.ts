/** What a StreamReader returns, however its bytes have arrived. */
import { assert, assertEquals, assertInstanceOf, assertRejects, assertStrictEquals } from "../std.ts";
import { InvalidStateError } from "../../mod.ts";
import { ByteQueue } from "../../streams/byte_queue.ts";
import { IncompleteReadError, LimitOverrunError } from "../../streams/mod.ts";
import { assertBytes, bytes, makeRandom, pattern, text } from "../kit.ts";
import { fedReader } from "./kit.ts";

/** Feeds text byte by byte. */
function feedSlowly(protocol: { dataReceived(data: Uint8Array<ArrayBuffer>): void }, data: string): void {
  for (const byte of bytes(data)) protocol.dataReceived(new Uint8Array([byte]));
}

Deno.test("read(n) resolves to what has arrived, at most n bytes, and at the end to none", async () => {
  const { protocol, reader } = fedReader();
  const first = reader.read(3);
  protocol.dataReceived(bytes("abcde"));
  assertEquals(text(await first), "abc");
  protocol.dataReceived(bytes("fgh"));
  assertEquals(text(await reader.read(100)), "defgh");
  assertEquals(await reader.read(0), new Uint8Array(0));
  const last = reader.read(1);
  protocol.eofReceived();
  assertEquals(await last, new Uint8Array(0));
  assertEquals(await reader.read(1), new Uint8Array(0));
});

Deno.test("read() without a number resolves to everything up to the end, and never stays paused", async () => {
  const { protocol, reader, calls } = fedReader({ limit: 10 });
  const all = reader.read();
  for (let i = 0; i < 5; i++) {
    protocol.dataReceived(pattern(30, i));
    await Promise.resolve().then(() => {}).then(() => {});
  }
  protocol.eofReceived();
  assertBytes(await all, new Uint8Array([0, 1, 2, 3, 4].flatMap((i) => [...pattern(30, i)])));
  assertEquals(calls.filter((call) => call === "pause").length, calls.filter((call) => call === "resume").length);
});

Deno.test("readExactly() resolves to one buffer, of bytes that came in many pieces or in one", async () => {
  const { protocol, reader } = fedReader();
  protocol.dataReceived(pattern(100_000));
  assertBytes(await reader.readExactly(40_000), pattern(100_000).subarray(0, 40_000));
  const rest = reader.readExactly(70_000);
  for (let i = 0; i < 100; i++) protocol.dataReceived(pattern(100, i));
  const buffer = await rest;
  assertBytes(buffer.subarray(0, 60_000), pattern(100_000).subarray(40_000));
  assertBytes(buffer.subarray(60_000, 60_100), pattern(100));
  assertEquals(await reader.readExactly(0), new Uint8Array(0));
});

Deno.test("readExactly() rejects at the end with an IncompleteReadError that has what came", async () => {
  const { protocol, reader } = fedReader();
  protocol.dataReceived(bytes("abc"));
  const reading = reader.readExactly(5);
  protocol.dataReceived(bytes("d"));
  protocol.eofReceived();
  const error = await assertRejects(() => reading, IncompleteReadError);
  assertInstanceOf(error, Deno.errors.UnexpectedEof);
  assertEquals([error.name, text(error.partial), error.expected], ["IncompleteReadError", "abcd", 5]);
  assertEquals(error.message, "the stream ended after 4 bytes, before 5 bytes");
  assertEquals(reader.atEof(), true);
});

Deno.test("readUntil() finds separators of several bytes at every split", async () => {
  const whole = "one\r\ntwo\r\r\nthree\n\r\nrest";
  for (let split = 0; split <= whole.length; split++) {
    const { protocol, reader } = fedReader();
    protocol.dataReceived(bytes(whole.slice(0, split)));
    const lines: string[] = [];
    const reading = (async () => {
      for (let i = 0; i < 3; i++) lines.push(text(await reader.readUntil("\r\n")));
      return await assertRejects(() => reader.readUntil(bytes("\r\n")), IncompleteReadError);
    })();
    protocol.dataReceived(bytes(whole.slice(split)));
    protocol.eofReceived();
    const error = await reading;
    assertEquals(lines, ["one\r\n", "two\r\r\n", "three\n\r\n"]);
    assertEquals([text(error.partial), error.expected], ["rest", null]);
  }
});

Deno.test("readUntil() with several separators takes the one that ends first, and of those the shortest", async () => {
  const { protocol, reader } = fedReader();
  feedSlowly(protocol, "a\r\nb\nc\r");
  const separators = ["\r\n", "\n", "\r"];
  assertEquals(text(await reader.readUntil(separators)), "a\r");
  assertEquals(text(await reader.readUntil(separators)), "\n");
  assertEquals(text(await reader.readUntil(["\n", bytes("b\n")])), "b\n");
  assertEquals(text(await reader.readUntil(separators)), "c\r");
});

Deno.test("readUntil() rejects over the limit with a LimitOverrunError, and leaves the bytes", async () => {
  const { protocol, reader } = fedReader({ limit: 5 });
  protocol.dataReceived(bytes("0123456789"));
  const absent = await assertRejects(() => reader.readUntil("\r\n"), LimitOverrunError);
  assertEquals([absent.name, absent.consumed], ["LimitOverrunError", 9]);
  protocol.dataReceived(bytes("\r\nabc;"));
  const present = await assertRejects(() => reader.readUntil("\r\n"), LimitOverrunError);
  assertEquals(present.consumed, 10);
  assertEquals(text(await reader.readUntil("\r\n", { limit: 10 })), "0123456789\r\n");
  assertEquals(text(await reader.readUntil(";")), "abc;");
});

Deno.test("readLine() resolves to lines, then to the rest, then to nothing", async () => {
  const { protocol, reader } = fedReader();
  feedSlowly(protocol, "one\n\ntwo");
  assertEquals(text(await reader.readLine()), "one\n");
  assertEquals(text(await reader.readLine()), "\n");
  const last = reader.readLine();
  protocol.eofReceived();
  assertEquals(text(await last), "two");
  assertEquals((await reader.readLine()).length, 0);
});

Deno.test("readLine() over the limit drops the line if its end has come, else all that has come", async () => {
  const { protocol, reader } = fedReader({ limit: 3 });
  protocol.dataReceived(bytes("too long\nok\n"));
  await assertRejects(() => reader.readLine(), LimitOverrunError);
  assertEquals(text(await reader.readLine()), "ok\n");
  protocol.dataReceived(bytes("endless"));
  await assertRejects(() => reader.readLine(), LimitOverrunError);
  protocol.dataReceived(bytes("b\n"));
  assertEquals(text(await reader.readLine()), "b\n");
});

Deno.test("peek() waits for n bytes, and leaves them", async () => {
  const { protocol, reader } = fedReader();
  const peeking = reader.peek(4);
  feedSlowly(protocol, "abcdef");
  assertEquals(text(await peeking), "abcd");
  (await peeking).fill(0);
  assertEquals(text(await reader.readExactly(6)), "abcdef");
  protocol.dataReceived(bytes("gh"));
  protocol.eofReceived();
  assertEquals(text(await reader.peek(4)), "gh");
  assertEquals(reader.atEof(), false);
  assertEquals(text(await reader.read(4)), "gh");
  assertEquals(text(await reader.peek(4)), "");
});

Deno.test("chunks(), lines() and the reader itself can be iterated, up to the end or to a break", async () => {
  const { protocol, reader } = fedReader();
  protocol.dataReceived(bytes("a\nb\nc\nd\ne"));
  const lines: string[] = [];
  for await (const line of reader.lines()) if (lines.push(text(line)) === 2) break;
  assertEquals(lines, ["a\n", "b\n"]);
  for await (const chunk of reader) {
    assertEquals(text(chunk), "c\nd\ne");
    break;
  }
  protocol.dataReceived(bytes("f\ng"));
  protocol.eofReceived();
  for await (const line of reader.lines({ limit: 10 })) lines.push(text(line));
  assertEquals(lines, ["a\n", "b\n", "f\n", "g"]);
  for await (const _ of reader.chunks()) assert(false);
});

Deno.test("signal ends each kind of read with its reason, and no bytes are lost", async () => {
  const { protocol, reader } = fedReader();
  protocol.dataReceived(pattern(2000));
  const reads = {
    read: (signal: AbortSignal) => reader.read(undefined, { signal }),
    readExactly: (signal: AbortSignal) => reader.readExactly(4000, { signal }),
    readUntil: (signal: AbortSignal) => reader.readUntil(new Uint8Array([255]), { signal }),
    peek: (signal: AbortSignal) => reader.peek(4000, { signal }),
  };
  for (const [name, read] of Object.entries(reads)) {
    const controller = new AbortController();
    const reading = read(controller.signal);
    protocol.dataReceived(pattern(10));
    const reason = new Error(name);
    controller.abort(reason);
    assertStrictEquals(await assertRejects(() => reading, Error, name), reason);
    assertStrictEquals(await assertRejects(() => read(controller.signal), Error), reason);
  }
  const expected = [...pattern(2000), ...Array.from({ length: 4 }, () => [...pattern(10)]).flat()];
  assertBytes(await reader.readExactly(2040), new Uint8Array(expected));
  const iterate = {
    chunks: (signal: AbortSignal) => reader.chunks({ signal }).next(),
    lines: (signal: AbortSignal) => reader.lines({ signal }).next(),
    readLine: (signal: AbortSignal) => reader.readLine({ signal }),
  };
  for (const [name, read] of Object.entries(iterate)) {
    const controller = new AbortController();
    const reading = read(controller.signal);
    controller.abort(new Error(name));
    await assertRejects(() => reading, Error, name);
  }
});

Deno.test("a read rejects with an InvalidStateError while another one waits, which goes on", async () => {
  const { protocol, reader } = fedReader();
  const first = reader.readLine();
  const message = "read() cannot be called while another read waits for bytes";
  await assertRejects(() => reader.read(1), InvalidStateError, message);
  protocol.dataReceived(bytes("line\n"));
  // Its bytes are there, but they are those of the first read.
  await assertRejects(() => reader.read(1), InvalidStateError, message);
  assertEquals(text(await first), "line\n");
});

Deno.test("a lost connection gives the reader what has arrived, and then its error", async () => {
  const { protocol, reader } = fedReader();
  protocol.dataReceived(bytes("line\nrest"));
  const error = new Deno.errors.ConnectionReset("gone");
  protocol.connectionLost(error);
  assertEquals(text(await reader.readLine()), "line\n");
  assertStrictEquals(await assertRejects(() => reader.readLine(), Error), error);
  assertStrictEquals(await assertRejects(() => reader.readExactly(10), Error), error);
  assertStrictEquals(await assertRejects(() => reader.read(), Error), error);
  assertEquals(text(await reader.read(10)), "rest");
  assertStrictEquals(await assertRejects(() => reader.read(10), Error), error);
  assertStrictEquals(await assertRejects(() => protocol.pair.closed, Error), error);
});

Deno.test("a reader that is not read pauses over twice its limit, and resumes at its limit", async () => {
  const { protocol, reader, calls } = fedReader({ limit: 100 });
  protocol.dataReceived(pattern(200));
  assertEquals(calls, []);
  protocol.dataReceived(pattern(1));
  assertEquals(calls, ["pause"]);
  await reader.readExactly(100);
  assertEquals(calls, ["pause"]);
  await reader.readExactly(1);
  assertEquals(calls, ["pause", "resume"]);
});

Deno.test("a read of more than the limit resumes a paused transport", async () => {
  const { protocol, reader, calls } = fedReader({ limit: 10 });
  protocol.dataReceived(pattern(25));
  assertEquals(calls, ["pause"]);
  const reading = reader.peek(40);
  assertEquals(calls, ["pause", "resume"]);
  protocol.dataReceived(pattern(15));
  assertEquals((await reading).length, 40);
  assertEquals(calls, ["pause", "resume", "pause"]);
});

Deno.test("reads of any kind return the same bytes, in whatever pieces they arrive", async () => {
  for (let seed = 0; seed < 200; seed++) {
    const random = makeRandom(seed);
    const data = pattern(1 + random(20_000), seed);
    for (let i = 0; i < data.length; i += 1 + random(200)) data[i] = 10;
    const { protocol, reader } = fedReader({ limit: 30_000 });
    const sizes = [1, 30, 2000, 9000];
    for (let offset = 0; offset < data.length;) {
      const size = Math.min(1 + random(sizes[random(4)]!), data.length - offset);
      protocol.dataReceived(data.slice(offset, offset + size));
      offset += size;
    }
    protocol.eofReceived();
    const pieces: number[] = [];
    while (!reader.atEof()) {
      const left = data.length - pieces.length;
      const kind = random(5);
      const piece = kind === 0
        ? await reader.readLine()
        : kind === 1
        ? await reader.readExactly(Math.min(left, random(3000)))
        : kind === 2
        ? await reader.read(1 + random(3000))
        : kind === 3
        ? await reader.readUntil([new Uint8Array([10, 7]), "\n"]).catch((error) => error.partial)
        : (await reader.chunks().next()).value;
      if (random(3) === 0) {
        assertBytes(await reader.peek(7), data.subarray(pieces.length + piece.length).subarray(0, 7));
      }
      for (const byte of piece) pieces.push(byte);
    }
    assertBytes(new Uint8Array(pieces), data, `seed ${seed}`);
  }
});

Deno.test("wrong arguments of a read are errors that name them, and take no bytes", async () => {
  const { protocol, reader } = fedReader();
  protocol.dataReceived(bytes("abc"));
  const cases: [() => Promise<unknown>, string][] = [
    [() => reader.read(-1), "read(): n must be a whole number of bytes, 0 or more, got number -1"],
    [() => reader.read(1.5), "read(): n must be a whole number of bytes, 0 or more, got number 1.5"],
    [() => reader.readExactly(-1), "readExactly(): n must be a whole number of bytes, 0 or more, got number -1"],
    [
      () => reader.readExactly("1" as never),
      'readExactly(): n must be a whole number of bytes, 0 or more, got string "1"',
    ],
    [() => reader.peek(undefined as never), "peek(): n must be a whole number of bytes, 0 or more, got undefined"],
    [() => reader.readUntil(""), "readUntil(): separator must have at least one byte, got an empty string"],
    [() => reader.readUntil([]), "readUntil(): separator must have at least one item, got an empty array"],
    [
      () => reader.readUntil(["\n", new Uint8Array(0)]),
      "readUntil(): separator[1] must have at least one byte, got an empty Uint8Array",
    ],
    [
      () => reader.readUntil(10 as never),
      "readUntil(): separator must be a string or a Uint8Array, or an array of these, got number 10",
    ],
    [
      () => reader.readUntil("\n", { limit: -1 }),
      "readUntil(): limit must be a whole number of bytes, 1 or more, got number -1",
    ],
    [() => reader.readLine({ limit: 0 }), "readLine(): limit must be a whole number of bytes, 1 or more, got number 0"],
    [() => reader.readLine({ signal: 1 as never }), "readLine(): signal must be an AbortSignal, got number 1"],
    [() => reader.read(1, { sginal: 1 } as never), "read(): sginal is not an option; did you mean signal?"],
    [
      () => reader.lines({ limit: -1 }).next(),
      "lines(): limit must be a whole number of bytes, 1 or more, got number -1",
    ],
  ];
  for (const [call, message] of cases) {
    const error = await assertRejects(call, Error);
    assertEquals(error.message, message);
    assert(error instanceof TypeError || error instanceof RangeError);
  }
  assertEquals(text(await reader.read(10)), "abc");
});

Deno.test("readUntil() of several separators looks at each byte a few times at most, whichever of them the peer uses", async () => {
  for (const [separators, message] of [[["\n", "\r"], "a\r"], [[";", "\r\n"], "a\r\n"]] as const) {
    const { protocol, reader } = fedReader();
    const count = 10_000;
    protocol.dataReceived(bytes(message.repeat(count)));
    const { search } = ByteQueue.prototype;
    let looked = 0;
    ByteQueue.prototype.search = function (this: ByteQueue, separator, offset, end = this.headSize) {
      const found = search.call(this, separator, offset, end);
      looked += (found < 0 ? Math.min(end, this.headSize) : found + separator.length) - offset;
      return found;
    };
    try {
      for (let i = 0; i < count; i++) {
        assertEquals(text(await reader.readUntil([...separators])), message);
      }
    } finally {
      ByteQueue.prototype.search = search;
    }
    const each = looked / count;
    assert(each < 600, `${each} bytes were looked at for a message of ${message.length} bytes`);
  }
});

Deno.test("readUntil() finds a separator at any place, however far it is and however it is cut", async () => {
  for (const separators of [["\r\n", "\0"], ["\n", "ab\r\n.."]]) {
    for (const separator of separators) {
      for (
        let before = 0;
        before < 1400;
        before += before > 230 && before < 290 || before > 1260 && before < 1300 ? 1 : 13
      ) {
        const { protocol, reader } = fedReader();
        const line = "x".repeat(before) + separator;
        protocol.dataReceived(bytes(`${line}rest`));
        const found = separator.indexOf("\n") >= 0 && separators.includes("\n") ? line.indexOf("\n") + 1 : line.length;
        assertEquals(text(await reader.readUntil(separators)), line.slice(0, found));
      }
    }
  }
});
